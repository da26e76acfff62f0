import { type Cache, type Clock, OrchestratorClient, SystemClock, type Transport } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import Keyv from 'keyv'
import { describe, expect, it, vi } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

describe('the cache', () => {
  it('may be a Keyv instance that two clients share: the second makes no list request', async () => {
    const cache = new Keyv()
    const { client, fake, clock } = setup({ engines: 2 }, { cache, dialect: 'unversioned' })
    const engines = await client.listEngines()
    const second = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', clock, transport: fake, cache, dialect: 'unversioned' })
    expect(await second.listEngines()).toEqual(engines)
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(1)
    expect(second.metrics().engineCache).toMatchObject({ hits: 1, misses: 0 })
    await second.close()
  })

  it('may keep text only: the client decodes its values again, dates included', async () => {
    const texts = new Map<string, string>()
    const cache: Cache = {
      get: async (key) => JSON.parse(texts.get(key) ?? 'null'),
      set: async (key, value) => texts.set(key, JSON.stringify(value)),
      delete: async (key) => texts.delete(key),
    }
    const { client, fake } = setup({ engines: 1 }, { cache, dialect: 'unversioned' })
    const [first] = await client.listEngines()
    const [second] = await client.listEngines()
    expect(second).toEqual(first)
    expect(second?.firstSeen).toBeInstanceOf(Date)
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(1)
  })

  it('makes the next call request the list again after it was cleared', async () => {
    const cache = new Keyv()
    const { client, fake } = setup({}, { cache, dialect: 'unversioned' })
    await client.listEngines()
    await cache.clear()
    await client.listEngines()
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(2)
  })

  it.each<[string, Cache]>([
    ['throws', { get: () => fail(), set: () => fail(), delete: () => fail() }],
    ['rejects', { get: async () => fail(), set: async () => fail(), delete: async () => fail() }],
    ['returns an engine without a valid host', { get: () => ({ version: 1, engines: [{ host: '' }] }), set: () => {}, delete: () => {} }],
    [
      'returns text in place of a list',
      { get: () => JSON.parse('{"__proto__":{"version":1},"engines":"x"}'), set: () => {}, delete: () => {} },
    ],
  ])('costs more requests but fails no call if it %s', async (_, cache) => {
    const { client, fake } = setup({}, { cache, dialect: 'unversioned' })
    expect(await client.listEngines()).toHaveLength(3)
    expect((await client.acquireEngine()).engine.port).toBeGreaterThan(0)
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(2)
  })

  it('delays the first call by at most 1 s if it hangs, and later calls use a copy in this process', async () => {
    const cache: Cache = { get: () => new Promise(() => {}), set: () => new Promise(() => {}), delete: () => {} }
    const { client, clock, fake } = setup({}, { cache, dialect: 'unversioned' })
    const before = clock.now()
    expect(await during(clock, client.listEngines())).toHaveLength(3)
    expect(clock.now() - before).toBeLessThanOrEqual(1_000)
    for (let i = 0; i < 10; i += 1) expect(await client.listEngines()).toHaveLength(3)
    expect(fake.counters.requests.total).toBe(1)
  })
})

