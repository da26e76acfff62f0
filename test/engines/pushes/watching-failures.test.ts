import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type Fault, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { listRequests, streamRequests, Wire } from '../../support/line.ts'
import { connect, setup } from '../../support/setup.ts'

const route = 'GET /events/stream'
const always = Number.POSITIVE_INFINITY

function watching(options: Partial<OrchestratorClientOptions> = {}) {
  const { clock, fake } = setup({ generation: 'v1' })
  const wire = new Wire(fake, clock)
  const client = connect(fake, clock, { transport: wire, dialect: 'v1', ...options })
  const touch = async (): Promise<void> => (await client.acquireEngine()).release()
  /** Acquires once a second, which keeps the connection wanted. */
  const rush = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      await clock.advance(1_000)
      await touch()
    }
  }
  return { clock, fake, wire, client, touch, rush }
}

describe('where the event stream is refused, lists are asked for as usual, and it is left alone for 10 min', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['with 401', { kind: 'status', status: 401 }],
    ['with 403', { kind: 'status', status: 403 }],
    ['with 404', { kind: 'status', status: 404 }],
    ['with a redirect', { kind: 'redirect' }],
    ['by a page that is none', { kind: 'status', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
  ])('%s', async (_, fault) => {
    const { fake, touch, rush, clock } = watching({ cacheTtlMs: 1_000 })
    fake.inject({ ...fault, route, times: always })
    await touch()
    await rush(30)
    expect(streamRequests(fake)).toBe(1)
    expect(listRequests(fake)).toBe(2 * 31)
    await clock.advance(569_000)
    await touch()
    expect(streamRequests(fake)).toBe(1)
    await clock.advance(1_000)
    await touch()
    expect(streamRequests(fake)).toBe(2)
  })

  it('at once, not after the second that a first push is waited for', async () => {
    const { fake, touch, clock } = watching({ cacheTtlMs: 100 })
    fake.inject({ kind: 'status', status: 404, route, times: always })
    await touch()
    await clock.advance(100)
    await touch()
    expect(listRequests(fake)).toBe(2 * 2)
  })

  it('by 2026-04, which looks like v1 while it has no engines', async () => {
    const { clock, fake } = setup({ generation: '2026-04', engines: 0 })
    const client = connect(fake, clock)
    for (let second = 0; second < 30; second += 1) {
      await client.acquireEngine({ waitMs: 0 }).catch(() => {})
      await clock.advance(1_000)
    }
    expect(client.metrics().requests.byRoute[route]).toBe(1)
  })

  it('for want of the key, too; the operator is told once, without the key', async () => {
    const told: unknown[] = []
    const tell = (message: string, fields?: object): void => void told.push([message, fields])
    const logger = { debug: () => {}, info: tell, warn: tell, error: tell }
    const { fake, touch, rush, client } = watching({ apiKey: 'wrong-secret', logger })
    await touch()
    await rush(30)
    expect(streamRequests(fake)).toBe(1)
    expect(told).toMatchObject([
      [expect.stringContaining('rejects the API key'), {}],
      [expect.stringContaining('no event stream'), { code: 'AUTHENTICATION', againInMs: 600_000 }],
    ])
    expect(JSON.stringify(told)).not.toContain('wrong-secret')
    expect(client.metrics().requests).toMatchObject({ failed: 1 })
  })
})

