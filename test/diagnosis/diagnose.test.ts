import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ClientClosedError,
  type Connect,
  type Diagnosis,
  MemoryStore,
  OrchestratorClient,
  StoreError,
  type StoreErrorReason,
} from 'acestream-orchestrator-client'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { FakeOrchestrator, type Generation, ManualClock } from 'acestream-orchestrator-client/testing'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { loadChunks } from '../../src/runtime/chunk.ts'
import { connect, during, failureOf, setup } from '../support/setup.ts'

const GENERATIONS: readonly Generation[] = ['2025-10', '2026-04', 'v1']
const reachAll: Connect = async () => {}
const codesOf = ({ problems }: Diagnosis): string[] => problems.map(({ code }) => code)

// A load of code takes real time, which the manual clock does not measure.
beforeAll(loadChunks)

describe('a diagnosis', () => {
  it.each(GENERATIONS)('changes nothing at the orchestrator of %s', async (generation) => {
    const { client, fake } = setup({ generation, engines: 2 })
    const streams = fake.engines.map(({ containerId }) => fake.startElsewhere({ containerId }))
    const before = { log: fake.log, engines: fake.engines, streams: fake.streams }
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(diagnosis).toMatchObject({ reachable: true, generation, key: 'accepted' })
    expect({ log: fake.log, engines: fake.engines, streams: fake.streams }).toEqual(before)
    expect(fake.liveStreamIds().sort()).toEqual([...streams].sort())
    // A fenced end, or on v1, where events need no key, nothing.
    const writes = Object.keys(fake.counters.requests.byRoute).filter((route) => route.startsWith('POST'))
    expect(writes).toEqual(generation === 'v1' ? [] : ['POST /events/stream_ended'])
  })

  it('starts no background work: the client stays as idle as before', async () => {
    const { client, fake, clock } = setup({ generation: 'v1' }, { healthIntervalMs: 1_000, reconcileIntervalMs: 1_000 })
    await client.diagnose({ connect: reachAll })
    const { total } = fake.counters.requests
    await clock.advance(3_600_000)
    expect(fake.counters.requests.total).toBe(total)
    expect(client.metrics().requests.total).toBe(0)
  })

  it('shows the load of each engine with the leases of this client, and its limit', async () => {
    const { client, fake } = setup({ engines: 3 }, { maxStreamsPerEngine: 2 })
    const [first, second] = fake.engines
    fake.startElsewhere({ containerId: first?.containerId ?? '' })
    const ids = fake.engines.map(({ containerId }) => containerId)
    await client.acquireEngine({ exclude: ids.filter((id) => id !== second?.containerId) })
    await client.acquireEngine({ exclude: ids.filter((id) => id !== first?.containerId) })
    const { engines } = await client.diagnose({ connect: reachAll })
    expect(engines.map(({ containerId, load, limit }) => [ids.indexOf(containerId), load, limit])).toEqual([
      [0, 2, 2],
      [1, 1, 2],
      [2, 0, 2],
    ])
  })

  it('still reaches the orchestrator while the circuit of the client is open, and leaves it open', async () => {
    const { client, fake } = setup({}, { circuitBreaker: { failureThreshold: 1, resetAfterMs: 60_000 }, retry: { attempts: 1 } })
    fake.inject({ kind: 'status', status: 500 })
    await failureOf(client.listEngines())
    expect(client.metrics().circuit).toBe('open')
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(diagnosis.reachable).toBe(true)
    expect(codesOf(diagnosis)).toEqual(['circuit_open'])
    expect(client.metrics().circuit).toBe('open')
  })

  it('rejects with the reason of its signal, and ends its connections', async () => {
    const { client, clock } = setup({ engines: 1 })
    const viewer = new AbortController()
    const ended = vi.fn()
    const diagnosing = client.diagnose({
      signal: viewer.signal,
      connect: (_, { signal }) => new Promise(() => signal.addEventListener('abort', ended)),
    })
    await clock.settle()
    viewer.abort('gone')
    expect(await failureOf(diagnosing)).toBe('gone')
    expect(ended).toHaveBeenCalledOnce()
  })

  it('ends when the client closes, and a closed client makes none', async () => {
    const { client, clock } = setup({ engines: 1 })
    const diagnosing = failureOf(client.diagnose({ connect: () => new Promise(() => {}) }))
    await clock.settle()
    await client.close()
    expect(await diagnosing).toBeInstanceOf(ClientClosedError)
    expect(await failureOf(client.diagnose())).toBeInstanceOf(ClientClosedError)
  })

  it('never contains the API key, although the server repeats it', async () => {
    const apiKey = 'secret-key-0815'
    const server = createServer((request, response) => {
      response.writeHead(500, { 'content-type': 'application/json' }).end(`{"detail":"no ${request.headers.authorization}"}`)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const client = new OrchestratorClient({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${apiKey}`, apiKey })
    const diagnosis = await client.diagnose()
    expect(codesOf(diagnosis)).toEqual(['orchestrator_error'])
    expect(JSON.stringify(diagnosis)).not.toContain(apiKey)
    expect(diagnosis.problems[0]?.message).toContain('***')
  })

  it('never contains the API key, although it is in the path', async () => {
    const fake = new FakeOrchestrator({ apiKey: 'secret-key-0815' })
    await using server = await fake.listen()
    const client = new OrchestratorClient({ baseUrl: `${server.url}/${fake.apiKey}`, apiKey: fake.apiKey })
    const diagnosis = await client.diagnose()
    expect(codesOf(diagnosis)).toEqual(['wrong_path'])
    expect(JSON.stringify(diagnosis)).not.toContain(fake.apiKey)
  })

  it('sends the API key to the origin of the base URL only', async () => {
    const sent: string[] = []
    const transport = {
      request: async ({ url, headers }: { url: { origin: string }; headers: Record<string, string> }) => {
        sent.push(`${url.origin} ${headers['authorization'] === undefined ? 'without' : 'with'} the key`)
        return { status: 404, headers: new Headers(), body: 'not here' }
      },
    }
    const client = new OrchestratorClient({ baseUrl: 'http://proxy.test:9000/a', apiKey: 'secret-key-0815', transport })
    expect(codesOf(await client.diagnose())).toEqual(['wrong_service'])
    expect([...new Set(sent)].sort()).toEqual([
      'http://proxy.test:8000 without the key',
      'http://proxy.test:9000 with the key',
      'https://proxy.test:9000 without the key',
    ])
  })

  it('reaches an orchestrator at an IPv6 address', async () => {
    const fake = new FakeOrchestrator({ engines: 1 })
    await using server = await fake.listen({ host: '::1' })
    const client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey })
    expect(await client.diagnose({ connect: reachAll })).toMatchObject({ reachable: true, problems: [] })
  })

  it('does not take the end of an old connection for the reason: a server that was stopped refuses connections', async () => {
    const fake = new FakeOrchestrator({ engines: 1 })
    const server = await fake.listen()
    const client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey })
    await client.listEngines()
    await server.close()
    expect(codesOf(await client.diagnose())).toEqual(['connection_refused'])
    await client.close()
  })

  it('notices a clock that is more than ten seconds off', async () => {
    const { fake, client } = setup(
      { clock: new ManualClock(Date.UTC(2026, 0, 1)) },
      { clock: new ManualClock(Date.UTC(2026, 0, 1) - 60_000) },
    )
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(fake.engines).toHaveLength(3)
    expect(Math.round((diagnosis.clockSkewMs ?? 0) / 1_000)).toBe(61)
    expect(codesOf(diagnosis)).toEqual(['clock_skew'])
  })

  it.each([
    ['a proxy that forbids the request in plain text', 403, {}, 'Forbidden', 'access_denied'],
    ['a proxy that has no server for the request', 503, {}, 'no available server', 'gateway_error'],
    ['an orchestrator that explains its failure', 503, {}, '{"detail":"docker is down"}', 'orchestrator_error'],
    ['a redirect to a host whose name only contains the letters sso', 302, { location: 'http://espresso.lan/' }, '', 'redirected'],
    ['a redirect to a host whose name begins with the letters auth', 302, { location: 'http://author.lan/' }, '', 'redirected'],
    ['a redirect to a host that authenticates', 302, { location: 'http://auth.lan/' }, '', 'login_page'],
    ['a redirect to OAuth', 302, { location: 'http://id.lan/oauth2/start' }, '', 'login_page'],
    ['a redirect to a single sign-on', 302, { location: 'http://sso.lan/' }, '', 'login_page'],
  ])('names the cause: %s', async (_, status, headers, body, code) => {
    const transport = { request: async () => ({ status, headers: new Headers(headers), body }) }
    const { client } = setup({}, { transport })
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(codesOf(diagnosis)).toEqual([code])
    expect(diagnosis.key).toBe('unknown')
  })

  it.each(GENERATIONS)('on %s does not blame the key if a proxy in front wants credentials of its own for writes', async (generation) => {
    const { client, fake } = setup({ generation, engines: 1 })
    const headers = { 'www-authenticate': 'Basic realm="media"' }
    const route = generation === 'v1' ? 'GET /events/stream' : 'POST /events/stream_ended'
    fake.inject({ kind: 'status', route, status: 401, headers })
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(codesOf(diagnosis)).toEqual(['access_denied'])
    expect(diagnosis.problems[0]?.message).toContain('it wants basic credentials')
    expect(diagnosis.key).toBe('unknown')
  })

  it.each([
    ['dns error: failed to lookup address information: Name or service not known', 'host_not_found'],
    ['tcp connect error: Connection refused (os error 111)', 'connection_refused'],
    ['tcp connect error: No route to host (os error 113)', 'host_unreachable'],
  ])('names the cause also on Deno, whose errors have no codes: %s', async (message, code) => {
    const cause = new Error(`error sending request for url (http://host/engines): client error (Connect): ${message}`)
    const { client } = setup({}, { transport: { request: () => Promise.reject(new TypeError('fetch failed', { cause })) } })
    expect(codesOf(await client.diagnose({ connect: reachAll }))).toEqual([code])
  })

  it('names the refusal of a host with several addresses, of which another has no route', async () => {
    const attempts = ['ENETUNREACH', 'ECONNREFUSED'].map((code) => Object.assign(new Error(code), { code }))
    const cause = Object.assign(new AggregateError(attempts), { code: 'ENETUNREACH' })
    const { client } = setup({}, { transport: { request: () => Promise.reject(new TypeError('fetch failed', { cause })) } })
    expect(codesOf(await client.diagnose({ connect: reachAll }))).toEqual(['connection_refused'])
  })

  it.each(['bad port', 'Fetch failed: Requests to port 6000 are blocked'])('names a port that fetch blocks: %s', async (message) => {
    const { client } = setup({}, { transport: { request: () => Promise.reject(new TypeError(message)) } })
    expect((await client.diagnose({ connect: reachAll })).problems[0]?.message).toContain('fetch blocks ports')
  })

  it('says that the status cannot be read, and shows the rest', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', route: 'GET /orchestrator/status', status: 500, body: '{"detail":"docker is down"}' })
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(diagnosis.engines).toHaveLength(1)
    expect(codesOf(diagnosis)).toEqual(['orchestrator_error'])
  })
})

describe('the store of a diagnosis', () => {
  class FailingStore extends MemoryStore {
    readonly reason: StoreErrorReason
    constructor(reason: StoreErrorReason) {
      super()
      this.reason = reason
    }
    override endedAmong(): never {
      throw new StoreError('Redis at 10.0.0.9:6379 refuses connections', { reason: this.reason })
    }
  }

  it.each<[StoreErrorReason, string]>([
    ['unavailable', 'store_unavailable'],
    ['locked', 'store_unavailable'],
    ['newer-version', 'store_unusable'],
    ['corrupt', 'store_unusable'],
    ['unwritable', 'store_unusable'],
  ])('is reported if it is %s', async (reason, code) => {
    const { client } = setup({ engines: 1 }, { store: new FailingStore(reason) })
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(codesOf(diagnosis)).toEqual([code])
    expect(diagnosis.problems[0]?.message).toContain('Redis at 10.0.0.9:6379 refuses connections')
  })

  it('is reported if it is a RedisStore whose Redis refuses connections', async () => {
    const refuse = async (): Promise<never> => {
      throw new Error('connect ECONNREFUSED 10.0.0.9:6379')
    }
    const { fake, clock } = setup({ engines: 1 })
    const store = new RedisStore({ client: { evalSha: refuse, eval: refuse, duplicate: () => undefined }, clock })
    const client = connect(fake, clock, { store })
    const diagnosis = await during(clock, client.diagnose({ connect: reachAll }))
    expect(codesOf(diagnosis)).toEqual(['store_unavailable'])
    expect(diagnosis.problems[0]?.message).toContain('ECONNREFUSED 10.0.0.9:6379')
  })

  it('is reported if it is a SqliteStore whose file was deleted', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'diagnosis-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const path = join(directory, 'state.db')
    using store = new SqliteStore({ path })
    const { client } = setup({ engines: 1 }, { store })
    expect(codesOf(await client.diagnose({ connect: reachAll }))).toEqual([])
    rmSync(path)
    expect(codesOf(await client.diagnose({ connect: reachAll }))).toEqual(['store_unusable'])
  })

  it.each([undefined, ':memory:'])('is well in memory: %s', async (path) => {
    const store = path === undefined ? undefined : new SqliteStore({ path })
    const { client } = setup({ engines: 1 }, { store })
    expect(codesOf(await client.diagnose({ connect: reachAll }))).toEqual([])
    store?.close()
  })

  it('is reported if it cannot say which slots are taken', async () => {
    class BrokenStore extends MemoryStore {
      override usage(): never {
        throw new Error('out of order')
      }
    }
    const { client, fake } = setup({ engines: 1 }, { store: new BrokenStore() })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(codesOf(diagnosis)).toEqual(['store_unavailable'])
    expect(diagnosis.engines).toMatchObject([{ load: 1, limit: 1 }])
  })

  it('is reported if it does not answer within three seconds', async () => {
    class HangingStore extends MemoryStore {
      override endedAmong(): never {
        return new Promise(() => {}) as never
      }
    }
    const { client, clock } = setup({ engines: 1 }, { store: new HangingStore() })
    expect(codesOf(await during(clock, client.diagnose({ connect: reachAll })))).toEqual(['store_unavailable'])
  })

  it('is reported if it does not answer which slots are taken, and the diagnosis ends', async () => {
    class HangingStore extends MemoryStore {
      override usage(): never {
        return new Promise(() => {}) as never
      }
    }
    const { client, clock } = setup({ engines: 1 }, { store: new HangingStore() })
    const diagnosed = vi.fn<(found: Diagnosis) => void>()
    client.diagnose({ connect: reachAll }).then(diagnosed, () => {})
    await clock.advance(10_000)
    expect(diagnosed.mock.calls.map(([found]) => codesOf(found))).toEqual([['store_unavailable']])
  })

  it('is not waited for when the caller aborts, and leaves no rejection that nobody handles', async () => {
    class HangingStore extends MemoryStore {
      override usage(): never {
        return new Promise(() => {}) as never
      }
    }
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    onTestFinished(() => void process.off('unhandledRejection', unhandled))
    const transport = { request: () => new Promise<never>(() => {}) }
    const { client, clock } = setup({}, { store: new HangingStore(), transport })
    const viewer = new AbortController()
    const failed = failureOf(client.diagnose({ signal: viewer.signal, connect: reachAll }))
    await clock.settle()
    viewer.abort('gone')
    expect(await failed).toBe('gone')
    await clock.settle()
    expect(unhandled).not.toHaveBeenCalled()
  })
})

describe('the engines of a diagnosis', () => {
  it('are reached at the address that mapEngine returns, an IPv6 address without brackets', async () => {
    const addresses: unknown[] = []
    const { client } = setup(
      { engines: [{ host: 'gluetun', port: 7 }] },
      { mapEngine: ({ port }) => ({ host: '[fd00::7]', port: port + 1 }) },
    )
    const { engines, problems } = await client.diagnose({ connect: async (address) => void addresses.push(address) })
    expect(addresses).toEqual([{ host: 'fd00::7', port: 8 }])
    expect(engines).toMatchObject([{ host: '[fd00::7]', port: 8, reachable: true }])
    expect(problems).toEqual([])
  })

  it('are listed although mapEngine fails for them', async () => {
    const mapEngine = (): never => {
      throw new Error('no such port')
    }
    const { client } = setup({ engines: [{ host: 'gluetun', port: 7 }] }, { mapEngine })
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(diagnosis.engines).toMatchObject([{ host: 'gluetun', port: 7, error: 'mapEngine failed: no such port' }])
    expect(diagnosis.engines[0]).not.toHaveProperty('reachable')
    expect(codesOf(diagnosis)).toEqual(['map_engine_failed'])
  })

  it('are checked at most 32 at once, each within requestTimeoutMs, and no more after ten seconds', async () => {
    const { client, clock } = setup({ engines: 200 }, { requestTimeoutMs: 3_000 })
    let [now, most] = [0, 0]
    const hang: Connect = (_, { signal }) => {
      now += 1
      most = Math.max(most, now)
      return new Promise(() => signal.addEventListener('abort', () => (now -= 1)))
    }
    const { engines, problems } = await during(clock, client.diagnose({ connect: hang }), 500)
    expect(most).toBe(32)
    const checked = engines.filter(({ reachable }) => reachable === false)
    expect(checked).toHaveLength(4 * 32)
    expect(checked[0]?.error).toBe('no connection within 3000 ms')
    expect(engines.filter((engine) => !('reachable' in engine))).toHaveLength(200 - 4 * 32)
    expect(problems[0]?.message).toMatch(/^No connection to 128 of 200 engines \(.*, .*, .* and 125 more\)/)
  })

  it('are judged without the rankEngines of the host, which may fail', async () => {
    const rankEngines = (): never => {
      throw new Error('no order')
    }
    const { client } = setup({ engines: 2 }, { rankEngines })
    expect(await client.diagnose({ connect: reachAll })).toMatchObject({ engines: [{}, {}], problems: [] })
  })

  it('that cannot be used, because of their address, are counted', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({
      kind: 'status',
      route: 'GET /engines',
      status: 200,
      body: JSON.stringify([
        { container_id: 'good', host: 'a', port: 1, streams: [] },
        { container_id: 'bad', host: 'b', port: -1, streams: [] },
      ]),
    })
    const diagnosis = await client.diagnose({ connect: reachAll })
    expect(diagnosis.engines.map(({ containerId }) => containerId)).toEqual(['good'])
    expect(codesOf(diagnosis)).toEqual(['engines_unreadable'])
  })
})

describe('the API key of a diagnosis', () => {
  it.each(GENERATIONS)('is neither accepted nor rejected by %s if none is set and none is required', async (generation) => {
    const { client } = setup({ generation, engines: 1, apiKey: '' }, { apiKey: undefined })
    expect(await client.diagnose({ connect: reachAll })).toMatchObject({ key: 'none', problems: [] })
  })

  it('is checked by 2026-04 without engines, which looks like v1', async () => {
    const { fake, clock } = setup({ generation: '2026-04', engines: 0 })
    const right = await connect(fake, clock).diagnose({ connect: reachAll })
    const wrong = await connect(fake, clock, { apiKey: 'wrong' }).diagnose({ connect: reachAll })
    expect([right.key, wrong.key]).toEqual(['accepted', 'rejected'])
    expect(right.generation).toBe('2026-04')
  })

  it('is not known on v1 if the transport cannot open the event stream', async () => {
    const { fake, client } = setup({ generation: 'v1', engines: 1 }, {})
    const { clock } = setup()
    const plain = connect(fake, clock, { transport: { request: (request) => fake.request(request) } })
    expect((await plain.diagnose({ connect: reachAll })).key).toBe('unknown')
    expect((await client.diagnose({ connect: reachAll })).key).toBe('accepted')
  })
})

describe('the generation of a client', () => {
  it.each(GENERATIONS)('is %s as soon as an answer shows it', async (generation) => {
    const { client } = setup({ generation, engines: 1 })
    expect(client.generation).toBeUndefined()
    await client.listEngines()
    expect(client.generation).toBe(generation)
  })

  it.each(GENERATIONS)('is shown by the status of %s if there are no engines', async (generation) => {
    const { client } = setup({ generation, engines: 0 })
    await client.listEngines()
    expect(client.generation).toBe(generation === '2025-10' ? '2025-10' : undefined)
    await client.checkHealth()
    expect(client.generation).toBe(generation)
  })

  it.each(GENERATIONS)('is %s after a diagnosis', async (generation) => {
    const { client } = setup({ generation, engines: 0 })
    await client.diagnose({ connect: reachAll })
    expect(client.generation).toBe(generation)
  })

  it('changes with the orchestrator', async () => {
    const { fake: older, clock } = setup({ generation: '2025-10', engines: 1 })
    const { fake: newer } = setup({ generation: 'v1', engines: 1 })
    let current = older
    const transport = { request: (request: Parameters<typeof older.request>[0]) => current.request(request) }
    const client = connect(older, clock, { transport, retry: { attempts: 1 } })
    await client.listEngines()
    current = newer
    await failureOf(client.listEngines({ fresh: true }))
    await client.listEngines({ fresh: true })
    expect(client.generation).toBe('v1')
  })
})
