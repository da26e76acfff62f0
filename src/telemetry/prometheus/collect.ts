import { Counter, Gauge, Histogram, type Metric, type Registry } from 'prom-client'
import { InvalidArgumentError } from '../../errors.ts'
import { expectMethods, expectOptions, expectTexts, type NamesOf } from '../../runtime/validate.ts'
import { recordDurations } from '../durations.ts'
import { EXPORTED_HISTOGRAMS, EXPORTED_METRICS, type ExportedHistogram } from '../exported-metrics.ts'
import { operationsOf, type TelemetrySource } from '../source.ts'

/** The members of a registry of `prom-client` that are used. */
export type MetricRegistry = Pick<Registry, 'registerMetric' | 'getSingleMetric' | 'removeSingleMetric'>

/** Options of {@link collectInto}. */
export interface CollectOptions {
  /** Added to each metric. Clients in one registry need the same label names and different values. @default none */
  labels?: Readonly<Record<string, string>> | undefined
}

/** The metrics of one client in a registry. */
export interface Collection {
  /** Removes the metrics of this client from the registry. Can be called again. */
  dispose(): void
}

const OPTION_NAMES: NamesOf<CollectOptions> = { labels: true }

const PREFIX = 'acestream_client_'
const LABEL_NAME = /^(?!__)[a-zA-Z_]\w*$/

/** Names that the metrics use themselves; `le` is the limit of a bucket. */
const OWN_LABELS = new Set([...EXPORTED_METRICS, ...Object.values(EXPORTED_HISTOGRAMS)].flatMap(({ labels = [] }) => labels).concat('le'))

const collectors = new WeakMap<MetricRegistry, Collector>()

/**
 * Adds the metrics of a client to a registry of `prom-client`. The counters and gauges are read when the registry is scraped; the histograms count
 * from this call on. After `registry.clear()` the clients still count durations, until `dispose()` or the next call for this registry.
 *
 * @throws {@link InvalidArgumentError} if the registry has a client with the same labels, or another metric with one of the names
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { collectInto } from 'acestream-orchestrator-client/prometheus'
 * import { register } from 'prom-client'
 *
 * const client = new OrchestratorClient({ baseUrl })
 * collectInto(register, client)
 * console.log(await register.metrics())
 */
export function collectInto(registry: MetricRegistry, client: TelemetrySource, options: CollectOptions = {}): Collection {
  expectMethods<MetricRegistry>('registry', registry, ['registerMetric', 'getSingleMetric', 'removeSingleMetric'])
  operationsOf(client)
  const labels = checkLabels(options)
  const known = collectors.get(registry)
  const collector = known?.isRegistered ? known : new Collector(registry, Object.keys(labels))
  if (collector !== known) {
    // The host has cleared the registry, so the metrics of the earlier collections cannot be read any more.
    known?.close()
    collectors.set(registry, collector)
  }
  return collector.add(client, labels)
}

/** @throws {@link InvalidArgumentError} */
function checkLabels(options: CollectOptions): Labels {
  const { labels = {} } = expectOptions(options, OPTION_NAMES) as CollectOptions
  for (const name of Object.keys(expectTexts('labels', labels))) {
    if (LABEL_NAME.test(name) && !OWN_LABELS.has(name)) continue
    throw new InvalidArgumentError(`labels.${name}`, `a label name of Prometheus, and none of ${[...OWN_LABELS].join(', ')}`)
  }
  return { ...labels }
}

type Labels = Readonly<Record<string, string>>

type Histograms = Readonly<Record<keyof typeof EXPORTED_HISTOGRAMS, Histogram>>

/** A client in a registry. */
class Member {
  readonly client: TelemetrySource
  readonly labels: Labels
  /** The series of the client in the histograms, by the text of their labels. */
  readonly #series = new Map<string, { readonly histogram: Histogram; readonly labels: Labels }>()
  readonly #stops: readonly (() => void)[]

  constructor(client: TelemetrySource, labels: Labels, { acquire, start, request }: Histograms) {
    this.client = client
    this.labels = labels
    this.#stops = recordDurations(client, {
      acquire: (seconds, outcome) => this.#observe(acquire, { outcome }, seconds),
      start: (seconds) => this.#observe(start, {}, seconds),
      request: (seconds, { route, status = 'none' }) => this.#observe(request, { route, status: String(status) }, seconds),
    })
  }

  /** Stops recording, and removes its series from the histograms. */
  leave(): void {
    for (const stop of this.#stops) stop()
    for (const { histogram, labels } of this.#series.values()) histogram.remove(labels)
  }

  /** Adds a duration to a histogram. */
  #observe(histogram: Histogram, own: Labels, seconds: number): void {
    const labels = { ...own, ...this.labels }
    histogram.observe(labels, seconds)
    this.#series.set(`${nameOf(histogram)} ${JSON.stringify(own)}`, { histogram, labels })
  }
}

