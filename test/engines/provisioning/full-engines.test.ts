import { CapacityError, type EngineLease, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type FakeOrchestratorOptions, GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, type Setup, setup } from '../../support/setup.ts'

const ROUTE = 'POST /provision/acestream'
const LIMIT = 10
const VIEWERS = 20

const acquireMany = (world: Setup, count: number, waitMs?: number): Promise<EngineLease>[] =>
  Array.from({ length: count }, () => world.client.acquireEngine(waitMs === undefined ? {} : { waitMs }))

/** One engine with a limit of 10, and the ten leases that fill it. */
async function oneFullEngine(fakeOptions: FakeOrchestratorOptions, clientOptions: Partial<OrchestratorClientOptions> = {}) {
  const world = setup({ engines: 1, maxReplicas: 6, ...fakeOptions }, { maxStreamsPerEngine: LIMIT, leaseTtlMs: 600_000, ...clientOptions })
  const held = await during(world.clock, Promise.all(acquireMany(world, LIMIT)))
  return { ...world, held, requests: () => world.fake.counters.requests.byRoute[ROUTE] ?? 0 }
}

describe.each(GENERATIONS.filter((generation) => generation !== '2026-04'))(
  '20 viewers and one full engine with a limit of 10, on %s',
  (generation) => {
    const each = { generation }
    it.each([
      ['at once', each, {}],
      ['after 4 s', { ...each, provisionDelayMs: 4_000 }, {}],
      [
        'after 4 s, which is longer than requestTimeoutMs',
        { ...each, provisionDelayMs: 4_000, latencyMs: 100 },
        { requestTimeoutMs: 3_000 },
      ],
    ])('are served with exactly 2 requests and 2 new engines, which start %s', async (_, fakeOptions, clientOptions) => {
      const world = await oneFullEngine(fakeOptions, clientOptions)
      const leases = await during(world.clock, Promise.all(acquireMany(world, VIEWERS)))
      expect(new Set(leases.map(({ engine }) => engine.containerId)).size).toBe(2)
      await world.clock.advance(120_000)
      expect(world.requests()).toBe(2)
      expect(world.fake.engines).toHaveLength(3)
    })

    it.each(['lost-answer', 'reset-after'] as const)(
      'are served by 2 new engines without an error, though the first answer has the fault %s and engines take 4 s to start',
      async (kind) => {
        const world = await oneFullEngine({ ...each, provisionDelayMs: 4_000 })
        world.fake.inject({ kind, route: ROUTE })
        const leases = await during(world.clock, Promise.all(acquireMany(world, VIEWERS)))
        expect(leases).toHaveLength(VIEWERS)
        await world.clock.advance(300_000)
        expect(world.requests()).toBe(2)
        expect(world.fake.engines).toHaveLength(3)
      },
    )

    it('are served by 2 new engines without an error, though every answer is lost', async () => {
      const world = await oneFullEngine({ ...each, provisionDelayMs: 4_000 }, { provisionTimeoutMs: 10_000 })
      world.fake.inject({ kind: 'lost-answer', route: ROUTE, times: Number.POSITIVE_INFINITY })
      const leases = await during(world.clock, Promise.all(acquireMany(world, VIEWERS)))
      expect(leases).toHaveLength(VIEWERS)
      await world.clock.advance(300_000)
      expect(world.requests()).toBe(2)
      expect(world.fake.engines).toHaveLength(3)
    })
  },
)

