import { runInNewContext } from 'node:vm'
import { KyTransport, OrchestratorClient } from 'acestream-orchestrator-client'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { describeStateStore, FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { failureOf, playback, setup } from '../support/setup.ts'

const baseUrl = 'http://orchestrator:8000'
const signal = new AbortController().signal
const refusal = (argument: string, message: string) => expect.objectContaining({ code: 'INVALID_ARGUMENT', argument, message })

/** Passes a value as a JavaScript user does: no compiler checks its type. */
const untyped = (value: unknown): never => value as never

describe('a misspelt option of the constructor', () => {
  it.each([
    [{ maxStreamPerEngine: 2 }, 'maxStreamPerEngine', 'unknown option maxStreamPerEngine; did you mean maxStreamsPerEngine?'],
    [{ maxstreamsperengine: 2 }, 'maxstreamsperengine', 'unknown option maxstreamsperengine; did you mean maxStreamsPerEngine?'],
    [{ api_key: 'k' }, 'api_key', 'unknown option api_key; did you mean apiKey?'],
    [{ cacheTtl: 5 }, 'cacheTtl', 'unknown option cacheTtl; did you mean cacheTtlMs?'],
    [{ retry: { attemps: 3 } }, 'retry.attemps', 'unknown option retry.attemps; did you mean retry.attempts?'],
    [{ retry: { times: 3 } }, 'retry.times', 'unknown option retry.times; known: attempts, baseDelayMs, maxDelayMs'],
    [
      { circuitBreaker: { failures: 3 } },
      'circuitBreaker.failures',
      'unknown option circuitBreaker.failures; known: failureThreshold, resetAfterMs',
    ],
    [
      { circuitBreaker: { resetAfter: 3 } },
      'circuitBreaker.resetAfter',
      'unknown option circuitBreaker.resetAfter; did you mean circuitBreaker.resetAfterMs?',
    ],
    [
      { fallbackEngine: { host: 'a', port: 1, ports: 2 } },
      'fallbackEngine.ports',
      'unknown option fallbackEngine.ports; did you mean fallbackEngine.port?',
    ],
  ])('in %o is rejected, and the error names the valid options', (options, argument, message) => {
    expect(() => new OrchestratorClient(untyped({ baseUrl, ...options }))).toThrow(refusal(argument, message))
    expect(() => OrchestratorClient.fromEnv({ ACEXY_ORCH_URL: baseUrl }, untyped(options))).toThrow(refusal(argument, message))
  })

  it.each(['ttl', 'fetch', 'engine', 'timeoutMs', 'max', 'ms', 'id'])(
    'an option named %s resembles no valid name or several: the error suggests none and lists all',
    (name) => {
      expect(() => new OrchestratorClient(untyped({ baseUrl, [name]: 1 }))).toThrow(`unknown option ${name}; known: baseUrl, `)
    },
  )

  it.each([
    ['maxPending', 'maxPendingEvents'],
    ['url', 'baseUrl'],
    ['log', 'logger'],
    ['start', 'startWaitMs'],
    ['cahce', 'cache'],
    ['cacheTtlMillis', 'cacheTtlMs'],
    ['clockSource', 'clock'],
    ['cacheTTL', 'cacheTtlMs'],
    ['headers_', 'headers'],
    ['maxConcurrentRequest', 'maxConcurrentRequests'],
  ])('an option named %s is rejected, and the error suggests %s', (name, meant) => {
    expect(() => new OrchestratorClient(untyped({ baseUrl, [name]: 1 }))).toThrow(`unknown option ${name}; did you mean ${meant}?`)
  })

  it('is rejected even if its value is undefined', () => {
    expect(() => new OrchestratorClient(untyped({ baseUrl, cacheTTLMs: undefined }))).toThrow('did you mean cacheTtlMs?')
  })

  it('a name of 10,000 characters is cut to 100 in the error, which lists the valid names', () => {
    const create = () => new OrchestratorClient(untyped({ baseUrl, ['x'.repeat(10_000)]: 1 }))
    expect(create).toThrow(
      expect.objectContaining({ argument: 'x'.repeat(100), message: expect.stringMatching(/; known: baseUrl, apiKey, /) }),
    )
    expect(create).toThrow(expect.objectContaining({ message: expect.not.stringContaining('x'.repeat(101)) }))
  })

  it('can only be an own enumerable string key: inherited keys, symbols and hidden keys are ignored', () => {
    const options = Object.create({ inherited: 1 }, { hidden: { value: 1 }, baseUrl: { value: baseUrl, enumerable: true } })
    options[Symbol('tag')] = 1
    expect(() => new OrchestratorClient(options)).not.toThrow()
    expect(() => new OrchestratorClient(untyped(JSON.parse(`{"baseUrl":"${baseUrl}","__proto__":1}`)))).toThrow(/unknown option __proto__/)
    expect(() => new OrchestratorClient(untyped({ baseUrl, toString: () => '' }))).toThrow(/unknown option toString/)
  })
})

describe('a misspelt option of a call', () => {
  type Call = (client: OrchestratorClient) => Promise<unknown>
  const start = { ...playback(), engine: { host: 'h', port: 1, containerId: 'c' } }
  const calls: [name: string, call: Call, argument: string, message: string][] = [
    ['acquireEngine', (c) => c.acquireEngine(untyped({ wait: 3 })), 'wait', 'unknown option wait; did you mean waitMs?'],
    ['listEngines', (c) => c.listEngines(untyped({ refresh: true })), 'refresh', 'unknown option refresh; did you mean fresh?'],
    [
      'listStreams (filter)',
      (c) => c.listStreams(untyped({ container_id: 'c' })),
      'filter.container_id',
      'unknown option filter.container_id; did you mean filter.containerId?',
    ],
    ['listStreams', (c) => c.listStreams({}, untyped({ signl: signal })), 'signl', 'unknown option signl; did you mean signal?'],
    ['provisionEngine', (c) => c.provisionEngine(untyped({ label: {} })), 'label', 'unknown option label; did you mean labels?'],
    ['streamStarted', (c) => c.streamStarted(untyped({ ...start, label: {} })), 'label', 'unknown option label; did you mean labels?'],
    ['streamStarted (options)', (c) => c.streamStarted(start, untyped({ abort: signal })), 'abort', 'unknown option abort; known: signal'],
    [
      'streamStarted (engine)',
      (c) => c.streamStarted(untyped({ ...playback(), engine: { host: 'h', port: 1, container_id: 'c' } })),
      'engine.containerId',
      'engine.containerId is missing; did you write it as engine.container_id?',
    ],
    ['checkHealth', (c) => c.checkHealth(untyped({ timeoutMs: 1 })), 'timeoutMs', 'unknown option timeoutMs; known: signal'],
    ['reconcile', (c) => c.reconcile(untyped({ sig: signal })), 'sig', 'unknown option sig; did you mean signal?'],
    ['flush', (c) => c.flush(untyped({ timeoutMs: 1 })), 'timeoutMs', 'unknown option timeoutMs; known: signal'],
    ['close', (c) => c.close(untyped({ timeout: 1 })), 'timeout', 'unknown option timeout; did you mean timeoutMs?'],
  ]
  it.each(calls)('is rejected by %s: the error names the valid option, and nothing is sent', async (_, call, argument, message) => {
    const { client, fake } = setup()
    expect(await failureOf(call(client))).toEqual(refusal(argument, message))
    expect(fake.counters.requests.total).toBe(0)
  })

  const passSignal: [name: string, call: Call, example?: string][] = [
    ['acquireEngine', (c) => c.acquireEngine(untyped(signal))],
    ['listEngines', (c) => c.listEngines(untyped(signal))],
    ['listStreams', (c) => c.listStreams({}, untyped(signal))],
    ['provisionEngine', (c) => c.provisionEngine(untyped(signal))],
    ['streamStarted', (c) => c.streamStarted(start, untyped(signal))],
    ['checkHealth', (c) => c.checkHealth(untyped(signal))],
    ['reconcile', (c) => c.reconcile(untyped(signal))],
    ['flush', (c) => c.flush(untyped(signal))],
    ['close', (c) => c.close(untyped(signal)), 'the options are timeoutMs'],
  ]
  it.each(passSignal)(
    '%s rejects an AbortSignal in place of its options, and the error says what to pass',
    async (_, call, example = 'pass { signal }') => {
      const { client } = setup()
      expect(await failureOf(call(client))).toEqual(refusal('options', `options: expected an object, not an AbortSignal: ${example}`))
    },
  )

  it.each([
    ['a lease', {}],
    ['a lease on the fallback engine', { fallbackEngine: { host: 'fallback', port: 6878 } }],
  ])('is rejected by startStream() of %s, and the lease can start a stream afterwards', async (_, options) => {
    const { client, fake } = setup({}, { ...options, retry: { attempts: 1 } })
    if ('fallbackEngine' in options) fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    const lease = await client.acquireEngine({ waitMs: 0 })
    expect(lease.isFallback).toBe('fallbackEngine' in options)
    const message = 'options: expected an object, not an AbortSignal: pass { signal }'
    expect(await failureOf(lease.startStream(playback(), untyped(signal)))).toEqual(refusal('options', message))
    const misspelt = untyped({ ...playback(), streamID: 'mine' })
    expect(await failureOf(lease.startStream(misspelt))).toEqual(refusal('streamID', 'unknown option streamID; did you mean streamId?'))
    expect(fake.counters.requests.byRoute['POST /events/stream_started']).toBeUndefined()
    const stream = await lease.startStream(playback())
    expect(stream.state).toBe('live')
  })

  it('in a session, such as playback_session_id, is named in the error, while additional fields of the engine’s answer are accepted', async () => {
    const { client } = setup()
    const lease = await client.acquireEngine()
    const { session, ...rest } = playback()
    const answer = { playback_session_id: 's', stat_url: session.statUrl, command_url: session.commandUrl, is_live: 1 }
    expect(await failureOf(lease.startStream(untyped({ ...rest, session: answer })))).toEqual(
      refusal('session.playbackSessionId', 'session.playbackSessionId is missing; did you write it as session.playback_session_id?'),
    )
    const stream = await lease.startStream(untyped({ ...rest, session: { ...answer, ...session } }))
    expect(stream.state).toBe('live')
  })
})

describe('an object of a wrong kind in place of options', () => {
  const controller = new AbortController()
  const calls: [name: string, call: (client: OrchestratorClient) => unknown, message: string][] = [
    [
      'acquireEngine(controller)',
      (client) => client.acquireEngine(untyped(controller)),
      'options: expected an object, not an AbortController: pass { signal: controller.signal }',
    ],
    [
      'acquireEngine(map)',
      (client) => client.acquireEngine(untyped(new Map())),
      'not a Map: the options are signal, waitMs, provision, exclude, content',
    ],
    [
      'listStreams(signal)',
      (client) => client.listStreams(untyped(signal)),
      'filter: expected an object, not an AbortSignal: pass { signal } as the second argument',
    ],
    [
      'listStreams(controller)',
      (client) => client.listStreams(untyped(controller)),
      'filter: expected an object, not an AbortController: pass { signal } as the second argument',
    ],
    [
      'listStreams({ signal })',
      (client) => client.listStreams(untyped({ signal })),
      'unknown option filter.signal; pass { signal } as the second argument',
    ],
    [
      'streamStarted({ …, signal })',
      (client) => client.streamStarted(untyped({ ...playback(), engine: { host: 'h', port: 1 }, signal })),
      'unknown option signal; pass { signal } as the second argument',
    ],
    [
      'provisionEngine({ labels: map })',
      (client) => client.provisionEngine({ labels: untyped(new Map([['a', 'b']])) }),
      'labels: expected an object of texts, not a Map',
    ],
    [
      'new OrchestratorClient(clock)',
      () => new OrchestratorClient(untyped(new ManualClock())),
      'not a ManualClock: the options are baseUrl, ',
    ],
    [
      'new OrchestratorClient({ retry: date })',
      () => new OrchestratorClient(untyped({ baseUrl, retry: new Date() })),
      'retry: expected an object, not a Date: the options are',
    ],
    [
      'fromEnv({}, clock)',
      () => OrchestratorClient.fromEnv({}, untyped(new ManualClock())),
      'overrides: expected an object, not a ManualClock',
    ],
    [
      'new KyTransport(clock)',
      () => new KyTransport(untyped(new ManualClock())),
      'options: expected an object, not a ManualClock: the options are clock',
    ],
    [
      'new FakeOrchestrator(clock)',
      () => new FakeOrchestrator(untyped(new ManualClock())),
      'not a ManualClock: the options are generation, ',
    ],
    [
      'new ManualClock({ startMs })',
      () => new ManualClock(untyped({ startMs: 1 })),
      'startMs: expected a finite number of milliseconds since the epoch',
    ],
  ]
  it.each(calls)('is rejected by %s, and the error says what was expected', async (_, call, message) => {
    const { client } = setup()
    expect(await failureOf((async () => call(client))())).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message),
    })
  })

  it('an object of another realm, an empty object and an instance with getters are accepted as options', async () => {
    const { client } = setup()
    const foreign: unknown = runInNewContext('({})')
    expect(await client.listStreams(untyped(foreign))).toEqual([])
    expect(await client.listEngines(Object.create(null))).toEqual(await client.listEngines())
    class Settings {
      get baseUrl() {
        return baseUrl
      }
    }
    expect(() => new OrchestratorClient(new Settings())).not.toThrow()
  })
})

