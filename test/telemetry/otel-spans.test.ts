import { diag, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { BasicTracerProvider, type ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { ContentError, OrchestratorClient } from 'acestream-orchestrator-client'
import { instrument } from 'acestream-orchestrator-client/otel'
import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { contextClock } from '../support/context-clock.ts'
import { Fleet } from '../support/fleet.ts'
import { OtelHost } from '../support/otel-host.ts'
import { connect, during, failureOf, playback, setup } from '../support/setup.ts'

const KEY = 'a'.repeat(40)

/** A client that reports to the SDK of OpenTelemetry, and the spans of a host around it. */
function instrumented(...[fakeOptions, clientOptions]: Parameters<typeof setup>) {
  const host = new OtelHost()
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, random: seededRandom(1), engines: 1, ...fakeOptions })
  const client = connect(fake, clock, { clock: contextClock(clock), dialect: 'unversioned', ...clientOptions })
  const { tracerProvider, meterProvider } = host
  const instrumentation = instrument(client, { tracerProvider, meterProvider })
  return { clock, fake, client, host, instrumentation }
}

const content = { keyType: 'infohash', key: KEY } as const
const openPlayback = async () => ({ session: playback().session, playback: 'video' })

describe('the spans of a viewer', () => {
  it("are children of the span of the host that is active at the call, and their requests are children of the call's span", async () => {
    const { client, host } = instrumented()
    await host.during('viewer', async () => {
      const lease = await client.acquireEngine()
      const stream = await lease.startStream(playback())
      await stream.end('viewer left')
    })
    expect(host.paths).toEqual([
      'GET /engines < acquireEngine < viewer',
      'acquireEngine < viewer',
      'POST /events/stream_started < startStream < viewer',
      'startStream < viewer',
      'POST /events/stream_ended < endStream < viewer',
      'endStream < viewer',
      'viewer',
    ])
    expect(new Set(host.spans.map((span) => span.spanContext().traceId)).size).toBe(1)
  })

  it('nest under openStream, and the end nests under the span that is active when the stream ends', async () => {
    const { client, host } = instrumented()
    const stream = await host.during('viewer', () => client.openStream({ ...content, open: openPlayback }))
    await host.during('goodbye', () => stream.end())
    expect(host.paths).toEqual([
      'GET /engines < acquireEngine < openStream < viewer',
      'acquireEngine < openStream < viewer',
      'POST /events/stream_started < startStream < openStream < viewer',
      'startStream < openStream < viewer',
      'openStream < viewer',
      'viewer',
      'POST /events/stream_ended < endStream < goodbye',
      'endStream < goodbye',
      'goodbye',
    ])
  })

  it('of joinStream nest under the caller that opens the stream; further callers have a span without children', async () => {
    const { client, host } = instrumented()
    const join = (name: string) => host.during(name, () => client.joinStream({ ...content, open: openPlayback }))
    await Promise.all([join('first'), join('second')])
    expect(host.paths).toContain('POST /events/stream_started < startStream < joinStream < first')
    expect(host.paths.filter((path) => path.endsWith('second'))).toEqual(['joinStream < second', 'second'])
    expect(host.named('joinStream').map(({ attributes }) => attributes['acestream.viewer.is_first'])).toEqual([true, false])
  })

  it('of callers that share one request for the engine list: the request is a child of the first caller', async () => {
    const { client, host, clock } = instrumented({ engines: 2, latencyMs: 20 })
    const acquire = (name: string) => host.during(name, () => client.acquireEngine())
    await during(clock, Promise.all([acquire('first'), acquire('second')]))
    expect(host.paths.filter((path) => path.startsWith('GET'))).toEqual(['GET /engines < acquireEngine < first'])
  })

  it('of streamStarted and streamEnded nest under the host', async () => {
    const { client, host, fake } = instrumented()
    const { host: address, port, containerId } = fake.engines[0] ?? {}
    const engine = { host: address ?? '', port: port ?? 0, containerId: containerId ?? '' }
    await host.during('viewer', () => client.streamStarted({ ...playback(), streamId: 'own', engine }))
    await host.during('goodbye', () => client.streamEnded('own'))
    await host.during('other', () => client.streamEnded('of another process'))
    expect(host.paths).toContain('POST /events/stream_started < startStream < viewer')
    expect(host.paths).toContain('POST /events/stream_ended < endStream < goodbye')
    expect(host.paths).toContain('POST /events/stream_ended < endStream < other')
  })

  it('say which engine, which stream, which content, and how it ended', async () => {
    const { client, host, fake } = instrumented()
    const stream = await client.openStream({ ...content, streamId: 'my-stream', open: openPlayback })
    await stream.end('viewer left')
    const engine = fake.engines[0]?.containerId
    const engineAttribute = { 'acestream.engine.container_id': engine }
    const contentAttributes = { 'acestream.content.key_type': 'infohash', 'acestream.content.key': KEY }
    const streamAttributes = { 'acestream.stream.id': 'my-stream', 'acestream.stream.state': 'live' }
    const attributesOf = (name: string) => host.named(name)[0]?.attributes
    expect(attributesOf('acquireEngine')).toEqual({ ...engineAttribute, 'acestream.lease.is_fallback': false })
    expect(attributesOf('openStream')).toEqual({ ...engineAttribute, ...contentAttributes, ...streamAttributes })
    expect(attributesOf('startStream')).toEqual({ ...engineAttribute, ...contentAttributes, ...streamAttributes })
    expect(attributesOf('endStream')).toEqual({
      'acestream.stream.id': 'my-stream',
      'acestream.end.reason': 'viewer left',
      'acestream.end.outcome': 'delivered',
      'acestream.end.attempts': 1,
    })
    expect(host.spans.filter(({ kind }) => kind === SpanKind.INTERNAL)).toHaveLength(4)
  })

  it('one end has one span, however often the host ends the stream', async () => {
    const { client, host } = instrumented()
    const stream = await client.openStream({ ...content, open: openPlayback })
    await Promise.all([stream.end(), stream.end(), client.streamEnded(stream.id)])
    await stream.end()
    expect(host.named('endStream')).toHaveLength(1)
  })

  it('last as long as the call', async () => {
    const { client, host } = instrumented()
    const [called, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const open = () => {
      called.resolve()
      return opened.promise.then(openPlayback)
    }
    const opening = client.openStream({ ...content, open })
    await called.promise
    expect(host.named('acquireEngine')).toHaveLength(1)
    expect(host.named('openStream')).toHaveLength(0)
    opened.resolve()
    await opening
    expect(host.named('openStream')).toHaveLength(1)
  })
})

describe('the spans of calls that fail', () => {
  it('have the status error, the code as error.type, and the exception', async () => {
    const { client, host } = instrumented()
    await client.acquireEngine()
    await failureOf(client.acquireEngine({ waitMs: 0 }))
    const failed = host.named('acquireEngine')[1]
    expect(failed?.status).toEqual({ code: SpanStatusCode.ERROR, message: expect.stringContaining('full') })
    expect(failed?.attributes['error.type']).toBe('CAPACITY')
    expect(failed?.events.map(({ name }) => name)).toEqual(['exception'])
  })

  it('are no error if the caller aborted: its viewer has gone', async () => {
    const { client, host } = instrumented()
    await client.acquireEngine()
    const controller = new AbortController()
    const waiting = failureOf(client.acquireEngine({ provision: false, signal: controller.signal }))
    controller.abort()
    await waiting
    const aborted = host.named('acquireEngine')[1]
    expect(aborted?.status.code).toBe(SpanStatusCode.UNSET)
    expect(aborted?.attributes['error.type']).toBe('AbortError')
  })

  it("of the host's open have the error of the host", async () => {
    const { client, host } = instrumented()
    const open = () => Promise.reject(new ContentError('no peers'))
    await failureOf(client.openStream({ ...content, open }))
    expect(host.named('openStream')[0]).toMatchObject({ status: { code: SpanStatusCode.ERROR }, attributes: { 'error.type': 'CONTENT' } })
  })

  it('an end that is given up is an error, although end() does not reject', async () => {
    const { client, host, fake, clock } = instrumented({}, { deliveryTimeoutMs: 0 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'refused', route: 'POST /events/stream_ended', times: Number.POSITIVE_INFINITY })
    expect((await during(clock, stream.end())).outcome).toBe('undeliverable')
    expect(host.named('endStream')[0]).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'CONNECTION', 'acestream.end.outcome': 'undeliverable' },
    })
  })
})

