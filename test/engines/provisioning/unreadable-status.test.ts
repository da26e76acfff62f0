import type { CapacityError } from 'acestream-orchestrator-client'
import type { Fault } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, setup } from '../../support/setup.ts'

const ROUTE = 'POST /provision/acestream'
const STATUS = 'GET /orchestrator/status'
const always = { times: Number.POSITIVE_INFINITY } as const

function fullHouse() {
  const parts = setup({ generation: 'v1', engines: 1 }, { leaseTtlMs: 600_000 })
  const requests = () => parts.fake.counters.requests.byRoute[ROUTE] ?? 0
  return { ...parts, requests }
}

describe('hazard 13: a status of v1 that does not tell whether an engine can be added', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['is a 500', { kind: 'status', status: 500 }],
    ['is not there', { kind: 'status', status: 404, body: '404 page not found\n' }],
    ['cannot be read', { kind: 'status', status: 200, body: '<html>' }],
  ])('since it %s, is no refusal: an engine is asked for, once', async (_, fault) => {
    const { client, clock, fake, requests } = fullHouse()
    await client.acquireEngine()
    fake.inject({ ...fault, route: STATUS, ...always })
    const { engine } = await during(clock, client.acquireEngine({ waitMs: 4_000 }))
    expect(fake.engines.map(({ containerId }) => containerId)).toContain(engine.containerId)
    expect(requests()).toBe(1)
  })

  it.each(['refused', 'lost-answer'] as const)('but an orchestrator that cannot be reached (%s) is not asked', async (kind) => {
    const { client, clock, fake, requests } = fullHouse()
    await client.acquireEngine()
    fake.inject({ kind, route: STATUS, ...always })
    await during(clock, failureOf(client.acquireEngine({ waitMs: 20_000 })))
    expect(requests()).toBe(0)
  })

  it('nor is one whose status is refused for want of a key', async () => {
    const { client, clock, fake, requests } = fullHouse()
    await client.acquireEngine()
    fake.inject({ kind: 'status', status: 401, route: STATUS, ...always })
    expect(await during(clock, failureOf(client.acquireEngine({ waitMs: 3_000 })))).toMatchObject({ reason: 'unauthorized' })
    expect(requests()).toBe(0)
  })
})

describe('v1 with its breaker open', () => {
  it.each<[string, Omit<Fault, 'route' | 'times'>]>([
    ['fails', { kind: 'status', status: 500 }],
    ['is lost', { kind: 'reset-after' }],
  ])('says so though the answer for how long %s', async (_, fault) => {
    const { client, clock, fake, requests } = fullHouse()
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    fake.inject({ ...fault, route: 'GET /circuit-breaker', ...always })
    const error = (await during(clock, failureOf(client.acquireEngine({ waitMs: 3_000 })))) as CapacityError
    expect(error).toMatchObject({ reason: 'circuit_breaker', shouldWait: true })
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(1_000)
    expect(requests()).toBe(0)
  })
})
