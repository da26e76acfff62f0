import type { ResolvedOptions } from './options/resolve.ts'
import type { Logger } from './runtime/logger.ts'
import { askNow } from './runtime/maybe-promise.ts'
import type { MetricsSnapshot } from './telemetry/metrics.ts'
import type { ClientParts } from './wiring.ts'

/** The result of `OrchestratorClient.sweep`. With a store that answers later, 0 means "not known yet". */
export interface SweepReport {
  /** Leases that expired. */
  expiredLeases: number
  /** Ids of ended streams that were forgotten. */
  forgottenStreams: number
}

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
export function metricsOf(parts: ClientParts, { maxStreamsPerEngine }: Pick<ResolvedOptions, 'maxStreamsPerEngine'>): MetricsSnapshot {
  const { counters, engineList, leases, allocator, live, outbox, circuit, playbacks } = parts
  const listed = engineList.last?.engines.length ?? 0
  return counters.snapshot({
    engines: { listed, slots: listed * maxStreamsPerEngine },
    activeLeases: leases.size,
    waiting: allocator.waitingCount,
    streams: { live: live.size, ...playbacks.counts },
    pendingEvents: outbox.size,
    circuit: circuit?.state ?? 'closed',
  })
}

/** The fields that `console.log` shows of a client. They never contain the API key. */
export function summaryOf(parts: ClientParts, options: ResolvedOptions, isClosed: boolean): object {
  const { leases, streams, events, circuit } = metricsOf(parts, options)
  return {
    baseUrl: options.baseUrl.href,
    generation: parts.api.dialect ?? 'not known yet',
    circuit,
    leases: leases.active,
    waiting: leases.waiting,
    streams: streams.live,
    pendingEvents: events.pending,
    isClosed,
  }
}
