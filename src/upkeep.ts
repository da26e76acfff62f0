import type { SweepReport } from './options/options.ts'
import type { Logger } from './runtime/logger.ts'
import { askNow } from './runtime/maybe-promise.ts'
import type { MetricsSnapshot } from './telemetry/metrics.ts'
import type { ClientParts } from './wiring.ts'

/** See `OrchestratorClient.sweep`. */
export function sweepNow({ leases, registry }: ClientParts, logger: Logger): SweepReport {
  const onFailure = (error: unknown): void => {
    logger.warn('The store failed to remove expired leases and old ids of ended streams. The next sweep tries again', { error })
  }
  return {
    expiredLeases: askNow(() => leases.expire(), 0, onFailure),
    forgottenStreams: askNow(() => registry.sweep(), 0, onFailure),
  }
}

/** See `OrchestratorClient.metrics`. */
export function metricsOf({ counters, leases, allocator, live, outbox, circuit, playbacks }: ClientParts): MetricsSnapshot {
  return counters.snapshot({
    activeLeases: leases.size,
    waiting: allocator.waitingCount,
    streams: { live: live.size, ...playbacks.counts },
    pendingEvents: outbox.size,
    circuit: circuit?.state ?? 'closed',
  })
}

/** The fields that `console.log` shows of a client besides its address. */
export function summaryOf(parts: ClientParts): object {
  const { leases, streams, events, circuit } = metricsOf(parts)
  return {
    generation: parts.api.dialect ?? 'not known yet',
    circuit,
    leases: leases.active,
    waiting: leases.waiting,
    streams: streams.live,
    pendingEvents: events.pending,
  }
}
