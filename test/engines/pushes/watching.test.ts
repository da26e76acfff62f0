import type { Cache, OrchestratorClientOptions, Transport } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, type ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { listRequests, PushTransport, streamRequests } from '../../support/push-transport.ts'
import { connect, setup } from '../../support/setup.ts'

function watching(options: Partial<OrchestratorClientOptions> = {}, fakeOptions: FakeOrchestratorOptions = {}) {
  const { clock, fake } = setup({ generation: 'v1', ...fakeOptions })
  const wire = new PushTransport(fake, clock)
  const client = connect(fake, clock, { transport: wire, ...options })
  return { clock, fake, wire, client }
}

/** An asynchronous cache, like one in another process. */
function asyncCache(): Cache {
  const held = new Map<string, unknown>()
  return {
    get: async (key) => held.get(key),
    set: async (key, value) => held.set(key, value),
    delete: async (key) => held.delete(key),
  }
}

const acquireAndRelease = async (client: ReturnType<typeof connect>): Promise<void> => (await client.acquireEngine()).release()

/** Acquires and releases an engine `times` times, once every `everyMs`. */
async function acquireRepeatedly(client: ReturnType<typeof connect>, clock: ManualClock, times: number, everyMs: number): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    await acquireAndRelease(client)
    await clock.advance(everyMs)
  }
}

describe('on v1, which pushes lists', () => {
  it.each([
    ['v1', 0],
    ['v1', 400],
    ['auto', 0],
    ['auto', 400],
  ] as const)(
    '100 acquires in 10 s cause one connection and one refresh, though cacheTtlMs is 200 (dialect %s, pushes late by %i ms)',
    async (dialect, lateMs) => {
      const { client, clock, fake, wire } = watching({ cacheTtlMs: 200, dialect })
      wire.lateMs = () => lateMs
      await acquireRepeatedly(client, clock, 100, 100)
      expect(streamRequests(fake)).toBe(1)
      // With `auto` one more request finds out the generation.
      expect(listRequests(fake)).toBe(dialect === 'auto' ? 3 : 2)
      expect(client.metrics().requests.byRoute).toMatchObject({ 'GET /events/stream': 1 })
      expect(client.metrics().engineCache.hits).toBe(99)
    },
  )

  it('a call of acquireEngine() that is aborted before opens the connection too, as each call does', async () => {
    const { client, clock, fake } = watching({ dialect: 'v1' })
    await expect(client.acquireEngine({ signal: AbortSignal.abort('viewer left') })).rejects.toBe('viewer left')
    await clock.settle()
    expect(streamRequests(fake)).toBe(1)
  })

  it.each([
    ['names no reason', (text: string) => text.replace('{"reason":"initial_sync"}', '{}')],
    ['has no meta', (text: string) => text.replace(/"meta":\{[^}]*\},/, '')],
    ['names an unknown reason', (text: string) => text.replace('initial_sync', 'connected')],
  ])('100 acquires in 10 s cause one connection and one refresh, though the first message of the connection %s', async (_, mangle) => {
    const { client, clock, fake, wire } = watching({ cacheTtlMs: 200, dialect: 'v1' })
    wire.mangle = (text) => [mangle(text)]
    await acquireRepeatedly(client, clock, 100, 100)
    expect(streamRequests(fake)).toBe(1)
    expect(listRequests(fake)).toBe(2)
    expect(fake.counters.requests.byRoute['GET /version'] ?? 0).toBe(0)
  })

  it('100 acquires in 10 s cause a refresh every 200 ms with watch: false', async () => {
    const { client, clock, fake } = watching({ cacheTtlMs: 200, watch: false })
    await acquireRepeatedly(client, clock, 100, 100)
    expect(streamRequests(fake)).toBe(0)
    expect(listRequests(fake)).toBe(1 + 2 * 50)
  })

  it('listEngines() shows what was pushed, without a request', async () => {
    const { client, clock, fake } = watching({ cacheTtlMs: 200 })
    await acquireAndRelease(client)
    const before = listRequests(fake)
    const containerId = fake.engines[0]?.containerId ?? ''
    const streamId = fake.startElsewhere({ containerId })
    const added = fake.addEngine()
    await clock.advance(1_000)
    const engines = await client.listEngines()
    expect(engines.find((engine) => engine.containerId === containerId)?.streamIds).toEqual([streamId])
    expect(engines.map((engine) => engine.containerId)).toContain(added)
    expect(listRequests(fake)).toBe(before)
  })

  it('engines:refreshed is emitted for each pushed list', async () => {
    const { client, clock } = watching()
    const refreshes: unknown[] = []
    client.on('engines:refreshed', (event) => refreshes.push(event))
    await acquireAndRelease(client)
    await clock.advance(2_000)
    expect(refreshes).toEqual(Array.from({ length: 4 }, () => ({ engineCount: 3, durationMs: 0 })))
  })

  it.each([0, 200, 60_000])('a pushed list is fresh for 3 s, with cacheTtlMs %i', async (cacheTtlMs) => {
    const { client, clock, fake, wire } = watching({ cacheTtlMs })
    await acquireAndRelease(client)
    await clock.advance(1_000)
    wire.mangle = () => []
    const before = listRequests(fake)
    await clock.advance(2_999)
    await client.listEngines()
    expect(listRequests(fake)).toBe(before)
    await clock.advance(1)
    await client.listEngines()
    expect(listRequests(fake)).toBe(before + 2)
  })

  it('listEngines() with fresh: true requests a list', async () => {
    const { client, clock, fake } = watching()
    await acquireAndRelease(client)
    await clock.advance(1_000)
    const before = listRequests(fake)
    await client.listEngines({ fresh: true })
    expect(listRequests(fake)).toBe(before + 2)
  })

  it('listEngines() with an aborted signal rejects with the reason of the abort', async () => {
    const { client } = watching()
    await acquireAndRelease(client)
    const gone = AbortSignal.abort('gone')
    await expect(client.listEngines({ signal: gone })).rejects.toBe('gone')
  })

  it('a waiter gets a new engine that a pushed list shows', async () => {
    const { client, clock, fake } = watching({ cacheTtlMs: 60_000 }, { engines: 1, maxReplicas: 1 })
    await client.acquireEngine()
    const waiting = client.acquireEngine({ provision: false })
    await clock.advance(500)
    const added = fake.addEngine()
    // The next push cannot be proved newer than the list that showed all engines full. The push after it can.
    await clock.advance(2_000)
    expect(client.metrics().leases).toMatchObject({ waiting: 0, active: 2 })
    expect((await waiting).engine.containerId).toBe(added)
  })
})

