import type { CapacityError } from 'acestream-orchestrator-client'
import type { Fault } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, setup } from '../../support/setup.ts'

const ROUTE = 'POST /provision/acestream'
const STATUS = 'GET /orchestrator/status'
const always = { times: Number.POSITIVE_INFINITY } as const

function oneEngine() {
  const parts = setup({ generation: 'v1', engines: 1 }, { leaseTtlMs: 600_000 })
  const requests = () => parts.fake.counters.requests.byRoute[ROUTE] ?? 0
  return { ...parts, requests }
}

describe('H13: the status of v1', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['is answered with 500', { kind: 'status', status: 500 }],
    ['is answered with 404', { kind: 'status', status: 404, body: '404 page not found\n' }],
    ['is HTML', { kind: 'status', status: 200, body: '<html>' }],
  ])('is no refusal when it %s: one engine is requested', async (_, fault) => {
    const { client, clock, fake, requests } = oneEngine()
    await client.acquireEngine()
    fake.inject({ ...fault, route: STATUS, ...always })
    const { engine } = await during(clock, client.acquireEngine({ waitMs: 4_000 }))
    expect(fake.engines.map(({ containerId }) => containerId)).toContain(engine.containerId)
    expect(requests()).toBe(1)
  })

  it.each(['refused', 'lost-answer'] as const)(
    'prevents a request for an engine when the orchestrator cannot be reached (%s)',
    async (kind) => {
      const { client, clock, fake, requests } = oneEngine()
      await client.acquireEngine()
      fake.inject({ kind, route: STATUS, ...always })
      await during(clock, failureOf(client.acquireEngine({ waitMs: 20_000 })))
      expect(requests()).toBe(0)
    },
  )

  it('prevents a request for an engine when it is answered with 401, and the caller is rejected as unauthorized', async () => {
    const { client, clock, fake, requests } = oneEngine()
    await client.acquireEngine()
    fake.inject({ kind: 'status', status: 401, route: STATUS, ...always })
    expect(await during(clock, failureOf(client.acquireEngine({ waitMs: 3_000 })))).toMatchObject({ reason: 'unauthorized' })
    expect(requests()).toBe(0)
  })
})

describe('v1 with an open circuit breaker', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['is answered with 500', { kind: 'status', status: 500 }],
    ['loses its answer', { kind: 'reset-after' }],
  ])('rejects callers with the reason circuit_breaker, though the request for its remaining time %s', async (_, fault) => {
    const { client, clock, fake, requests } = oneEngine()
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    fake.inject({ ...fault, route: 'GET /circuit-breaker', ...always })
    const error = (await during(clock, failureOf(client.acquireEngine({ waitMs: 3_000 })))) as CapacityError
    expect(error).toMatchObject({ reason: 'circuit_breaker', shouldWait: true })
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(1_000)
    expect(requests()).toBe(0)
  })
})