/** All clients of one registry, which share its metrics. */
class Collector {
  readonly #registry: MetricRegistry
  readonly #labelNames: readonly string[]
  readonly #members = new Set<Member>()
  readonly #metrics: readonly Metric[]
  readonly #histograms: Histograms

  /** @throws {@link InvalidArgumentError} */
  constructor(registry: MetricRegistry, labelNames: readonly string[]) {
    this.#registry = registry
    this.#labelNames = labelNames
    this.#histograms = {
      acquire: this.#histogram(EXPORTED_HISTOGRAMS.acquire),
      start: this.#histogram(EXPORTED_HISTOGRAMS.start),
      request: this.#histogram(EXPORTED_HISTOGRAMS.request),
    }
    this.#metrics = [...this.#snapshots(), ...Object.values(this.#histograms)]
    for (const metric of this.#metrics) {
      const name = nameOf(metric)
      if (registry.getSingleMetric(name) !== undefined) throw new InvalidArgumentError('registry', `a registry without a metric ${name}`)
    }
    for (const metric of this.#metrics) registry.registerMetric(metric)
  }

  /** Whether the registry has the metrics. A host may clear it at any time. */
  get isRegistered(): boolean {
    return this.#metrics.every((metric) => this.#registry.getSingleMetric(nameOf(metric)) === metric)
  }

  /** @throws {@link InvalidArgumentError} */
  add(client: TelemetrySource, labels: Labels): Collection {
    this.#check(labels)
    const member = new Member(client, labels, this.#histograms)
    this.#members.add(member)
    return {
      dispose: () => {
        if (!this.#members.delete(member)) return
        member.leave()
        if (this.#members.size === 0) this.#unregister()
      },
    }
  }

  /** Ends all collections. */
  close(): void {
    for (const member of this.#members) member.leave()
    this.#members.clear()
  }

  #check(labels: Labels): void {
    const names = this.#labelNames
    if (Object.keys(labels).length !== names.length || !names.every((name) => name in labels)) {
      const expected = names.length === 0 ? 'no labels, as the client that the registry has already' : `the labels ${names.join(', ')}`
      throw new InvalidArgumentError('labels', `${expected}: all clients in one registry need the same label names`)
    }
    for (const member of this.#members) {
      if (names.some((name) => member.labels[name] !== labels[name])) continue
      const message = 'labels: the registry has a client with the same labels already. Give each client a label with a value of its own'
      throw new InvalidArgumentError('labels', '', { message })
    }
  }

  #unregister(): void {
    for (const metric of this.#metrics) {
      const name = nameOf(metric)
      if (this.#registry.getSingleMetric(name) === metric) this.#registry.removeSingleMetric(name)
    }
  }

  #histogram({ name, help, labels, buckets }: ExportedHistogram): Histogram {
    const labelNames = [...labels, ...this.#labelNames]
    return new Histogram({ name: `${prometheusName(name)}_seconds`, help, labelNames, buckets: [...buckets], registers: [] })
  }

  /** The counters and gauges, which read each client when they are collected. */
  #snapshots(): Metric[] {
    return EXPORTED_METRICS.map(({ name, kind, help, labels = [], read }) => {
      const options = { help, labelNames: [...labels, ...this.#labelNames], registers: [] }
      const samples = (): { readonly labels: Labels; readonly value: number }[] =>
        [...this.#members].flatMap((member) =>
          read(member.client.metrics()).map((sample) => ({ labels: { ...sample.labels, ...member.labels }, value: sample.value })),
        )
      if (kind === 'gauge') {
        return new Gauge({
          ...options,
          name: prometheusName(name),
          collect() {
            this.reset()
            for (const sample of samples()) this.set(sample.labels, sample.value)
          },
        })
      }
      return new Counter({
        ...options,
        name: `${prometheusName(name)}_total`,
        collect() {
          this.reset()
          for (const sample of samples()) this.inc(sample.labels, sample.value)
        },
      })
    })
  }
}

function prometheusName(name: string): string {
  return PREFIX + name.replaceAll('.', '_')
}

/** `prom-client` does not declare the name of a metric. */
function nameOf(metric: Metric): string {
  return (metric as unknown as { readonly name: string }).name
}
