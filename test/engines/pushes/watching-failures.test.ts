import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type Fault, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { listRequests, PushTransport, streamRequests } from '../../support/push-transport.ts'
import { connect, setup } from '../../support/setup.ts'

const route = 'GET /events/stream'
const always = Number.POSITIVE_INFINITY

function watching(options: Partial<OrchestratorClientOptions> = {}) {
  const { clock, fake } = setup({ generation: 'v1' })
  const wire = new PushTransport(fake, clock)
  const client = connect(fake, clock, { transport: wire, dialect: 'v1', ...options })
  const acquireAndRelease = async (): Promise<void> => (await client.acquireEngine()).release()
  /** Acquires and releases once a second, so that the connection stays needed. */
  const acquireEachSecond = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      await clock.advance(1_000)
      await acquireAndRelease()
    }
  }
  return { clock, fake, wire, client, acquireAndRelease, acquireEachSecond }
}

describe('an event stream that is rejected', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['401', { kind: 'status', status: 401 }],
    ['403', { kind: 'status', status: 403 }],
    ['404', { kind: 'status', status: 404 }],
    ['a redirect', { kind: 'redirect' }],
    ['an HTML page', { kind: 'status', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
  ])('with %s is not requested again for 10 min, and lists are requested as usual', async (_, fault) => {
    const { fake, acquireAndRelease, acquireEachSecond, clock } = watching({ cacheTtlMs: 1_000 })
    fake.inject({ ...fault, route, times: always })
    await acquireAndRelease()
    await acquireEachSecond(30)
    expect(streamRequests(fake)).toBe(1)
    expect(listRequests(fake)).toBe(2 * 31)
    await clock.advance(569_000)
    await acquireAndRelease()
    expect(streamRequests(fake)).toBe(1)
    await clock.advance(1_000)
    await acquireAndRelease()
    expect(streamRequests(fake)).toBe(2)
  })

  it('makes the client request lists at once, not after the 1 s that it waits for a first push', async () => {
    const { fake, acquireAndRelease, clock } = watching({ cacheTtlMs: 100 })
    fake.inject({ kind: 'status', status: 404, route, times: always })
    await acquireAndRelease()
    await clock.advance(100)
    await acquireAndRelease()
    expect(listRequests(fake)).toBe(2 * 2)
  })

  it('by 2026-04, which looks like v1 while it has no engines, is requested once in 30 s', async () => {
    const { clock, fake } = setup({ generation: '2026-04', engines: 0 })
    const client = connect(fake, clock)
    for (let second = 0; second < 30; second += 1) {
      await client.acquireEngine({ waitMs: 0 }).catch(() => {})
      await clock.advance(1_000)
    }
    expect(client.metrics().requests.byRoute[route]).toBe(1)
  })

  it('because of a wrong API key is requested once in 30 s and logged once, without the key', async () => {
    const logged: unknown[] = []
    const log = (message: string, fields?: object): void => void logged.push([message, fields])
    const logger = { debug: () => {}, info: log, warn: log, error: log }
    const { fake, acquireAndRelease, acquireEachSecond, client } = watching({ apiKey: 'wrong-secret', logger })
    await acquireAndRelease()
    await acquireEachSecond(30)
    expect(streamRequests(fake)).toBe(1)
    expect(logged).toMatchObject([
      [expect.stringContaining('rejects the API key'), {}],
      [expect.stringContaining('no event stream'), { code: 'AUTHENTICATION', againInMs: 600_000 }],
    ])
    expect(JSON.stringify(logged)).not.toContain('wrong-secret')
    expect(client.metrics().requests).toMatchObject({ failed: 1 })
  })
})

