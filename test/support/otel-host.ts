import { type Context, context, type Span, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { onTestFinished } from 'vitest'

/** A host with the SDK of OpenTelemetry, whose exporters keep what they get. */
export class OtelHost {
  readonly tracerProvider: BasicTracerProvider
  readonly meterProvider: MeterProvider
  readonly #spans = new InMemorySpanExporter()
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  readonly #reader = new PeriodicExportingMetricReader({ exporter: this.#metrics, exportIntervalMillis: 2 ** 30 })

  constructor() {
    this.tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#spans)] })
    this.meterProvider = new MeterProvider({ readers: [this.#reader] })
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    onTestFinished(async () => {
      context.disable()
      await this.meterProvider.shutdown()
      await this.tracerProvider.shutdown()
    })
  }

  /** Calls `work` in a span of the host, which ends when `work` has settled. */
  async during<T>(name: string, work: (span: Span) => Promise<T>, from: Context = context.active()): Promise<T> {
    const span = this.tracerProvider.getTracer('host').startSpan(name, {}, from)
    try {
      return await context.with(trace.setSpan(from, span), () => work(span))
    } finally {
      span.end()
    }
  }

  /** The spans that have ended. */
  get spans(): readonly ReadableSpan[] {
    return this.#spans.getFinishedSpans()
  }

  /** The spans of this name that have ended. */
  named(name: string): readonly ReadableSpan[] {
    return this.spans.filter((span) => span.name === name)
  }

  /** The names of a span and of the spans above it: `GET /engines < acquireEngine < viewer`. */
  path(span: ReadableSpan): string {
    const parent = this.spans.find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId)
    return parent === undefined ? span.name : `${span.name} < ${this.path(parent)}`
  }

  /** The {@link path} of each span. */
  get paths(): readonly string[] {
    return this.spans.map((span) => this.path(span))
  }

  /** Collects the metrics now. */
  async collect(): Promise<readonly MetricData[]> {
    this.#metrics.reset()
    await this.#reader.forceFlush()
    return this.#metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  }

  /** Collects the data points of one metric. */
  async pointsOf(name: string): Promise<readonly Pick<DataPoint<unknown>, 'attributes' | 'value'>[]> {
    return (await this.collect()).find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? []
  }
}