describe('20 viewers and one full engine with a limit of 10, on 2026-04, which answers every request for an engine with 500', () => {
  it.each([
    ['at once', {}, 'none'],
    ['after 4 s', { provisionDelayMs: 4_000 }, 'none'],
    ['after 4 s, and the first answer is lost', { provisionDelayMs: 4_000 }, 'lost-answer'],
  ] as const)(
    'get the 10 slots that are freed, in order of arrival, and the other 10 are rejected with a reason; at most 4 requests are sent in 30 s, each answered %s',
    async (_, fakeOptions, fault) => {
      const world = await oneFullEngine({ generation: '2026-04', ...fakeOptions }, { provisionTimeoutMs: 10_000 })
      if (fault !== 'none') world.fake.inject({ kind: fault, route: ROUTE })
      const served: number[] = []
      const outcomes = acquireMany(world, VIEWERS).map((acquiring, index) =>
        acquiring.then(
          () => void served.push(index),
          (error: unknown) => error,
        ),
      )
      await world.clock.advance(12_000)
      for (const lease of world.held) await lease.release()
      await world.clock.advance(20_000)
      const errors = (await Promise.all(outcomes)).filter((outcome) => outcome !== undefined)
      expect(served).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      expect(errors).toHaveLength(VIEWERS - LIMIT)
      for (const error of errors) {
        expect(error).toBeInstanceOf(CapacityError)
        expect(error).toMatchObject({
          reason: fault === 'none' ? 'full' : 'provision_timeout',
          retryAfterMs: expect.any(Number),
          waitedMs: 30_000,
        })
      }
      expect(world.requests()).toBeGreaterThanOrEqual(2)
      expect(world.requests()).toBeLessThanOrEqual(4)
      expect(world.fake.engines).toHaveLength(1)
    },
  )
})

describe('H19: 20 viewers with waitMs 3,000 and one full engine of v1', () => {
  const refusals = async (world: Setup) =>
    (await during(world.clock, Promise.all(acquireMany(world, VIEWERS, 3_000).map((work) => failureOf(work))))) as CapacityError[]

  const expectReasons = (errors: readonly CapacityError[]): void => {
    expect(errors).toHaveLength(VIEWERS)
    errors.forEach((error, index) => {
      expect(error).toBeInstanceOf(CapacityError)
      expect(error.reason).not.toBe('')
      expect(error.retryAfterMs).toBeGreaterThanOrEqual(1_000)
      expect(error.position).toBe(index + 1)
    })
  }

  it('are rejected with the reason circuit_breaker and the time until it closes; no engine is requested, then or later', async () => {
    const world = await oneFullEngine({ generation: 'v1' })
    world.fake.setProvisioning({ refuse: 'circuit_breaker' })
    const errors = await refusals(world)
    expectReasons(errors)
    for (const { reason, retryAfterMs } of errors) {
      expect(reason).toBe('circuit_breaker')
      expect(retryAfterMs).toBeGreaterThan(290_000)
    }
    world.fake.setProvisioning({ refuse: undefined })
    await world.clock.advance(600_000)
    expect(world.requests()).toBe(0)
    expect(world.fake.engines).toHaveLength(1)
  })

  it('are rejected with the reason max_capacity when v1 is at its maximum; no engine is requested, even after the maximum is raised', async () => {
    const world = await oneFullEngine({ generation: 'v1', maxReplicas: 1 })
    const errors = await refusals(world)
    expectReasons(errors)
    expect(new Set(errors.map(({ reason }) => reason))).toEqual(new Set(['max_capacity']))
    world.fake.setProvisioning({ maxReplicas: 6 })
    await world.clock.advance(600_000)
    expect(world.requests()).toBe(0)
    expect(world.fake.engines).toHaveLength(1)
  })

  it('are rejected with a reason while the container runtime is down; one engine is requested, and serves later viewers once the runtime is up', async () => {
    const world = await oneFullEngine({ generation: 'v1' }, { provisionTimeoutMs: 5_000 })
    world.fake.setProvisioning({ runtimeDown: true })
    expectReasons(await refusals(world))
    await world.clock.advance(20_000) // provisionTimeoutMs is over by then
    expectReasons(await refusals(world))
    expect(world.requests()).toBe(1)
    world.fake.setProvisioning({ runtimeDown: false })
    const leases = await during(world.clock, Promise.all(acquireMany(world, LIMIT, 60_000)))
    expect(leases).toHaveLength(LIMIT)
    await world.clock.advance(600_000)
    expect(world.requests()).toBe(1)
    expect(world.fake.engines).toHaveLength(2)
  })

  it('are rejected with the reason circuit_breaker once the container runtime was down for 150 s', async () => {
    const world = await oneFullEngine({ generation: 'v1' })
    world.fake.setProvisioning({ runtimeDown: true })
    expectReasons(await refusals(world))
    await world.clock.advance(150_000) // v1 retries, fails each time, and its circuit breaker opens
    const errors = await refusals(world)
    expectReasons(errors)
    expect(new Set(errors.map(({ reason }) => reason))).toEqual(new Set(['circuit_breaker']))
    expect(world.requests()).toBe(1)
  })
})