describe('an event stream that fails', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['status 500', { kind: 'status', status: 500 }],
    ['status 429', { kind: 'status', status: 429 }],
    ['a refused connection', { kind: 'refused' }],
    ['a reset connection', { kind: 'reset' }],
  ])('with %s is retried 1, 3, 7, 15, 30 and 45 s later, when random() returns 0.5', async (_, fault) => {
    const { fake, acquireAndRelease, clock } = watching({ random: () => 0.5 })
    fake.inject({ ...fault, route, times: always })
    await acquireAndRelease()
    const at: number[] = []
    for (let second = 0; second < 50; second += 1) {
      const before = streamRequests(fake)
      await clock.advance(1_000)
      if (streamRequests(fake) > before) at.push(second + 1)
    }
    // The pauses are half of 2, 4, 8 and 16 s, and then half of 30 s.
    expect(at).toEqual([1, 3, 7, 15, 30, 45])
  })

  it('for a minute is requested at most 16 times, and the number differs between clients', async () => {
    const counts = new Set<number>()
    for (let seed = 1; seed <= 40; seed += 1) {
      const { fake, acquireAndRelease, acquireEachSecond } = watching({ random: seededRandom(seed) })
      fake.inject({ kind: 'status', status: 500, route, times: always })
      await acquireAndRelease()
      await acquireEachSecond(60)
      expect(streamRequests(fake)).toBeLessThanOrEqual(16)
      counts.add(streamRequests(fake))
    }
    expect(counts.size).toBeGreaterThan(3)
  })

  it('with a Retry-After of 20 s is retried after 20 s', async () => {
    const { fake, acquireAndRelease, clock } = watching({ random: () => 0 })
    fake.inject({ kind: 'status', status: 503, headers: { 'retry-after': '20' }, route })
    await acquireAndRelease()
    await clock.advance(19_999)
    expect(streamRequests(fake)).toBe(1)
    await clock.advance(1)
    expect(streamRequests(fake)).toBe(2)
  })

  it('after its first message, every time, is requested at most 16 times in a minute', async () => {
    const { fake, clock, acquireAndRelease, wire, acquireEachSecond } = watching({ random: seededRandom(5) })
    const stream = wire.stream.bind(wire)
    wire.stream = async (request) => {
      const answer = await stream(request)
      async function* first(): AsyncGenerator<string | Uint8Array> {
        for await (const piece of answer.body) {
          yield piece
          return
        }
      }
      return { ...answer, body: first() }
    }
    await acquireAndRelease()
    await acquireEachSecond(60)
    expect(streamRequests(fake)).toBeLessThanOrEqual(16)
    expect(streamRequests(fake)).toBeGreaterThan(3)
    expect(clock.pendingCount).toBeLessThan(6)
  })

  it('because the orchestrator restarts is opened again within 1 s, and shows the new engines', async () => {
    const { fake, client, clock, acquireAndRelease, acquireEachSecond } = watching()
    await acquireAndRelease()
    await acquireEachSecond(15)
    fake.restart()
    await clock.advance(1_000)
    expect(streamRequests(fake)).toBe(2)
    const before = listRequests(fake)
    const listed = (await client.listEngines()).map((engine) => engine.containerId).sort()
    expect(listed).toEqual(fake.engines.map((engine) => engine.containerId).sort())
    expect(listRequests(fake)).toBe(before)
  })

  it('after it had worked is retried within 500 ms, though earlier attempts had failed', async () => {
    const { fake, clock, acquireAndRelease, acquireEachSecond } = watching({ random: () => 0.5 })
    const fault = fake.inject({ kind: 'status', status: 500, route, times: 3 })
    await acquireAndRelease()
    await acquireEachSecond(20)
    expect([fault.hits, streamRequests(fake)]).toEqual([3, 4])
    fake.restart()
    await clock.advance(500)
    expect(streamRequests(fake)).toBe(5)
  })
})