describe('the connection of the event stream', () => {
  it('delays no acquire, though its answer never comes', async () => {
    const { client, fake } = watching()
    fake.inject({ kind: 'lost-request', route: 'GET /events/stream' })
    expect((await client.acquireEngine()).isFallback).toBe(false)
    expect(streamRequests(fake)).toBe(1)
  })

  it('is opened by acquireEngine(), and not by listEngines() or checkHealth()', async () => {
    const { client, clock, fake } = watching()
    await client.listEngines()
    await client.checkHealth()
    await clock.advance(5_000)
    expect(streamRequests(fake)).toBe(0)
    await acquireAndRelease(client)
    expect(streamRequests(fake)).toBe(1)
  })

  it('is opened after the first list has arrived, also with an asynchronous cache, so that its pushes are newer than that list', async () => {
    const { clock, fake, client } = watching({ dialect: 'v1', cacheTtlMs: 200, cache: asyncCache() })
    await acquireRepeatedly(client, clock, 50, 100)
    await clock.advance(120_000)
    await acquireRepeatedly(client, clock, 50, 100)
    expect([streamRequests(fake), listRequests(fake)]).toEqual([2, 2 * 2])
    expect(fake.counters.requests.byRoute['GET /version']).toBeUndefined()
  })

  it('is closed after 60 s without an acquire, and opened by the next', async () => {
    const { client, clock, fake, wire } = watching()
    await acquireAndRelease(client)
    await clock.advance(30_000)
    await acquireAndRelease(client)
    await clock.advance(59_999)
    expect(wire.openCount).toBe(1)
    await clock.advance(1)
    expect(wire.openCount).toBe(0)
    await clock.advance(600_000)
    expect(streamRequests(fake)).toBe(1)
    await acquireAndRelease(client)
    expect(streamRequests(fake)).toBe(2)
  })

  it('[I8] is ended by close() at once, and leaves no timer', async () => {
    const { client, clock, wire } = watching({ sweepIntervalMs: 0 })
    const lease = await client.acquireEngine()
    await clock.advance(1_000)
    expect(wire.openCount).toBe(1)
    const closing = client.close()
    expect(wire.openCount).toBe(0)
    await closing
    expect(clock.pendingCount).toBe(0)
    expect(lease.isFallback).toBe(false)
  })

  it('[I8] is ended by close() while it is being opened', async () => {
    const { client, clock, fake, wire } = watching({ sweepIntervalMs: 0 })
    fake.inject({ kind: 'lost-request', route: 'GET /events/stream' })
    await acquireAndRelease(client)
    expect(wire.openCount).toBe(1)
    const closing = client.close()
    expect(wire.openCount).toBe(0)
    await closing
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
    expect(streamRequests(fake)).toBe(1)
  })

  it('[I8] is not opened again after close() in the pause before a retry', async () => {
    const { client, clock, fake } = watching({ sweepIntervalMs: 0, random: () => 0.9 })
    fake.inject({ kind: 'status', status: 500, route: 'GET /events/stream', times: Number.POSITIVE_INFINITY })
    await acquireAndRelease(client)
    expect(clock.pendingCount).toBeGreaterThan(0)
    await client.close()
    expect(clock.pendingCount).toBe(0)
    await clock.advance(60_000)
    expect(streamRequests(fake)).toBe(1)
  })

  it('[I7] leaves no timer of an earlier connection after it was opened more than 20 times', async () => {
    const { client, clock, fake } = watching()
    await acquireAndRelease(client)
    for (let times = 0; times < 30; times += 1) {
      fake.restart()
      await acquireAndRelease(client)
      await clock.advance(40_000)
    }
    expect(streamRequests(fake)).toBeGreaterThan(20)
    // Two timers of the fake for the connection; one each for silence, idleness and the sweep.
    expect(clock.pendingCount).toBeLessThanOrEqual(6)
  })
})

