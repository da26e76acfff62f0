import type { CircuitState } from '../model/health.ts'

/** Metrics of a client: counters since it was created, and the numbers of leases, streams and events that it holds now. A copy that never changes. */
export interface MetricsSnapshot {
  /** Requests sent, requests that failed, and requests by route (`GET /engines`, without version prefix). */
  requests: { total: number; failed: number; byRoute: Record<string, number> }
  /** Calls that need the engine list, by how the list was found. */
  engineCache: {
    /** Calls that a fresh list answered. */
    hits: number
    /** Calls that made a request. */
    misses: number
    /** Calls that joined a request in flight. */
    coalesced: number
    /** Calls that an old list answered, because the orchestrator failed or was slow. */
    stale: number
    /** Share of calls that made no request, 0 to 1. */
    hitRate: number
  }
  /** The engines of the last list (`listed`), and the streams that they can have together (`slots`: `listed` times `maxStreamsPerEngine`). */
  engines: { listed: number; slots: number }
  /** Leases without a stream now (`active`), callers in the queue now (`waiting`), and leases `acquired` and `expired` in total. */
  leases: { active: number; acquired: number; expired: number; waiting: number }
  /** Streams of this client now. */
  streams: {
    /** Streams that hold a slot. */
    live: number
    /** Streams of `joinStream` with more than one viewer. */
    shared: number
    /** Viewers of the open streams of `joinStream`. */
    viewers: number
    /** Streams of `joinStream` without a viewer, which end soon unless a viewer joins. */
    lingering: number
  }
  /** Starts and ends of streams that are sent to the orchestrator. */
  events: {
    /** Starts acknowledged by the orchestrator. */
    started: number
    /** Ends acknowledged by the orchestrator. */
    ended: number
    /** Ends that were not sent, because the stream had been ended before. */
    duplicatesPrevented: number
    /** Attempts after the first attempt of an event. */
    retried: number
    /** Events that are undelivered now. */
    pending: number
    /** Ends that were given up or refused. */
    undeliverable: number
    /** Answers that named another stream than the one that was sent. Any value above 0 is an alarm: the orchestrator ended a wrong stream. */
    misapplied: number
  }
  /** Requests for a new engine, requests whose engine was listed, and requests that failed or whose engine was not listed. */
  provisioning: { requested: number; completed: number; refused: number }
  /** The state now. `closed`: requests are sent. `open`: nothing is sent. `half-open`: the next request shows whether the orchestrator works again. */
  circuit: CircuitState
}

/** The counters of {@link MetricsSnapshot}. Each part of the client increments its own. */
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

  /** @param route as `GET /engines` */
  countFailedRequest(): void {
    this.failedRequests += 1
  }

  countRequest(route: string): void {
    this.requests += 1
    this.byRoute.set(route, (this.byRoute.get(route) ?? 0) + 1)
  }

  /** @param now the numbers that the client holds at this moment */
  snapshot(now: {
    engines: MetricsSnapshot['engines']
    activeLeases: number
    waiting: number
    streams: MetricsSnapshot['streams']
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
      engines: now.engines,
      leases: { active: now.activeLeases, acquired: this.leasesAcquired, expired: this.leasesExpired, waiting: now.waiting },
      streams: now.streams,
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
