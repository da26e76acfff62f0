import type { CapacityError, Transport } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type Generation, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, failureOf } from '../../support/setup.ts'

type Entry = Record<string, unknown> & { container_id: string }

/** One full engine, of an orchestrator whose every new engine is listed with `flaw` as long as `isFlawed` says so. */
async function flawedHouse(generation: Generation, flaw: object) {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({
    clock,
    generation,
    engines: 1,
    maxReplicas: 100,
    provisionDelayMs: 0,
    latencyMs: 100,
    random: seededRandom(1),
  })
  const state = { isFlawed: true }
  const [first = ''] = fake.engines.map(({ containerId }) => containerId)
  const transport: Transport = {
    request: async (request) => {
      const answer = await fake.request(request)
      if (!state.isFlawed || answer.status !== 200 || !request.url.pathname.endsWith('/engines')) return answer
      const engines = JSON.parse(answer.body) as Entry[]
      return { ...answer, body: JSON.stringify(engines.map((entry) => (entry.container_id === first ? entry : { ...entry, ...flaw }))) }
    },
  }
  const client = connect(fake, clock, { transport, watch: false, leaseTtlMs: 600_000 })
  await during(clock, client.acquireEngine())
  return { clock, fake, client, state }
}

describe.each([
  ['2025-10', 'unhealthy', { health_status: 'unhealthy' }],
  ['2025-10', 'full of the streams of other proxies', { streams: ['theirs'] }],
  ['v1', 'unhealthy', { health_status: 'unhealthy' }],
  ['v1', 'draining', { draining: true }],
] as const)('one caller, where %s lists each new engine as %s,', (generation, _, flaw) => {
  it('makes a handful of engines in 30 s, each later than the one before, and then gets an error that says that there is none for it', async () => {
    const { client, clock, fake } = await flawedHouse(generation, flaw)
    const asked: number[] = []
    client.on('provision:requested', () => asked.push(clock.now()))
    const error = (await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))) as CapacityError
    expect(error).toMatchObject({ code: 'CAPACITY', reason: 'full', waitedMs: 30_000 })
    expect(error.message).toContain('A new engine came that no caller can use')
    expect(fake.engines.length).toBeGreaterThanOrEqual(3)
    expect(fake.engines.length).toBeLessThanOrEqual(5)
    const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0))
    expect(gaps).toEqual(gaps.toSorted((a, b) => a - b))
    expect(gaps[0]).toBeGreaterThanOrEqual(5_000)
  })

  it('is served as soon as one of them is usable', async () => {
    const { client, clock, state } = await flawedHouse(generation, flaw)
    const acquiring = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(2_500)
    expect(client.metrics().leases.waiting).toBe(1)
    state.isFlawed = false
    await clock.advance(2_500)
    expect((await acquiring).engine.healthStatus).not.toBe('unhealthy')
  })
})

describe('many callers of v1, where each new engine is listed unhealthy,', () => {
  it.each([
    [0, 10],
    [0, 20],
    [500, 20],
    [1_000, 20],
    [1_500, 20],
  ])('and takes %i ms to start: %i of them make one request in 5 s, and a handful in 30 s', async (delayMs, count) => {
    const { client, clock, fake } = await flawedHouse('v1', { health_status: 'unhealthy' })
    fake.setProvisioning({ delayMs })
    const asked: number[] = []
    const before = clock.now()
    client.on('provision:requested', () => asked.push(clock.now() - before))
    const outcomes = Promise.allSettled(Array.from({ length: count }, () => client.acquireEngine({ waitMs: 30_000 })))
    await clock.advance(5_000)
    expect(asked).toHaveLength(1)
    await during(clock, outcomes)
    expect(asked.length).toBeLessThanOrEqual(4)
  })
})
