import type { MetricsSnapshot } from './metrics.ts'

/** A number with its labels. */
interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** A number of {@link MetricsSnapshot} that is exported. */
export interface ExportedMetric {
  /** In OpenTelemetry `acestream.client.` and this name; in Prometheus with underscores, and with `_total` if it is a counter. */
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  /** What is counted, as a unit of UCUM. */
  readonly unit: string
  readonly help: string
  /** Names of the labels. */
  readonly labels?: readonly string[]
  read(metrics: MetricsSnapshot): readonly Sample[]
}

/** A distribution of durations that is exported. */
export interface ExportedHistogram {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  /** Upper limits, seconds. */
  readonly buckets: readonly number[]
}

const CIRCUIT_STATES = ['closed', 'half-open', 'open'] as const

const counter = (name: string, unit: string, help: string, read: (metrics: MetricsSnapshot) => number): ExportedMetric => ({
  name,
  kind: 'counter',
  unit,
  help,
  read: (metrics) => [{ value: read(metrics) }],
})

const gauge = (name: string, unit: string, help: string, read: (metrics: MetricsSnapshot) => number): ExportedMetric => ({
  ...counter(name, unit, help, read),
  kind: 'gauge',
})

/** All counters and gauges. */
export const EXPORTED_METRICS: readonly ExportedMetric[] = [
  {
    name: 'requests.sent',
    kind: 'counter',
    unit: '{request}',
    help: 'Requests sent to the orchestrator.',
    labels: ['route'],
    read: ({ requests }) => Object.entries(requests.byRoute).map(([route, value]) => ({ value, labels: { route } })),
  },
  counter('requests.failed', '{request}', 'Requests to the orchestrator that failed.', ({ requests }) => requests.failed),
  {
    name: 'engine_list.lookups',
    kind: 'counter',
    unit: '{call}',
    help: 'Calls that need the engine list: answered by a fresh list (hit), by a request (miss), or by the request of another call (coalesced).',
    labels: ['result'],
    read: ({ engineCache: { hits, misses, coalesced } }) => [
      { value: hits, labels: { result: 'hit' } },
      { value: misses, labels: { result: 'miss' } },
      { value: coalesced, labels: { result: 'coalesced' } },
    ],
  },
  counter(
    'engine_list.stale',
    '{call}',
    'Calls that an old engine list answered, because the orchestrator failed or was slow.',
    ({ engineCache }) => engineCache.stale,
  ),
  gauge('engines.listed', '{engine}', 'Engines of the last engine list.', ({ engines }) => engines.listed),
  gauge('engines.slots', '{stream}', 'Streams that the engines of the last list can have together.', ({ engines }) => engines.slots),
  gauge('leases.active', '{lease}', 'Slots that are leased and have no stream yet.', ({ leases }) => leases.active),
  counter('leases.acquired', '{lease}', 'Leases that callers got.', ({ leases }) => leases.acquired),
  counter('leases.expired', '{lease}', 'Leases that expired before a stream started.', ({ leases }) => leases.expired),
  gauge('callers.waiting', '{call}', 'Calls that wait for an engine.', ({ leases }) => leases.waiting),
  gauge('streams.live', '{stream}', 'Streams of this client that hold a slot.', ({ streams }) => streams.live),
  gauge('streams.shared', '{stream}', 'Streams of joinStream with more than one viewer.', ({ streams }) => streams.shared),
  gauge('streams.lingering', '{stream}', 'Streams of joinStream without a viewer, which end soon.', ({ streams }) => streams.lingering),
  gauge('viewers', '{viewer}', 'Viewers of the streams of joinStream.', ({ streams }) => streams.viewers),
  {
    name: 'events.delivered',
    kind: 'counter',
    unit: '{event}',
    help: 'Starts and ends that the orchestrator acknowledged.',
    labels: ['event'],
    read: ({ events: { started, ended } }) => [
      { value: started, labels: { event: 'started' } },
      { value: ended, labels: { event: 'ended' } },
    ],
  },
  counter('events.retried', '{request}', 'Attempts after the first attempt of a start or an end.', ({ events }) => events.retried),
  counter(
    'events.duplicates_prevented',
    '{event}',
    'Ends that were not sent, because the stream had been ended before.',
    ({ events }) => events.duplicatesPrevented,
  ),
  counter('events.undeliverable', '{event}', 'Ends that were given up or refused.', ({ events }) => events.undeliverable),
  counter(
    'events.misapplied',
    '{event}',
    'Events with which the orchestrator ended a wrong stream. Above 0 it is an alarm.',
    ({ events }) => events.misapplied,
  ),
  gauge('events.pending', '{event}', 'Starts and ends in the outbox, which are not delivered yet.', ({ events }) => events.pending),
  counter('provisions.requested', '{request}', 'Requests for a new engine.', ({ provisioning }) => provisioning.requested),
  counter(
    'provisions.completed',
    '{request}',
    'Requests for a new engine whose engine was listed.',
    ({ provisioning }) => provisioning.completed,
  ),
  counter(
    'provisions.refused',
    '{request}',
    'Requests for a new engine that failed, or whose engine was not listed.',
    ({ provisioning }) => provisioning.refused,
  ),
  {
    name: 'circuit.state',
    kind: 'gauge',
    unit: '1',
    help: 'State of the circuit breaker: 1 for the present state, 0 for the others.',
    labels: ['state'],
    read: ({ circuit }) => CIRCUIT_STATES.map((state) => ({ value: Number(state === circuit), labels: { state } })),
  },
]

/** Requests: the buckets of OpenTelemetry's conventions for HTTP. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
/** Callers wait for engines up to `waitMs`, 30 s by default, and starts for the end of an outage. */
const WAIT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60]

/** The distributions. */
export const EXPORTED_HISTOGRAMS: Readonly<Record<'acquire' | 'start' | 'request', ExportedHistogram>> = {
  acquire: {
    name: 'acquire.duration',
    help: 'Time until a caller got an engine (outcome acquired), gave up (aborted) or was refused (the code of the error).',
    labels: ['outcome'],
    buckets: WAIT_BUCKETS,
  },
  start: {
    name: 'start.duration',
    help: 'Time from the start of a stream until the orchestrator acknowledged it.',
    labels: [],
    buckets: WAIT_BUCKETS,
  },
  request: {
    name: 'request.duration',
    help: 'Time of an attempt at a request, with the body of the answer. Status none: no answer came.',
    labels: ['route', 'status'],
    buckets: REQUEST_BUCKETS,
  },
}
