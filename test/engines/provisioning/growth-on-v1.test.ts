import { MemoryStore, type OrchestratorClient } from 'acestream-orchestrator-client'
import type { FakeOrchestrator, FakeOrchestratorOptions } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, failureOf, setup } from '../../support/setup.ts'

const ROUTE = 'POST /provision/acestream'
const sent = (fake: FakeOrchestrator): number => fake.counters.requests.byRoute[ROUTE] ?? 0
const many = (count: number, client: OrchestratorClient, waitMs = 60_000) =>
  Array.from({ length: count }, () => client.acquireEngine({ waitMs }))

/** One full engine of v1. */
async function fullHouse(options: FakeOrchestratorOptions = {}, clientOptions: Parameters<typeof setup>[1] = {}) {
  const world = setup({ generation: 'v1', engines: 1, maxReplicas: 20, ...options }, { leaseTtlMs: 3_600_000, ...clientOptions })
  await during(world.clock, world.client.acquireEngine())
  return world
}

describe('H19: callers before a full engine of v1', () => {
  it.each([
    [500, 6_000],
    [4_000, 10_000],
  ])('four of them have four engines, which take %i ms to start, within %i ms', async (provisionDelayMs, mostMs) => {
    const { client, clock, fake } = await fullHouse({ provisionDelayMs })
    const before = clock.now()
    const leases = await during(clock, Promise.all(many(4, client)))
    expect(new Set(leases.map(({ engine }) => engine.containerId)).size).toBe(4)
    expect(clock.now() - before).toBeLessThanOrEqual(mostMs)
    await clock.advance(120_000)
    expect([sent(fake), fake.engines.length]).toEqual([4, 5])
  })

  it('one that comes as the engine of another is listed has its own within 7 s', async () => {
    const { client, clock } = await fullHouse({ provisionDelayMs: 4_000 })
    await during(clock, client.acquireEngine())
    const before = clock.now()
    await during(clock, client.acquireEngine())
    expect(clock.now() - before).toBeLessThanOrEqual(7_000)
  })

  it.each([
    [4, 3],
    [2, 1],
  ])('of ten, with at most %i engines allowed, make %i requests and no more', async (maxReplicas, requests) => {
    const { client, clock, fake } = await fullHouse({ maxReplicas, provisionDelayMs: 20_000 })
    const outcomes = Promise.allSettled(many(10, client))
    await clock.advance(10_000)
    expect(sent(fake)).toBe(requests)
    await during(clock, outcomes)
    await clock.advance(120_000)
    expect([sent(fake), fake.engines.length]).toEqual([requests, maxReplicas])
  })

  it('with its runtime down make one request', async () => {
    const { client, clock, fake } = await fullHouse()
    fake.setProvisioning({ runtimeDown: true })
    const outcomes = Promise.allSettled(many(10, client))
    await clock.advance(20_000)
    expect(sent(fake)).toBe(1)
    await during(clock, outcomes)
    expect(sent(fake)).toBe(1)
  })

  it('with a breaker that opens a second after the first request make no other', async () => {
    const { client, clock, fake } = await fullHouse({ provisionDelayMs: 10_000 })
    const outcomes = Promise.allSettled(many(10, client))
    await clock.advance(1_000)
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    await during(clock, outcomes)
    expect(sent(fake)).toBe(1)
  })

  it('with a status that tells nothing make one request at a time', async () => {
    const { client, clock, fake } = await fullHouse({ provisionDelayMs: 6_000 })
    fake.inject({ kind: 'status', status: 500, route: 'GET /orchestrator/status', times: Number.POSITIVE_INFINITY })
    const leases = Promise.all(many(2, client, 120_000))
    await clock.advance(5_500)
    expect(sent(fake)).toBe(1)
    await during(clock, leases)
    expect(sent(fake)).toBe(2)
  })

  it('of whom three leave within 2 s make one request', async () => {
    const { client, clock, fake } = await fullHouse({ provisionDelayMs: 10_000 })
    const abort = new AbortController()
    const stays = client.acquireEngine({ waitMs: 60_000 })
    const leave = Promise.all([1, 2, 3].map(() => failureOf(client.acquireEngine({ signal: abort.signal }))))
    await clock.advance(1_500)
    abort.abort('left')
    await leave
    await during(clock, stays)
    await clock.advance(60_000)
    expect([sent(fake), fake.engines.length]).toEqual([1, 2])
  })

  it('read the status and the lists at most twice a second while engines come', async () => {
    const { client, clock, fake } = await fullHouse({ provisionDelayMs: 10_000 }, { watch: false })
    const before = { ...fake.counters.requests.byRoute }
    const outcomes = Promise.allSettled(many(8, client))
    await clock.advance(10_000)
    expect(sent(fake)).toBe(8)
    for (const route of ['GET /orchestrator/status', 'GET /engines']) {
      expect((fake.counters.requests.byRoute[route] ?? 0) - (before[route] ?? 0)).toBeLessThanOrEqual(24)
    }
    await during(clock, outcomes)
  })
})