describe('the store', () => {
  it('[I1] may be asynchronous: no engine exceeds its limit, and waiting callers are served in their order', async () => {
    const store = laterStore()
    const take = vi.spyOn(store, 'take')
    const { client, fake, clock } = setup({ engines: 3 }, { store, maxStreamsPerEngine: 2 })
    const leases = await Promise.all(Array.from({ length: 6 }, () => client.acquireEngine()))
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
    const served: number[] = []
    const waiting = [0, 1].map((i) => client.acquireEngine({ provision: false }).then(() => served.push(i)))
    await clock.settle()
    await leases[0]?.release()
    await leases[1]?.release()
    await Promise.all(waiting)
    expect(served).toEqual([0, 1])
    const stream = await leases[2]?.startStream(playback())
    expect((await Promise.all([stream?.end(), stream?.end()])).map((result) => result?.outcome)).toEqual(['delivered', 'duplicate'])
    expect(take.mock.calls.length).toBeGreaterThanOrEqual(8)
    expect(Object.values(fake.counters.peakLoad).every((peak) => peak <= 2)).toBe(true)
  })

  it('makes acquireEngine() reject with its error if it fails, but an end is still delivered', async () => {
    const store = laterStore()
    const { client } = setup({ engines: 1 }, { store, maxStreamsPerEngine: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    store.take = async () => fail()
    store.claimEnd = async () => fail()
    expect(await failureOf(client.acquireEngine())).toMatchObject({ message: 'port failed' })
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' }) // the end is fenced: a duplicate ends no other stream
  })
})

describe('the clock', () => {
  it('controls every wait: a lease of one hour expires when a manual clock is advanced by one hour', async () => {
    const { client, clock } = setup({ engines: 1 }, { leaseTtlMs: 3_600_000 })
    await client.acquireEngine()
    const waiting = client.acquireEngine({ waitMs: 7_200_000, provision: false })
    await clock.advance(3_600_000)
    expect((await waiting).expiresAt.getTime()).toBe(clock.now() + 3_600_000)
  })

  it('may be an object of the host', async () => {
    const system = new SystemClock()
    let timers = 0
    const clock: Clock = {
      now: () => system.now(),
      setTimeout: (callback, delayMs) => {
        timers += 1
        return system.setTimeout(callback, delayMs)
      },
    }
    const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', clock, transport: new FakeOrchestrator({ clock }) })
    expect(await client.listEngines()).toHaveLength(3)
    expect(timers).toBeGreaterThan(0)
    await client.close()
  })
})

describe('the transport', () => {
  it('may be an object of the host, and gets the method, URL, headers, time-out and signal of each attempt', async () => {
    const seen: unknown[] = []
    const transport: Transport = {
      request: async ({ method, url, headers, timeoutMs, signal }) => {
        seen.push({ method, url: url.href, authorization: headers['authorization'], timeoutMs, signal: signal instanceof AbortSignal })
        return { status: 200, headers: new Headers(), body: '[]' }
      },
    }
    const client = new OrchestratorClient({
      baseUrl: 'https://host/prefix/',
      apiKey: 'key',
      transport,
      clock: new ManualClock(),
      dialect: 'unversioned',
      requestTimeoutMs: 1_234,
    })
    expect(await client.listEngines()).toEqual([])
    expect(seen).toEqual([
      { method: 'GET', url: 'https://host/prefix/engines', authorization: 'Bearer key', timeoutMs: 1_234, signal: true },
    ])
    await client.close()
  })
})

describe('the logger', () => {
  it('gets a line about each failed refresh and each undeliverable event, and never the API key', async () => {
    const lines: string[] = []
    const write = (message: string, fields?: object) => {
      lines.push(
        `${message} ${JSON.stringify(fields, (_, value) => (value instanceof Error ? { ...value, message: value.message } : value))}`,
      )
    }
    const logger = { debug: write, info: write, warn: write, error: write }
    const { client, fake, clock } = setup({ apiKey: 'the-secret-key' }, { logger, dialect: 'unversioned', deliveryTimeoutMs: 0 })
    await client.listEngines()
    fake.inject({ kind: 'status', status: 500, body: 'you sent the-secret-key', times: Number.POSITIVE_INFINITY })
    await clock.advance(2_000)
    await client.listEngines()
    await during(clock, client.streamEnded('x'))
    expect(lines.some((line) => line.includes('could not be refreshed'))).toBe(true)
    expect(lines.some((line) => line.includes('could not be delivered'))).toBe(true)
    expect(lines.join('\n')).not.toContain('the-secret-key')
  })
})

describe('the option random', () => {
  it('alone decides between engines of equal load', async () => {
    const choose = async (value: number) => {
      const { client } = setup({ engines: 5 }, { random: () => value })
      return (await client.acquireEngine()).engine.port
    }
    expect(await choose(0)).toBe(await choose(0))
    expect(await choose(0)).not.toBe(await choose(0.999))
  })
})

function fail(): never {
  throw new Error('port failed')
}
