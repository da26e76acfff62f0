import process from 'node:process'
import type { MetricsSnapshot } from 'acestream-orchestrator-client'
import type { Metric, Sample } from './prometheus.ts'
import type { RequestCounts } from './request-counts.ts'
import type { RescueFigures } from './viewer.ts'

/** The metrics of an engine source. A source without an orchestrator has only some of them. */
export type SourceMetrics = { readonly [Name in keyof MetricsSnapshot]?: Partial<MetricsSnapshot[Name]> }

const CIRCUIT_STATES = ['closed', 'half-open', 'open'] as const

/** Returns the metrics of the proxy itself. */
export function proxyMetrics(
  viewers: number,
  { rescued, cutOff, tooSlow }: Readonly<RescueFigures>,
  counts: RequestCounts,
): readonly Metric[] {
  return [
    gauge('acexy_viewers', 'Viewers that are served or wait for an engine.', one(viewers)),
    counter('acexy_viewers_rescued_total', 'Viewers that continued on another engine, in the same response.', one(rescued)),
    counter('acexy_viewers_cut_off_total', 'Viewers whose connection was closed because their engine failed.', one(cutOff)),
    counter('acexy_viewers_too_slow_total', 'Viewers whose connection was closed because they read too slowly.', one(tooSlow)),
    counter('acexy_http_responses_total', 'Responses by route and status; none: the connection was closed before.', counts.responses),
    counter('acexy_refusals_total', 'Requests that got no stream, by reason.', counts.refusals),
  ]
}

/** Returns the metrics of the client of the orchestrator. */
export function sourceMetrics({ requests, engineCache, leases, streams, events, provisioning, circuit }: SourceMetrics): readonly Metric[] {
  const routes = Object.entries(requests?.byRoute ?? {}).map(([route, value]) => ({ labels: { route }, value: value ?? 0 }))
  const states = circuit === undefined ? [] : CIRCUIT_STATES.map((state) => ({ labels: { state }, value: Number(state === circuit) }))
  return [
    counter('acexy_orchestrator_requests_total', 'Requests sent to the orchestrator, by route.', routes),
    counter('acexy_orchestrator_requests_failed_total', 'Requests to the orchestrator that failed.', one(requests?.failed)),
    gauge('acexy_orchestrator_circuit', 'State of the circuit breaker: 1 for the present one.', states),
    counter('acexy_engine_list_lookups_total', 'Uses of the engine list, by how it was found.', [
      ...one(engineCache?.hits, { result: 'hit' }),
      ...one(engineCache?.misses, { result: 'miss' }),
      ...one(engineCache?.coalesced, { result: 'coalesced' }),
    ]),
    counter('acexy_engine_list_stale_total', 'Uses of an outdated engine list, because the orchestrator failed.', one(engineCache?.stale)),
    gauge('acexy_leases', 'Engine slots that are held without a stream.', one(leases?.active)),
    counter('acexy_leases_acquired_total', 'Engine slots that were acquired.', one(leases?.acquired)),
    counter('acexy_leases_expired_total', 'Engine slots that expired before their stream started.', one(leases?.expired)),
    gauge('acexy_waiting', 'Viewers that wait for an engine slot.', one(leases?.waiting)),
    gauge('acexy_streams', 'Streams that hold an engine slot.', one(streams?.live)),
    gauge('acexy_streams_shared', 'Streams with more than one viewer.', one(streams?.shared)),
    gauge('acexy_streams_lingering', 'Streams without a viewer, which end soon.', one(streams?.lingering)),
    counter('acexy_events_delivered_total', 'Events that the orchestrator acknowledged.', [
      ...one(events?.started, { event: 'started' }),
      ...one(events?.ended, { event: 'ended' }),
    ]),
    counter('acexy_events_retried_total', 'Attempts after the first attempt of an event.', one(events?.retried)),
    counter('acexy_events_duplicate_total', 'Ends that were not sent, because the stream had ended.', one(events?.duplicatesPrevented)),
    counter('acexy_events_undeliverable_total', 'Ends that were given up or rejected.', one(events?.undeliverable)),
    counter(
      'acexy_events_misapplied_total',
      'Events that the orchestrator applied to a wrong stream. Alarm above 0.',
      one(events?.misapplied),
    ),
    gauge('acexy_events_pending', 'Events that are not delivered yet.', one(events?.pending)),
    counter('acexy_provisions_requested_total', 'Engines that were requested.', one(provisioning?.requested)),
    counter('acexy_provisions_completed_total', 'Requested engines that were listed.', one(provisioning?.completed)),
    counter('acexy_provisions_refused_total', 'Requests for an engine that failed.', one(provisioning?.refused)),
  ]
}

/** Returns the metrics of the process, under the names that all Prometheus clients use. */
export function processMetrics(): readonly Metric[] {
  const { user, system } = process.cpuUsage()
  const startedAt = (performance.timeOrigin / 1000).toFixed(3)
  return [
    counter('process_cpu_seconds_total', 'CPU time of the process.', one((user + system) / 1e6)),
    gauge('process_resident_memory_bytes', 'Resident memory of the process.', one(process.memoryUsage.rss())),
    gauge('process_start_time_seconds', 'Start of the process, since 1970.', one(Number(startedAt))),
  ]
}

function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, type: 'counter', help, samples }
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, type: 'gauge', help, samples }
}

function one(value: number | undefined, labels: Readonly<Record<string, string>> = {}): readonly Sample[] {
  return value === undefined ? [] : [{ labels, value }]
}