describe('an engine that the host describes', () => {
  it.each([
    [{ containerId: 'c', name: 'e1' }],
    [{ containerId: 'c', container_name: 'e1' }],
    [{ container: 'c', containerIp: '10.0.0.1', contained: true }],
    [{ containerId: 'c', container_id: 'c', hostname: 'other', ports: [] }],
  ])('is accepted with additional fields: %o', async (more) => {
    const { client } = setup()
    const stream = await client.streamStarted(untyped({ ...playback(), engine: { host: 'h', port: 1, ...more } }))
    expect(stream.state).toBe('live')
  })

  it.each([
    [{ hostname: 'h', port: 1 }, 'host', 'hostname'],
    [{ Host: 'h', port: 1, name: 'e1' }, 'host', 'Host'],
    [{ host: 'h', ports: 1 }, 'port', 'ports'],
    [{ host: 'h', port: 1, container_id: 'c' }, 'containerId', 'container_id'],
    [{ host: 'h', port: 1, containerid: 'c' }, 'containerId', 'containerid'],
  ])('is rejected if %o lacks %s, and the error names the misspelt field', async (engine, field, found) => {
    const { client } = setup()
    expect(await failureOf(client.streamStarted(untyped({ ...playback(), engine })))).toEqual(
      refusal(`engine.${field}`, `engine.${field} is missing; did you write it as engine.${found}?`),
    )
  })

  it('is rejected in the same way if mapEngine returns it', async () => {
    const { client } = setup({}, { mapEngine: () => untyped({ hostname: 'h', port: 1 }) })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toEqual(
      refusal('mapEngine.host', 'mapEngine.host is missing; did you write it as mapEngine.hostname?'),
    )
  })
})