describe('H19: two proxies with a shared store before a full engine of v1', () => {
  async function fleet(options: FakeOrchestratorOptions = {}) {
    const store = new MemoryStore()
    const { client, clock, fake } = await fullHouse(options, { store })
    const other = connect(fake, clock, { store, leaseTtlMs: 3_600_000 })
    const asking: string[] = []
    client.on('provision:requested', () => asking.push('first'))
    other.on('provision:requested', () => asking.push('second'))
    return { client, other, clock, fake, store, asking }
  }

  it('send requests one after the other, and none that the other’s engines make needless', async () => {
    const { client, other, clock, fake, asking } = await fleet({ provisionDelayMs: 4_000 })
    const theirs = Promise.all(many(2, client))
    const ours = Promise.all(many(2, other))
    await clock.advance(3_900)
    expect(new Set(asking).size).toBe(1)
    await during(clock, Promise.all([theirs, ours]))
    await clock.advance(120_000)
    expect([sent(fake), fake.engines.length]).toEqual([4, 5])
  })

  it('leave the turn to each other once nothing is owed, and it is nobody’s slot', async () => {
    const { client, other, clock, store } = await fleet()
    await during(clock, client.acquireEngine())
    await during(clock, other.acquireEngine())
    expect([...store.usage().keys()].filter((id) => !/^[0-9a-f]{64}$/.test(id))).toEqual([])
    expect([client.metrics().leases.active, other.metrics().leases.active]).toEqual([2, 1])
  })

  it('request nothing while the other waits for an engine that it requested, but once that wait has ended', async () => {
    const { client, other, clock, fake } = await fleet({ provisionDelayMs: 3_600_000 })
    const expired: unknown[] = []
    client.on('lease:expired', (event) => expired.push(event))
    const theirs = failureOf(client.acquireEngine({ waitMs: 50_000 }))
    await clock.advance(1_000)
    const ours = failureOf(other.acquireEngine({ waitMs: 70_000 }))
    for (let seconds = 0; seconds < 55; seconds += 5) {
      await clock.advance(5_000)
      for (const proxy of [client, other]) proxy.sweep()
    }
    expect(sent(fake)).toBe(1)
    await during(clock, Promise.all([theirs, ours]))
    expect([sent(fake), expired]).toEqual([2, []])
  })

  it('have an engine 10 s after the other closed, while its request was under way', async () => {
    const { client, other, clock, fake, store } = await fleet({ provisionDelayMs: 20_000 })
    const theirs = failureOf(client.acquireEngine())
    await clock.advance(2_000)
    const closing = client.close({ timeoutMs: 100 })
    await clock.advance(100)
    await Promise.all([closing, theirs])
    expect([...store.usage().keys()].filter((id) => !/^[0-9a-f]{64}$/.test(id))).toEqual([])
    fake.setProvisioning({ delayMs: 1_000 })
    const before = clock.now()
    await during(clock, other.acquireEngine())
    expect(clock.now() - before).toBeLessThanOrEqual(10_000)
  })

  it('have an engine 10 s after the other gave up on one that took too long, though the other reads no list any more', async () => {
    const { client, other, clock, fake } = await fleet({ provisionDelayMs: 90_000 })
    await during(clock, failureOf(client.acquireEngine({ waitMs: 10_000 })))
    await clock.advance(95_000)
    fake.setProvisioning({ delayMs: 1_000 })
    await during(clock, other.acquireEngine())
    const before = clock.now()
    await during(clock, other.acquireEngine())
    expect(clock.now() - before).toBeLessThanOrEqual(10_000)
  })

  it.each([0, 300, 600, 900, 1_200])('make one request for the last place, when the second asks %i ms after the first', async (gapMs) => {
    const { client, other, clock, fake } = await fleet({ provisionDelayMs: 4_600, latencyMs: 800, maxReplicas: 2 })
    const theirs = failureOf(client.acquireEngine({ waitMs: 60_000 })).catch(() => {})
    await clock.advance(gapMs)
    const ours = failureOf(other.acquireEngine({ waitMs: 60_000 })).catch(() => {})
    await during(clock, Promise.all([theirs, ours]))
    await clock.advance(60_000)
    expect([sent(fake), fake.engines.length]).toEqual([1, 2])
  })
})
