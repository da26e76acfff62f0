import type { CircuitState } from '../model/health.ts'

/** What the client has done since it was made, and what it holds now. A copy: it does not change afterwards. */
export interface MetricsSnapshot {
  /** Requests made, those that failed, and how many by route (`GET /engines`, without version prefix). */
  requests: { total: number; failed: number; byRoute: Record<string, number> }
  engineCache: {
    /** Answered from a fresh list. */
    hits: number
    /** Made a request. */
    misses: number
    /** Joined a request that was under way. */
    coalesced: number
    /** Answered from an old list, because the orchestrator failed. */
    stale: number
    /** Share of calls that made no request, 0 to 1. */
    hitRate: number
  }
  /** `active` and `waiting` now; `acquired` and `expired` in all. A lease that became a stream is active no more. */
  leases: { active: number; acquired: number; expired: number; waiting: number }
  /** Streams that hold a slot here now. */
  streams: { live: number }
  events: {
    /** Starts acknowledged by the orchestrator. */
    started: number
    /** Ends acknowledged by the orchestrator. */
    ended: number
    /** Ends that were not sent, since the stream had been ended before. */
    duplicatesPrevented: number
    /** Attempts beyond an event's first. */
    retried: number
    /** Events not yet delivered. */
    pending: number
    /** Ends that were given up. */
    undeliverable: number
    /** Answers that named another stream than the one sent; any above 0 is an alarm. */
    misapplied: number
  }
  provisioning: { requested: number; completed: number; refused: number }
  /** `open`: the orchestrator is left alone; `half-open`: the next request finds out whether it is well again. */
  circuit: CircuitState
}

/** The counters behind {@link MetricsSnapshot}; each part of the client counts what it does. */
export class Counters {
  requests = 0
  failedRequests = 0
  readonly byRoute: Map<string, number> = new Map()
  cacheHits = 0
  cacheMisses = 0
  cacheCoalesced = 0
  cacheStale = 0
  leasesAcquired = 0
  leasesExpired = 0
  started = 0
  ended = 0
  duplicatesPrevented = 0
  retried = 0
  undeliverable = 0
  misapplied = 0
  provisionsRequested = 0
  provisionsCompleted = 0
  provisionsRefused = 0

  countRequest(route: string): void {
    this.requests += 1
    this.byRoute.set(route, (this.byRoute.get(route) ?? 0) + 1)
  }

  snapshot(now: {
    activeLeases: number
    waiting: number
    liveStreams: number
    pendingEvents: number
    circuit: CircuitState
  }): MetricsSnapshot {
    const lookups = this.cacheHits + this.cacheMisses + this.cacheCoalesced
    return {
      requests: { total: this.requests, failed: this.failedRequests, byRoute: Object.fromEntries(this.byRoute) },
      engineCache: {
        hits: this.cacheHits,
        misses: this.cacheMisses,
        coalesced: this.cacheCoalesced,
        stale: this.cacheStale,
        hitRate: lookups === 0 ? 0 : (this.cacheHits + this.cacheCoalesced) / lookups,
      },
      leases: { active: now.activeLeases, acquired: this.leasesAcquired, expired: this.leasesExpired, waiting: now.waiting },
      streams: { live: now.liveStreams },
      events: {
        started: this.started,
        ended: this.ended,
        duplicatesPrevented: this.duplicatesPrevented,
        retried: this.retried,
        pending: now.pendingEvents,
        undeliverable: this.undeliverable,
        misapplied: this.misapplied,
      },
      provisioning: {
        requested: this.provisionsRequested,
        completed: this.provisionsCompleted,
        refused: this.provisionsRefused,
      },
      circuit: now.circuit,
    }
  }
}
