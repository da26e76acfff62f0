import { describe, expect, it } from 'vitest'
import { listRequests, streamRequests } from '../../support/push-transport.ts'
import { failureOf, setup } from '../../support/setup.ts'

const versionRequests = (fake: ReturnType<typeof setup>['fake']): number => fake.counters.requests.byRoute['GET /version'] ?? 0

describe('on v1, while pushed lists arrive, no list is requested', () => {
  it.each([true, false])('for one waiter in 60 s while all engines are full (provision: %s)', async (provision) => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, maxReplicas: 1 }, { dialect: 'v1', leaseTtlMs: 600_000 })
    await client.acquireEngine({ provision })
    const before = listRequests(fake)
    const waiting = failureOf(client.acquireEngine({ provision, waitMs: 60_000 }))
    await clock.advance(60_000)
    await waiting
    expect([before, listRequests(fake), versionRequests(fake), streamRequests(fake)]).toEqual([2, 2, 0, 1])
  })

  it('for one waiter in five minutes', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, maxReplicas: 1 }, { dialect: 'v1', leaseTtlMs: 600_000 })
    await client.acquireEngine()
    const waiting = failureOf(client.acquireEngine({ provision: false, waitMs: 300_000 }))
    await clock.advance(300_000)
    await waiting
    expect([listRequests(fake), versionRequests(fake), streamRequests(fake)]).toEqual([2, 0, 1])
  })

  it('for four waiters in two minutes while their engines are started', async () => {
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
    expect(versionRequests(fake)).toBeLessThanOrEqual(2)
    await clock.advance(60_000)
    await Promise.all(leases)
    expect([listRequests(fake) - before, fake.counters.enginesProvisioned]).toEqual([0, 4])
  })

  it('to find the last engine that is allowed, though the status counts it before a push shows it', async () => {
    const { client, clock, fake } = setup(
      {
        generation: 'v1',
        engines: 1,
        maxReplicas: 2,
        provisionDelayMs: 2_200,
        // The status is read between two pushes, and the engine appears shortly before it.
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

  it('until the event stream fails: then lists are requested again', async () => {
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