describe('no connection is opened', () => {
  it('with watch: false', async () => {
    const { client, clock, fake } = watching({ watch: false })
    await acquireRepeatedly(client, clock, 10, 1_000)
    expect(streamRequests(fake)).toBe(0)
  })

  it.each(['2025-10', '2026-04'] as const)('on %s, which pushes nothing', async (generation) => {
    const { client, clock, fake, wire } = watching({}, { generation })
    await acquireRepeatedly(client, clock, 10, 1_000)
    expect(wire.connections).toEqual([])
    expect(streamRequests(fake)).toBe(0)
  })

  it('with a transport that has no stream()', async () => {
    const { clock, fake } = setup({ generation: 'v1' })
    const transport: Transport = { request: (request) => fake.request(request) }
    const client = connect(fake, clock, { transport })
    await acquireRepeatedly(client, clock, 10, 1_000)
    expect(streamRequests(fake)).toBe(0)
  })

  it('while the orchestrator cannot be reached', async () => {
    const { client, clock, fake } = watching({ random: seededRandom(3) })
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    for (let times = 0; times < 20; times += 1) {
      await client.acquireEngine({ waitMs: 0 }).catch(() => {})
      await clock.advance(500)
    }
    expect(streamRequests(fake)).toBe(0)
    fake.clearFaults()
    await clock.advance(10_000) // until the circuit closes
    await acquireAndRelease(client)
    expect(streamRequests(fake)).toBe(1)
  })
})

it('a FakeOrchestrator used as the transport pushes lists by itself', async () => {
  const { client, clock, fake } = setup({ generation: 'v1' }, { cacheTtlMs: 200 })
  expect(fake).toBeInstanceOf(FakeOrchestrator)
  await acquireRepeatedly(client, clock, 50, 100)
  expect([streamRequests(fake), listRequests(fake)]).toEqual([1, 3])
})