describe('a connection that fails is made anew, later and later, at random', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['500', { kind: 'status', status: 500 }],
    ['429', { kind: 'status', status: 429 }],
    ['refused', { kind: 'refused' }],
    ['reset', { kind: 'reset' }],
  ])('%s: after 1, 3, 7, 15, 30 s, with the dice at one half', async (_, fault) => {
    const { fake, touch, clock } = watching({ random: () => 0.5 })
    fake.inject({ ...fault, route, times: always })
    await touch()
    const at: number[] = []
    for (let second = 0; second < 50; second += 1) {
      const before = streamRequests(fake)
      await clock.advance(1_000)
      if (streamRequests(fake) > before) at.push(second + 1)
    }
    // Half of 2, 4, 8, 16, then of 30 s.
    expect(at).toEqual([1, 3, 7, 15, 30, 45])
  })

  it('a minute of failures takes few attempts, and many clients do not come at once', async () => {
    const counts = new Set<number>()
    for (let seed = 1; seed <= 20; seed += 1) {
      const { fake, touch, rush } = watching({ random: seededRandom(seed) })
      fake.inject({ kind: 'status', status: 500, route, times: always })
      await touch()
      await rush(60)
      expect(streamRequests(fake)).toBeLessThanOrEqual(16)
      counts.add(streamRequests(fake))
    }
    expect(counts.size).toBeGreaterThan(3)
  })

  it('and not before the orchestrator wants it', async () => {
    const { fake, touch, clock } = watching({ random: () => 0 })
    fake.inject({ kind: 'status', status: 503, headers: { 'retry-after': '20' }, route })
    await touch()
    await clock.advance(19_999)
    expect(streamRequests(fake)).toBe(1)
    await clock.advance(1)
    expect(streamRequests(fake)).toBe(2)
  })

  it('one that ends right after its first message, every time, is no storm either', async () => {
    const { fake, clock, touch, wire, rush } = watching({ random: seededRandom(5) })
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
    await touch()
    await rush(60)
    expect(streamRequests(fake)).toBeLessThanOrEqual(16)
    expect(streamRequests(fake)).toBeGreaterThan(3)
    expect(clock.pendingCount).toBeLessThan(6)
  })

  it('a restart of the orchestrator ends it; the next one tells of the new engines', async () => {
    const { fake, client, clock, touch, rush } = watching()
    await touch()
    await rush(15)
    fake.restart()
    await clock.advance(1_000)
    expect(streamRequests(fake)).toBe(2)
    const before = listRequests(fake)
    const listed = (await client.listEngines()).map((engine) => engine.containerId).sort()
    expect(listed).toEqual(fake.engines.map((engine) => engine.containerId).sort())
    expect(listRequests(fake)).toBe(before)
  })

  it('after a good one the first attempt comes soon again', async () => {
    const { fake, clock, touch, rush } = watching({ random: () => 0.5 })
    const fault = fake.inject({ kind: 'status', status: 500, route, times: 3 })
    await touch()
    await rush(20)
    expect([fault.hits, streamRequests(fake)]).toEqual([3, 4])
    fake.restart()
    await clock.advance(500)
    expect(streamRequests(fake)).toBe(5)
  })
})

describe('a connection that says nothing of use for 5 s is given up', () => {
  it('when it is silent, keep-alive or not', async () => {
    const { fake, wire, clock, touch } = watching({ random: () => 0 })
    wire.mangle = (text) => (text.startsWith('event:') ? [': keep-alive\n\n'] : [text])
    await touch()
    await clock.advance(4_999)
    expect(wire.connections).toHaveLength(1)
    await clock.advance(1)
    expect(wire.connections[0]?.aborted).toBe(true)
    await clock.advance(0)
    expect(streamRequests(fake)).toBe(2)
  })

  it('when its headers do not come', async () => {
    const { fake, wire, clock, touch } = watching({ random: () => 0, requestTimeoutMs: 3_000 })
    fake.inject({ kind: 'lost-answer', route })
    await touch()
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
  ])('when all messages are %s; meanwhile lists are asked for as usual', async (_, mangle) => {
    const { fake, wire, touch, rush } = watching({ random: () => 0, cacheTtlMs: 1_000 })
    wire.mangle = (text) => [mangle(text)]
    await touch()
    await rush(4)
    expect(listRequests(fake)).toBe(2 * 5)
    expect(streamRequests(fake)).toBe(1)
    await rush(2)
    expect(streamRequests(fake)).toBe(2)
  })

  it('a single message that is garbled does no harm', async () => {
    const { fake, wire, clock, client, touch } = watching()
    let count = 0
    wire.mangle = (text) => (count++ === 2 ? [text.replace('{', '{{')] : [text])
    await touch()
    await clock.advance(2_500)
    const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    await clock.advance(1_000)
    expect((await client.listEngines()).flatMap((engine) => engine.streamIds)).toEqual([streamId])
    expect([streamRequests(fake), listRequests(fake)]).toEqual([1, 2])
  })

  it('an event of 9 MiB ends it, and it is left alone for a while', async () => {
    const { fake, wire, clock, touch, rush } = watching()
    wire.mangle = (text) => (text.includes('state_change') ? Array.from({ length: 10 }, () => `data: ${' '.repeat(2 ** 20)}`) : [text])
    await touch()
    await clock.advance(1_000)
    expect(wire.connections[0]?.aborted).toBe(true)
    await rush(60)
    expect(streamRequests(fake)).toBe(1)
  })
})

describe('messages are read however they come', () => {
  it('cut within lines and within characters, between other events and comments', async () => {
    const { fake, wire, clock, client, touch } = watching()
    const encoder = new TextEncoder()
    wire.mangle = (text) => {
      const bytes = encoder.encode(`event: vpn.status\ndata: {"type":"vpn.status"}\n\n: ✓ keep-alive\r\n\r\n${text}`)
      return Array.from({ length: Math.ceil(bytes.length / 7) }, (_, index) => bytes.slice(index * 7, index * 7 + 7))
    }
    await touch()
    const containerId = fake.engines[0]?.containerId ?? ''
    fake.updateEngine(containerId, { labels: { name: '日本語 🎬' } })
    await clock.advance(1_000)
    const engines = await client.listEngines()
    expect(engines.find((engine) => engine.containerId === containerId)?.labels).toEqual({ name: '日本語 🎬' })
    expect(listRequests(fake)).toBe(2)
  })
})
