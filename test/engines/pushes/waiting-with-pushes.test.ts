import { describe, expect, it } from 'vitest'
import { listRequests, streamRequests } from '../../support/line.ts'
import { failureOf, setup } from '../../support/setup.ts'

const versions = (fake: ReturnType<typeof setup>['fake']): number => fake.counters.requests.byRoute['GET /version'] ?? 0

describe('on v1, while pushes arrive, a waiter costs no list request', () => {
  it.each([true, false])('one waiter in a full house for 60 s (with provisioning: %s)', async (provision) => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, maxReplicas: 1 }, { dialect: 'v1', leaseTtlMs: 600_000 })
    await client.acquireEngine({ provision })
    const before = listRequests(fake)
    const waiting = failureOf(client.acquireEngine({ provision, waitMs: 60_000 }))
    await clock.advance(60_000)
    await waiting
    expect([before, listRequests(fake), versions(fake), streamRequests(fake)]).toEqual([2, 2, 0, 1])
  })

  it('one waiter for five minutes, with nobody else', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, maxReplicas: 1 }, { dialect: 'v1', leaseTtlMs: 600_000 })
    await client.acquireEngine()
    const waiting = failureOf(client.acquireEngine({ provision: false, waitMs: 300_000 }))
    await clock.advance(300_000)
    await waiting
    expect([listRequests(fake), versions(fake), streamRequests(fake)]).toEqual([2, 0, 1])
  })

  it('engines that grow for 60 s', async () => {
    const { client, clock, fake } = setup(
      { generation: 'v1', engines: 1, maxReplicas: 6, provisionDelayMs: 12_000 },
      { dialect: 'v1', leaseTtlMs: 600_000 },
    )
    await client.acquireEngine()
    const before = listRequests(fake)
    const leases = Array.from({ length: 4 }, () => client.acquireEngine({ waitMs: 120_000 }))
    await clock.advance(60_000)
    expect(fake.engines.length).toBeGreaterThan(2)
    expect([listRequests(fake) - before, streamRequests(fake)]).toEqual([0, 1])
    expect(versions(fake)).toBeLessThanOrEqual(2)
    await clock.advance(60_000)
    await Promise.all(leases)
    expect([listRequests(fake) - before, fake.counters.enginesProvisioned]).toEqual([0, 4])
  })

  it('the engine that makes the house full is found, though the status says so first', async () => {
    const { client, clock, fake } = setup(
      {
        generation: 'v1',
        engines: 1,
        maxReplicas: 2,
        provisionDelayMs: 2_200,
        // The status is read between two pushes, and the engine comes shortly before it.
        latencyMs: (route) => (route === 'POST /provision/acestream' ? 700 : 0),
      },
      { dialect: 'v1', leaseTtlMs: 600_000 },
    )
    await client.acquireEngine()
    const waiting = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(10_000)
    expect((await waiting).isFallback).toBe(false)
    expect(listRequests(fake)).toBe(2)
    expect(client.metrics().provisioning).toMatchObject({ refused: 0 })
  })

  it('where the event stream falls silent, lists are asked for again', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, maxReplicas: 1 }, { dialect: 'v1', random: () => 0.5 })
    await client.acquireEngine()
    const waiting = client.acquireEngine({ provision: false, waitMs: 60_000 })
    await clock.advance(2_000)
    fake.inject({ kind: 'status', status: 500, route: 'GET /events/stream', times: Number.POSITIVE_INFINITY })
    fake.restart()
    await clock.advance(10_000)
    expect(listRequests(fake)).toBeGreaterThan(2)
    expect((await waiting).isFallback).toBe(false)
  })
})