describe('a misspelt event name', () => {
  it.each(['on', 'once', 'off'] as const)('is rejected by %s(), and the error suggests the valid name', (method) => {
    const { client } = setup()
    const message = 'unknown event engine:aquired; did you mean engine:acquired?'
    expect(() => client[method](untyped('engine:aquired'), () => {})).toThrow(refusal('event', message))
    expect(() => client[method](untyped('toString'), () => {})).toThrow(/unknown event toString; known: engines:refreshed, /)
    expect(() => client[method](untyped(undefined), () => {})).toThrow(/event: expected one of the names engines:refreshed, /)
  })
})

describe('a misspelt option of a store, a transport or the test kit', () => {
  const fake = new FakeOrchestrator()
  it.each([
    ['SqliteStore', () => new SqliteStore(untyped({ path: ':memory:', onFail: 'memory' })), 'did you mean onFailure?'],
    ['RedisStore', () => new RedisStore(untyped({ client: {}, slotTtl: 1 })), 'did you mean slotTtlMs?'],
    ['KyTransport', () => new KyTransport(untyped({ clocks: 1 })), 'did you mean clock?'],
    ['FakeOrchestrator', () => new FakeOrchestrator(untyped({ generations: 'v1' })), 'did you mean generation?'],
    ['FakeOrchestrator (engines)', () => new FakeOrchestrator(untyped({ engines: [{ hosts: 'a' }] })), 'did you mean host?'],
    ['inject', () => fake.inject(untyped({ kind: 'status', routes: 'GET /engines' })), 'did you mean route?'],
    ['inject (kind)', () => fake.inject({ kind: untyped('lost-anwser') }), 'unknown kind lost-anwser; did you mean lost-answer?'],
    [
      'inject (route)',
      () => fake.inject({ kind: 'reset', route: 'POST /event/stream_started' }),
      'unknown route POST /event/stream_started; did you mean POST /events/stream_started?',
    ],
    ['inject (several routes)', () => fake.inject({ kind: 'reset', route: ['GET /streams', '/engines'] }), 'did you mean GET /engines?'],
    ['restart', () => fake.restart(untyped({ downFor: 1 })), 'known: downMs'],
    ['setProvisioning', () => fake.setProvisioning(untyped({ refused: 'vpn_error' })), 'did you mean refuse?'],
    ['updateEngine', () => fake.updateEngine(fake.addEngine(), untyped({ healthstatus: 'unknown' })), 'did you mean healthStatus?'],
    ['startElsewhere', () => fake.startElsewhere(untyped({ container: 'x' })), 'did you mean containerId?'],
    [
      'describeStateStore',
      () =>
        describeStateStore(
          untyped(() => {}),
          untyped({ durables: true }),
        ),
      'did you mean durable?',
    ],
  ])('is rejected by %s, and the error names the valid options', (_, call, message) => {
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }))
  })

  it('is rejected by listen, and the error suggests the valid name', async () => {
    expect(await failureOf(fake.listen(untyped({ hostname: 'x' })))).toMatchObject({
      message: 'unknown option hostname; did you mean host?',
    })
  })

  it('inject accepts a route that only another generation has, and the route of unknown requests', () => {
    expect(() => fake.inject({ kind: 'reset', route: ['GET /events/stream', 'GET (unknown)'] })).not.toThrow()
  })
})
