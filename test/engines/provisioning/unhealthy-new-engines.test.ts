import type { CapacityError, Transport } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type Generation, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, failureOf } from '../../support/setup.ts'

type Entry = Record<string, unknown> & { container_id: string }

/** One full engine. Each new engine is listed with the fields of `flaw` while `state.isFlawed` is true. */
async function fullWithFlawedGrowth(generation: Generation, flaw: object) {
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
] as const)('one caller, while %s lists each new engine as %s,', (generation, _, flaw) => {
  it('causes 2 to 4 new engines in 30 s, with growing pauses, and is rejected with an error that says that no caller can use them', async () => {
    const { client, clock, fake } = await fullWithFlawedGrowth(generation, flaw)
    const requestedAt: number[] = []
    client.on('provision:requested', () => requestedAt.push(clock.now()))
    const error = (await during(clock, failureOf(client.acquireEngine({ waitMs: 30_000 })))) as CapacityError
    expect(error).toMatchObject({ code: 'CAPACITY', reason: 'full', waitedMs: 30_000 })
    expect(error.message).toContain('so no caller can use it')
    expect(fake.engines.length).toBeGreaterThanOrEqual(3)
    expect(fake.engines.length).toBeLessThanOrEqual(5)
    const gaps = requestedAt.slice(1).map((at, index) => at - (requestedAt[index] ?? 0))
    expect(gaps).toEqual(gaps.toSorted((a, b) => a - b))
    expect(gaps[0]).toBeGreaterThanOrEqual(5_000)
  })

  it('is served within 2.5 s after these engines can be used', async () => {
    const { client, clock, state } = await fullWithFlawedGrowth(generation, flaw)
    const acquiring = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(2_500)
    expect(client.metrics().leases.waiting).toBe(1)
    state.isFlawed = false
    await clock.advance(2_500)
    expect((await acquiring).engine.healthStatus).not.toBe('unhealthy')
  })
})

describe('while v1 lists each new engine as unhealthy', () => {
  it.each([
    [0, 10],
    [0, 20],
    [500, 20],
    [1_000, 20],
    [1_500, 20],
  ])('and takes %i ms to start it, %i callers cause one request in 5 s and at most 4 in 30 s', async (delayMs, count) => {
    const { client, clock, fake } = await fullWithFlawedGrowth('v1', { health_status: 'unhealthy' })
    fake.setProvisioning({ delayMs })
    const requestedAt: number[] = []
    const before = clock.now()
    client.on('provision:requested', () => requestedAt.push(clock.now() - before))
    const outcomes = Promise.allSettled(Array.from({ length: count }, () => client.acquireEngine({ waitMs: 30_000 })))
    await clock.advance(5_000)
    expect(requestedAt).toHaveLength(1)
    await during(clock, outcomes)
    expect(requestedAt.length).toBeLessThanOrEqual(4)
  })
})