describe('the span of a request', () => {
  it('has the name, the kind and the attributes of the conventions for HTTP clients, and no query and no key', async () => {
    const { client, host, fake, clock } = instrumented({ latencyMs: 40 })
    await during(clock, client.listStreams({ status: 'started' }))
    const [span] = host.named('GET /streams')
    expect(span?.kind).toBe(SpanKind.CLIENT)
    expect(span?.status.code).toBe(SpanStatusCode.UNSET)
    expect(span?.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': 'orchestrator.test',
      'server.port': 80,
      'url.full': 'http://orchestrator.test/streams',
      'url.template': '/streams',
      'http.response.status_code': 200,
    })
    const [seconds = 0, nanoseconds = 0] = span?.duration ?? []
    expect(Math.round(seconds * 1_000 + nanoseconds / 1e6)).toBe(40)
    expect(JSON.stringify(host.spans.map(({ attributes, status, events }) => ({ attributes, status, events })))).not.toContain(fake.apiKey)
  })

  it.each([
    ['http://[::1]:8000/base', '::1', 8000, 'http://[::1]:8000/base/engines'],
    ['https://orchestrator.example', 'orchestrator.example', 443, 'https://orchestrator.example/engines'],
  ])('has the address and the port of %s', async (baseUrl, address, port, url) => {
    const { client, host } = instrumented({}, { baseUrl })
    await client.listEngines().catch(() => {})
    expect(host.named('GET /engines')[0]?.attributes).toMatchObject({ 'server.address': address, 'server.port': port, 'url.full': url })
  })

  it('of each attempt: one that failed has its status and error.type, and one that repeats it has the number of the repetition', async () => {
    const { client, host, fake, clock } = instrumented()
    fake.inject({ kind: 'status', status: 503, route: 'GET /engines' })
    fake.inject({ kind: 'refused', route: 'GET /engines' })
    await during(clock, client.listEngines())
    const spans = host.named('GET /engines')
    expect(spans.map(({ attributes }) => attributes['http.response.status_code'])).toEqual([503, undefined, 200])
    expect(spans.map(({ attributes }) => attributes['error.type'])).toEqual(['503', 'CONNECTION', undefined])
    expect(spans.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([undefined, 1, 2])
    expect(spans.map(({ status }) => status.code)).toEqual([SpanStatusCode.ERROR, SpanStatusCode.ERROR, SpanStatusCode.UNSET])
    expect(spans[0]?.status.message).toBeUndefined()
  })

  it('of a start that is sent again later still belongs to its start, and counts the repetitions', async () => {
    const { client, host, fake, clock } = instrumented()
    fake.inject({ kind: 'refused', route: 'POST /events/stream_started', times: 2 })
    await host.during('viewer', async () => (await client.acquireEngine()).startStream(playback()))
    await clock.advance(10_000)
    const spans = host.named('POST /events/stream_started')
    expect(spans.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([undefined, 1, 2])
    expect(spans.map((span) => host.path(span))).toEqual(Array(3).fill('POST /events/stream_started < startStream < viewer'))
  })

  it('that finds out the generation with 404 is no error', async () => {
    const { client, host } = instrumented({ generation: '2025-10' }, { dialect: 'auto' })
    await client.listEngines()
    const [probe] = host.named('GET /engines')
    expect(probe?.attributes['http.response.status_code']).toBe(404)
    expect(probe?.status.code).toBe(SpanStatusCode.UNSET)
    expect(probe?.attributes).not.toHaveProperty('error.type')
  })
})

describe('background work', () => {
  it('has no parent, although a span of a viewer was active when it began', async () => {
    const { client, host, clock } = instrumented(
      { generation: 'v1' },
      { dialect: 'auto', healthIntervalMs: 1_000, reconcileIntervalMs: 1_500 },
    )
    const gone = Promise.withResolvers<void>()
    const viewer = host.during('viewer that watches for hours', async () => {
      const lease = await client.acquireEngine()
      await lease.startStream(playback())
      await gone.promise
    })
    await clock.advance(10_000)
    const before = host.paths.length
    expect(host.named('GET /orchestrator/status').length).toBeGreaterThan(5)
    expect(host.named('GET /events/stream').length).toBeGreaterThan(0)
    for (const span of [
      ...host.named('GET /orchestrator/status'),
      ...host.named('GET /events/stream'),
      ...host.named('GET /streams').slice(1),
    ]) {
      expect(span.parentSpanContext, span.name).toBeUndefined()
    }
    expect(before).toBeGreaterThan(10)
    gone.resolve()
    await viewer
  })

  it('a list that is polled while callers wait has no parent', async () => {
    const { client, host, clock } = instrumented()
    await client.acquireEngine()
    const waiting = host.during('viewer', () => failureOf(client.acquireEngine({ provision: false, waitMs: 10_000 })))
    await clock.advance(10_000)
    await waiting
    const lists = host.named('GET /engines').slice(2)
    expect(lists.length).toBeGreaterThan(3)
    expect(lists.map((span) => span.parentSpanContext)).toEqual(lists.map(() => undefined))
  })
})

describe('background work that a call of a viewer starts', () => {
  it('has no parent: the probe of the circuit breaker, for which a caller waits', async () => {
    const { client, host, fake, clock } = instrumented(
      {},
      { retry: { attempts: 1 }, circuitBreaker: { failureThreshold: 1, resetAfterMs: 1_000 } },
    )
    const lease = await client.acquireEngine()
    fake.inject({ kind: 'refused', times: 1 })
    await host.during('viewer', () => lease.startStream(playback()))
    await clock.advance(10_000)
    expect(client.metrics().circuit).toBe('closed')
    const [, probe] = host.named('GET /engines')
    expect(probe?.parentSpanContext).toBeUndefined()
    expect(host.paths).toContain('POST /events/stream_started < startStream < viewer')
  })

  it('has no parent: the end of a stream whose engine is gone, as another call finds out', async () => {
    const { client, host, fake, clock } = instrumented({ engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.restart()
    await host.during('reconciling operator', () => client.reconcile())
    await clock.settle()
    expect(stream.lost.aborted).toBe(true)
    const [end] = host.named('endStream')
    expect(end?.attributes['acestream.end.reason']).toBe('engine_gone')
    expect(end?.parentSpanContext).toBeUndefined()
    expect(host.named('GET /streams').map((span) => host.path(span))).toContain('GET /streams < reconciling operator')
  })

  it('has no parent: the ends of the streams of a dead process', async () => {
    const fleet = new Fleet({ generation: '2026-04', engines: 2 })
    const first = fleet.join()
    const lease = await during(fleet.clock, first.client.acquireEngine())
    await during(fleet.clock, lease.startStream(playback()))
    first.die()
    const host = new OtelHost()
    const second = fleet.join({ clock: contextClock(fleet.clock) })
    instrument(second.client, { tracerProvider: host.tracerProvider })
    await host.during('viewer', () => during(fleet.clock, second.client.listEngines()))
    await fleet.clock.advance(60_000)
    const [end] = host.named('POST /events/stream_ended')
    expect(end).toBeDefined()
    expect(host.path(end as ReadableSpan)).toBe('POST /events/stream_ended')
  })
})

describe('a tracer of the host that throws', () => {
  it.each(['onStart', 'onEnd'] as const)(
    'in %s has no effect on the client, and its error goes to the diagnostics of OpenTelemetry',
    async (method) => {
      const error = vi.fn()
      diag.setLogger({ error, warn: () => {}, info: () => {}, debug: () => {}, verbose: () => {} })
      onTestFinished(() => diag.disable())
      const processor = { onStart: () => {}, onEnd: () => {}, shutdown: async () => {}, forceFlush: async () => {} }
      processor[method] = () => {
        throw new Error('the mistake of the host')
      }
      const { client } = setup({ engines: 1 })
      instrument(client, { tracerProvider: new BasicTracerProvider({ spanProcessors: [processor] }) })
      const stream = await client.openStream({ ...content, open: openPlayback })
      expect((await stream.end()).outcome).toBe('delivered')
      expect(error).toHaveBeenCalledWith(expect.any(String), expect.objectContaining({ message: 'the mistake of the host' }))
    },
  )
})

describe('a span of the host that refuses attributes', () => {
  it('ends all the same, and the call has its result', async () => {
    const { client, fake } = setup({ engines: 1 }, { retry: { attempts: 1 }, dialect: 'unversioned' })
    fake.inject({ kind: 'status', route: 'GET /engines', status: 500 })
    const host = new OtelHost()
    const tracer = host.tracerProvider.getTracer('host')
    const refuse = (): never => {
      throw new Error('the mistake of the host')
    }
    const startSpan: typeof tracer.startSpan = (...args) =>
      Object.assign(tracer.startSpan(...args), { setAttributes: refuse, setStatus: refuse })
    instrument(client, { tracerProvider: { getTracer: () => ({ startSpan, startActiveSpan: tracer.startActiveSpan }) } })
    await failureOf(client.listEngines())
    expect(host.named('GET /engines')).toHaveLength(1)
    const stream = await client.openStream({ ...content, open: openPlayback })
    expect((await stream.end()).outcome).toBe('delivered')
    for (const name of ['acquireEngine', 'startStream', 'openStream', 'endStream']) expect(host.named(name)).toHaveLength(1)
  })
})

describe('instrument', () => {
  it('observes nothing if the meter of the host throws', async () => {
    const { client } = setup({ engines: 1 })
    const host = new OtelHost()
    const meter = host.meterProvider.getMeter('host')
    const createHistogram = (): never => {
      throw new Error('the mistake of the host')
    }
    const addBatchObservableCallback = vi.fn()
    const broken = Object.assign(Object.create(meter) as typeof meter, { createHistogram, addBatchObservableCallback })
    const { tracerProvider } = host
    expect(() => instrument(client, { tracerProvider, meterProvider: { getMeter: () => broken } })).toThrow('the mistake of the host')
    await client.acquireEngine()
    expect(host.spans).toEqual([])
    expect(addBatchObservableCallback).not.toHaveBeenCalled()
  })

  it('ends with dispose(): later calls have no span, and a second dispose() does nothing', async () => {
    const { client, host, instrumentation } = instrumented()
    await client.listEngines()
    const before = host.spans.length
    instrumentation.dispose()
    instrumentation.dispose()
    await (await client.acquireEngine()).release()
    await client.checkHealth()
    expect(before).toBe(1)
    expect(host.spans).toHaveLength(1)
  })

  it('adds the attributes of the host to each span', async () => {
    const host = new OtelHost()
    const { client } = setup({ engines: 1 })
    instrument(client, { ...host, tracerProvider: host.tracerProvider, attributes: { site: 'north' } })
    await client.acquireEngine()
    expect(host.spans.map(({ attributes }) => attributes['site'])).toEqual(['north', 'north', 'north'])
  })

  it('works without an SDK: the calls of the client have their results', async () => {
    const { client } = setup({ engines: 1 })
    instrument(client)
    const stream = await client.openStream({ ...content, open: openPlayback })
    expect((await stream.end()).outcome).toBe('delivered')
  })

  it('rejects a misspelled option, and a value that is no provider, before it observes anything', () => {
    const { client } = setup()
    const refusal = (options: object) => () => instrument(client, options)
    expect(refusal({ tracer: trace })).toThrow(
      expect.objectContaining({ argument: 'tracer', message: expect.stringContaining('tracerProvider') }),
    )
    expect(refusal({ tracerProvider: {} })).toThrow(expect.objectContaining({ argument: 'tracerProvider' }))
    expect(refusal({ meterProvider: trace.getTracerProvider() })).toThrow(expect.objectContaining({ argument: 'meterProvider' }))
    expect(refusal({ attributes: 'north' })).toThrow(expect.objectContaining({ argument: 'attributes' }))
  })

  it('rejects a client of another package, and an object that wraps a client', () => {
    const { client } = setup()
    expect(() => instrument({} as never)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', argument: 'client' }))
    expect(() => instrument(new Proxy(client, {}))).toThrow(expect.objectContaining({ argument: 'client' }))
    expect(() => instrument(null as never)).toThrow(expect.objectContaining({ argument: 'client' }))
    expect(client).toBeInstanceOf(OrchestratorClient)
  })
})