describe('the connection of the event stream', () => {
  it('is replaced after 5 s in which only keep-alive comments arrived', async () => {
    const { fake, wire, clock, acquireAndRelease } = watching({ random: () => 0 })
    wire.mangle = (text) => (text.startsWith('event:') ? [': keep-alive\n\n'] : [text])
    await acquireAndRelease()
    await clock.advance(4_999)
    expect(wire.connections).toHaveLength(1)
    await clock.advance(1)
    expect(wire.connections[0]?.aborted).toBe(true)
    await clock.advance(0)
    expect(streamRequests(fake)).toBe(2)
  })

  it('is replaced when its headers do not arrive within requestTimeoutMs', async () => {
    const { fake, wire, clock, acquireAndRelease } = watching({ random: () => 0, requestTimeoutMs: 3_000 })
    fake.inject({ kind: 'lost-answer', route })
    await acquireAndRelease()
    await clock.advance(3_000)
    expect(wire.connections[0]?.aborted).toBe(true)
    await clock.advance(0)
    expect(wire.connections[1]?.aborted).toBe(false)
  })

  it.each<[string, (text: string) => string]>([
    ['garbled', (text) => text.replace('"payload":{', '"payload":{{')],
    ['cut off', (text) => text.replace(/.{20}\n\n$/, '\n\n')],
    ['of another shape', (text) => text.replace('"engines":[', '"motors":[')],
    ['without a time', (text) => text.replace(/"timestamp":"[^"]*"/g, '"timestamp":null')],
    ['of another kind', (text) => text.replace('full_sync', 'vpn.connected')],
    ['without a kind', (text) => text.replace('event: full_sync\n', '')],
  ])('is replaced after 5 s in which all messages were %s; in that time lists are requested as usual', async (_, mangle) => {
    const { fake, wire, acquireAndRelease, acquireEachSecond } = watching({ random: () => 0, cacheTtlMs: 1_000 })
    wire.mangle = (text) => [mangle(text)]
    await acquireAndRelease()
    await acquireEachSecond(4)
    expect(listRequests(fake)).toBe(2 * 5)
    expect(streamRequests(fake)).toBe(1)
    await acquireEachSecond(2)
    expect(streamRequests(fake)).toBe(2)
  })

  it('stays open after a single garbled message', async () => {
    const { fake, wire, clock, client, acquireAndRelease } = watching()
    let count = 0
    wire.mangle = (text) => (count++ === 2 ? [text.replace('{', '{{')] : [text])
    await acquireAndRelease()
    await clock.advance(2_500)
    const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    await clock.advance(1_000)
    expect((await client.listEngines()).flatMap((engine) => engine.streamIds)).toEqual([streamId])
    expect([streamRequests(fake), listRequests(fake)]).toEqual([1, 2])
  })

  it('is closed by an event of more than 8 MiB, and not opened again for 60 s', async () => {
    const { fake, wire, clock, acquireAndRelease, acquireEachSecond } = watching()
    wire.mangle = (text) => (text.includes('state_change') ? Array.from({ length: 10 }, () => `data: ${' '.repeat(2 ** 20)}`) : [text])
    await acquireAndRelease()
    await clock.advance(1_000)
    expect(wire.connections[0]?.aborted).toBe(true)
    await acquireEachSecond(60)
    expect(streamRequests(fake)).toBe(1)
  })
})

describe('a pushed list', () => {
  it('is read though it is split within lines and characters, between other events and comments', async () => {
    const { fake, wire, clock, client, acquireAndRelease } = watching()
    const encoder = new TextEncoder()
    wire.mangle = (text) => {
      const bytes = encoder.encode(`event: vpn.status\ndata: {"type":"vpn.status"}\n\n: ✓ keep-alive\r\n\r\n${text}`)
      return Array.from({ length: Math.ceil(bytes.length / 7) }, (_, index) => bytes.slice(index * 7, index * 7 + 7))
    }
    await acquireAndRelease()
    const containerId = fake.engines[0]?.containerId ?? ''
    fake.updateEngine(containerId, { labels: { name: '日本語 🎬' } })
    await clock.advance(1_000)
    const engines = await client.listEngines()
    expect(engines.find((engine) => engine.containerId === containerId)?.labels).toEqual({ name: '日本語 🎬' })
    expect(listRequests(fake)).toBe(2)
  })
})
