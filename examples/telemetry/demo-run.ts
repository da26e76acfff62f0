import { fileURLToPath } from 'node:url'
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { instrument } from 'acestream-orchestrator-client/otel'
import { collectInto } from 'acestream-orchestrator-client/prometheus'
import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { Registry } from 'prom-client'
import { type Replay, readTrace } from '../demo/trace.ts'

const TRACE = fileURLToPath(new URL('../traces/proxy-2025-10-12.jsonl', import.meta.url))
/** As in the demo. */
const ENGINES = 17
const MAX_STREAMS_PER_ENGINE = 2
const LATENCY_MS = 20

/** What the exporters got, as text. */
export interface DemoOutput {
  /** The spans of one viewer as a tree, of one background request, and the number of all spans by name. */
  readonly spans: string
  /** The exposition of Prometheus without the buckets. */
  readonly metrics: string
}

/** Replays the viewers of the demo on virtual time, with a client that reports to OpenTelemetry and to Prometheus. */
export async function runDemo(): Promise<DemoOutput> {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const registry = new Registry()
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({
    clock,
    random: seededRandom(1),
    engines: ENGINES,
    maxReplicas: ENGINES + 3,
    latencyMs: LATENCY_MS,
  })
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator:8000',
    apiKey: fake.apiKey,
    maxStreamsPerEngine: MAX_STREAMS_PER_ENGINE,
    clock,
    transport: fake,
    random: seededRandom(2),
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  try {
    instrument(client, { tracerProvider })
    collectInto(registry, client)
    // The first answer to a start is lost: the client finds out that the start was applied.
    fake.inject({ kind: 'reset-after', route: 'POST /events/stream_started' })
    const tracer = tracerProvider.getTracer('proxy')
    const replay = await readTrace(TRACE, 1)
    const viewers = replay.viewers.map((viewer) =>
      visit(clock, viewer, replay.durationMs, async () => {
        const span = tracer.startSpan('GET /ace/getstream', { kind: SpanKind.SERVER })
        const inSpan = trace.setSpan(context.active(), span)
        const open = async () => ({ session: sessionOf(viewer.infohash, viewer.number), playback: undefined })
        const stream = await context.with(inSpan, () => client.openStream({ keyType: 'infohash', key: viewer.infohash, open }))
        return () =>
          context.with(inSpan, async () => {
            await stream.end('viewer left')
            span.end()
          })
      }),
    )
    await clock.advance(replay.durationMs + 5_000)
    await Promise.all(viewers)
    const metrics = await registry.metrics()
    const closing = client.close()
    await clock.advance(1_000)
    await closing
    return { spans: describeSpans(exporter.getFinishedSpans()), metrics: withoutBuckets(metrics) }
  } finally {
    context.disable()
  }
}

/** Opens a stream when the viewer arrives, and ends it when the viewer leaves, or after the last row of the trace. */
function visit(
  clock: ManualClock,
  { arrivesAt, leavesAt }: Replay['viewers'][number],
  durationMs: number,
  arrive: () => Promise<() => Promise<void>>,
): Promise<void> {
  const gone = Promise.withResolvers<void>()
  clock.setTimeout(() => {
    const arrived = arrive()
    clock.setTimeout(
      () => void arrived.then((leave) => leave()).then(gone.resolve, gone.reject),
      (leavesAt ?? durationMs) - arrivesAt + 1_000,
    )
  }, arrivesAt)
  return gone.promise
}

function sessionOf(infohash: string, number: number) {
  const path = `${infohash}/${number}`
  return {
    playbackSessionId: `session-${number}`,
    statUrl: `http://127.0.0.1:6878/ace/stat/${path}`,
    commandUrl: `http://127.0.0.1:6878/ace/cmd/${path}`,
  }
}

/** The trace with the most spans, the first request without a parent, and the number of all spans by name. */
function describeSpans(spans: readonly ReadableSpan[]): string {
  const traces = grouped(spans, (span) => span.spanContext().traceId)
  const [longest = []] = [...traces.values()].sort((a, b) => b.length - a.length)
  const background = spans.find(({ kind, parentSpanContext }) => kind === SpanKind.CLIENT && parentSpanContext === undefined)
  const rootOf = longest.find(({ parentSpanContext }) => parentSpanContext === undefined)
  const counts = [...grouped(spans, ({ name }) => name)].sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    ...[rootOf, background].flatMap((root) => (root === undefined ? [] : [treeOf(root, spans).join('\n')])),
    counts.map(([name, { length }]) => `${String(length).padStart(4)} ${name}`).join('\n'),
  ].join('\n\n')
}

function grouped(spans: readonly ReadableSpan[], keyOf: (span: ReadableSpan) => string): ReadonlyMap<string, readonly ReadableSpan[]> {
  const groups = new Map<string, ReadableSpan[]>()
  for (const span of spans) groups.set(keyOf(span), [...(groups.get(keyOf(span)) ?? []), span])
  return groups
}

function treeOf(span: ReadableSpan, spans: readonly ReadableSpan[]): string[] {
  const children = spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === span.spanContext().spanId)
  return [...linesOf(span), ...children.flatMap((child) => treeOf(child, spans).map((line) => `  ${line}`))]
}

const MAX_LINE = 110

/** The name of a span, and below it its attributes. */
function linesOf({ name, kind, status, attributes }: ReadableSpan): string[] {
  const marks = [kind === SpanKind.INTERNAL ? '' : ` ${SpanKind[kind]}`, status.code === SpanStatusCode.ERROR ? ' ERROR' : '']
  const lines = [`${name}${marks.join('')}`]
  let line = ''
  for (const [key, value] of Object.entries(attributes)) {
    const text = `${key}=${typeof value === 'string' ? shorten(value) : value}`
    if (line !== '' && line.length + text.length > MAX_LINE) {
      lines.push(`    ${line}`)
      line = ''
    }
    line += line === '' ? text : ` ${text}`
  }
  return line === '' ? lines : [...lines, `    ${line}`]
}

const MAX_SHOWN = 24

function shorten(text: string): string {
  return text.length > MAX_SHOWN && !text.startsWith('http') ? `${text.slice(0, MAX_SHOWN)}…` : text
}

function withoutBuckets(exposition: string): string {
  const lines = exposition.split('\n').filter((text) => text !== '' && !text.includes('_bucket{') && !text.startsWith('# HELP'))
  return lines.join('\n')
}
