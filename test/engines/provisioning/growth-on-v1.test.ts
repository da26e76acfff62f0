import { MemoryStore, type OrchestratorClient } from 'acestream-orchestrator-client'
import type { FakeOrchestrator, FakeOrchestratorOptions } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, failureOf, setup } from '../../support/setup.ts'

const ROUTE = 'POST /provision/acestream'
const sent = (fake: FakeOrchestrator): number => fake.counters.requests.byRoute[ROUTE] ?? 0
const many = (count: number, client: OrchestratorClient, waitMs = 60_000) =>
  Array.from({ length: count }, () => client.acquireEngine({ waitMs }))

/** One full engine of v1. */
async function oneFullEngine(options: FakeOrchestratorOptions = {}, clientOptions: Parameters<typeof setup>[1] = {}) {
  const world = setup({ generation: 'v1', engines: 1, maxReplicas: 20, ...options }, { leaseTtlMs: 3_600_000, ...clientOptions })
  await during(world.clock, world.client.acquireEngine())
  return world
}

describe('H19: while the only engine of v1 is full', () => {
  it.each([
    [500, 6_000],
    [4_000, 10_000],
  ])('four callers get four new engines, which take %i ms to start, within %i ms', async (provisionDelayMs, mostMs) => {
    const { client, clock, fake } = await oneFullEngine({ provisionDelayMs })
    const before = clock.now()
    const leases = await during(clock, Promise.all(many(4, client)))
    expect(new Set(leases.map(({ engine }) => engine.containerId)).size).toBe(4)
    expect(clock.now() - before).toBeLessThanOrEqual(mostMs)
    await clock.advance(120_000)
    expect([sent(fake), fake.engines.length]).toEqual([4, 5])
  })

  it('a caller that comes just after the engine of another was listed gets its own within 7 s', async () => {
    const { client, clock } = await oneFullEngine({ provisionDelayMs: 4_000 })
    await during(clock, client.acquireEngine())
    const before = clock.now()
    await during(clock, client.acquireEngine())
    expect(clock.now() - before).toBeLessThanOrEqual(7_000)
  })

  it.each([
    [4, 3],
    [2, 1],
  ])('ten callers, with at most %i engines allowed, cause %i requests and no more', async (maxReplicas, requests) => {
    const { client, clock, fake } = await oneFullEngine({ maxReplicas, provisionDelayMs: 20_000 })
    const outcomes = Promise.allSettled(many(10, client))
    await clock.advance(10_000)
    expect(sent(fake)).toBe(requests)
    await during(clock, outcomes)
    await clock.advance(120_000)
    expect([sent(fake), fake.engines.length]).toEqual([requests, maxReplicas])
  })

  it('ten callers cause one request when the container runtime is down', async () => {
    const { client, clock, fake } = await oneFullEngine()
    fake.setProvisioning({ runtimeDown: true })
    const outcomes = Promise.allSettled(many(10, client))
    await clock.advance(20_000)
    expect(sent(fake)).toBe(1)
    await during(clock, outcomes)
    expect(sent(fake)).toBe(1)
  })

  it('ten callers cause one request when the circuit breaker of v1 opens 1 s after it', async () => {
    const { client, clock, fake } = await oneFullEngine({ provisionDelayMs: 10_000 })
    const outcomes = Promise.allSettled(many(10, client))
    await clock.advance(1_000)
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    await during(clock, outcomes)
    expect(sent(fake)).toBe(1)
  })

  it('two callers cause one request at a time when the status cannot be read', async () => {
    const { client, clock, fake } = await oneFullEngine({ provisionDelayMs: 6_000 })
    fake.inject({ kind: 'status', status: 500, route: 'GET /orchestrator/status', times: Number.POSITIVE_INFINITY })
    const leases = Promise.all(many(2, client, 120_000))
    await clock.advance(5_500)
    expect(sent(fake)).toBe(1)
    await during(clock, leases)
    expect(sent(fake)).toBe(2)
  })

  it('four callers cause one request when three of them abort within 2 s', async () => {
    const { client, clock, fake } = await oneFullEngine({ provisionDelayMs: 10_000 })
    const abort = new AbortController()
    const staying = client.acquireEngine({ waitMs: 60_000 })
    const leaving = Promise.all([1, 2, 3].map(() => failureOf(client.acquireEngine({ signal: abort.signal }))))
    await clock.advance(1_500)
    abort.abort('left')
    await leaving
    await during(clock, staying)
    await clock.advance(60_000)
    expect([sent(fake), fake.engines.length]).toEqual([1, 2])
  })

  it('eight callers cause at most 24 reads of the status and 24 of the list in 10 s while engines are started', async () => {
    const { client, clock, fake } = await oneFullEngine({ provisionDelayMs: 10_000 }, { watch: false })
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

describe('H19: two proxies with a shared store and one full engine of v1', () => {
  async function fleet(options: FakeOrchestratorOptions = {}) {
    const store = new MemoryStore()
    const { client, clock, fake } = await oneFullEngine(options, { store })
    const other = connect(fake, clock, { store, leaseTtlMs: 3_600_000 })
    const requestedBy: string[] = []
    client.on('provision:requested', () => requestedBy.push('first'))
    other.on('provision:requested', () => requestedBy.push('second'))
    return { client, other, clock, fake, store, requestedBy }
  }

  it('request engines one proxy after the other: four callers cause four requests, not more', async () => {
    const { client, other, clock, fake, requestedBy } = await fleet({ provisionDelayMs: 4_000 })
    const theirs = Promise.all(many(2, client))
    const ours = Promise.all(many(2, other))
    await clock.advance(3_900)
    expect(new Set(requestedBy).size).toBe(1)
    await during(clock, Promise.all([theirs, ours]))
    await clock.advance(120_000)
    expect([sent(fake), fake.engines.length]).toEqual([4, 5])
  })

  it('release their turn to request an engine once all engines are listed, and leave no entry for it in the store', async () => {
    const { client, other, clock, store } = await fleet()
    await during(clock, client.acquireEngine())
    await during(clock, other.acquireEngine())
    expect([...store.usage().keys()].filter((id) => !/^[0-9a-f]{64}$/.test(id))).toEqual([])
    expect([client.metrics().leases.active, other.metrics().leases.active]).toEqual([2, 1])
  })

  it('send no request while the other waits for an engine that it requested, and one when that wait has ended', async () => {
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

  it('get an engine within 10 s after the other closed during its request', async () => {
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

  it('get an engine within 10 s after an engine that the other requested took too long, though the other reads no list any more', async () => {
    const { client, other, clock, fake } = await fleet({ provisionDelayMs: 90_000 })
    await during(clock, failureOf(client.acquireEngine({ waitMs: 10_000 })))
    await clock.advance(95_000)
    fake.setProvisioning({ delayMs: 1_000 })
    await during(clock, other.acquireEngine())
    const before = clock.now()
    await during(clock, other.acquireEngine())
    expect(clock.now() - before).toBeLessThanOrEqual(10_000)
  })

  it.each([0, 300, 600, 900, 1_200])(
    'send one request for the last engine that is allowed, when the second proxy needs it %i ms after the first',
    async (gapMs) => {
      const { client, other, clock, fake } = await fleet({ provisionDelayMs: 4_600, latencyMs: 800, maxReplicas: 2 })
      const theirs = failureOf(client.acquireEngine({ waitMs: 60_000 })).catch(() => {})
      await clock.advance(gapMs)
      const ours = failureOf(other.acquireEngine({ waitMs: 60_000 })).catch(() => {})
      await during(clock, Promise.all([theirs, ours]))
      await clock.advance(60_000)
      expect([sent(fake), fake.engines.length]).toEqual([1, 2])
    },
  )
})
