import type { Attributes, Meter, Observable } from '@opentelemetry/api'
import { recordDurations } from '../durations.ts'
import { EXPORTED_HISTOGRAMS, EXPORTED_METRICS, type ExportedHistogram } from '../exported-metrics.ts'
import type { TelemetrySource } from '../source.ts'
import { requestAttributes } from './request-attributes.ts'

const PREFIX = 'acestream.client.'

/** Exports the metrics of a client. Returns functions that stop it. */
export function exportMetrics(client: TelemetrySource, meter: Meter, attributes: Attributes): (() => void)[] {
  const instruments = EXPORTED_METRICS.map((metric) => {
    const { name, kind, unit, help: description } = metric
    const options = { unit, description }
    const observable: Observable =
      kind === 'counter'
        ? meter.createObservableCounter(PREFIX + name, options)
        : meter.createObservableUpDownCounter(PREFIX + name, options)
    return { metric, observable }
  })
  const observables = instruments.map(({ observable }) => observable)
  const read: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
    const metrics = client.metrics()
    for (const { metric, observable } of instruments) {
      for (const { value, labels } of metric.read(metrics)) result.observe(observable, value, { ...attributes, ...named(labels) })
    }
  }
  const histogram = (name: string, { help: description, buckets }: ExportedHistogram) =>
    meter.createHistogram(name, { unit: 's', description, advice: { explicitBucketBoundaries: [...buckets] } })
  const acquire = histogram(PREFIX + EXPORTED_HISTOGRAMS.acquire.name, EXPORTED_HISTOGRAMS.acquire)
  const start = histogram(PREFIX + EXPORTED_HISTOGRAMS.start.name, EXPORTED_HISTOGRAMS.start)
  const request = histogram('http.client.request.duration', EXPORTED_HISTOGRAMS.request)
  // Last: a meter that throws before reads no client.
  meter.addBatchObservableCallback(read, observables)
  return [
    () => meter.removeBatchObservableCallback(read, observables),
    ...recordDurations(client, {
      acquire: (seconds, outcome) => acquire.record(seconds, { ...attributes, ...named({ outcome }) }),
      start: (seconds) => start.record(seconds, attributes),
      request: (seconds, finished) => request.record(seconds, { ...attributes, ...requestAttributes(finished) }),
    }),
  ]
}

/** The labels as attributes of OpenTelemetry, which need a namespace. */
function named(labels: Readonly<Record<string, string>> = {}): Attributes {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [`acestream.${name}`, value]))
}
