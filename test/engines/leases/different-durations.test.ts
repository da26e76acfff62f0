import type { StateStore } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import type { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { allocatorOf, requestOf } from '../../support/inner-parts.ts'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, setup } from '../../support/setup.ts'

const STORES: [string, () => StateStore | undefined][] = [
  ['the default store', () => undefined],
  ['a store that answers later', () => laterStore()],
  ['SqliteStore', () => new SqliteStore({ path: ':memory:' })],
]

describe.each(STORES)('leases that last for different times, with %s', (_, makeStore) => {
  /** A client with four engines, and the times at which its leases expired. */
  async function world() {
    const store = makeStore()
    const world = setup({ engines: 4 }, { leaseTtlMs: 10_000, ...(store === undefined ? {} : { store }) })
    const beganAt = world.clock.now()
    const expired: unknown[] = []
    world.client.on('lease:expired', ({ leaseId }) => expired.push([leaseId, world.clock.now() - beganAt]))
    const allocator = await allocatorOf(world.client)
    const acquire = (leaseTtlMs?: number) => during(world.clock, allocator.acquire(requestOf({ leaseTtlMs })), 0)
    return { ...world, expired, acquire }
  }

  it('[I6] each expires at its own time, in whichever order they were made', async () => {
    const { client, clock, expired, acquire } = await world()
    const long = await acquire(60_000)
    const short = await acquire(2_000)
    const usual = await acquire()
    const longer = await acquire(30_000)
    const durations = [long, short, usual, longer].map(({ expiresAt }) => expiresAt.getTime() - clock.now())
    expect(durations).toEqual([60_000, 2_000, 10_000, 30_000])
    for (let passed = 0; passed < 61_000; passed += 1_000) await clock.advance(1_000)
    expect(expired).toEqual([
      [short.id, 2_000],
      [usual.id, 10_000],
      [longer.id, 30_000],
      [long.id, 60_000],
    ])
    expect(client.metrics().leases).toMatchObject({ active: 0, expired: 4 })
  })

  it('[I6] the next one expires on time after the first to expire was released', async () => {
    const { clock, expired, acquire } = await world()
    const long = await acquire(8_000)
    const short = await acquire(2_000)
    await during(clock, short.release(), 0)
    for (let passed = 0; passed < 9_000; passed += 1_000) await clock.advance(1_000)
    expect(expired).toEqual([[long.id, 8_000]])
  })

  it('[I6] one that never expires leaves the expiry of later leases alone', async () => {
    const { client, clock, expired, acquire } = await world()
    await acquire(Number.POSITIVE_INFINITY)
    const usual = await acquire()
    for (let passed = 0; passed < 100_000; passed += 1_000) await clock.advance(1_000)
    expect(expired).toEqual([[usual.id, 10_000]])
    expect(client.metrics().leases.active).toBe(1)
  })
})

describe('a caller that gets the slot which a later caller found, with a store that answers after 5 ms', () => {
  /** One engine, whose slot is freed after the first caller read that it is taken, and before the second caller reads. */
  async function slotFoundByTheSecond() {
    const time: { clock?: ManualClock } = {}
    const store = laterStore(() => new Promise((resolve) => time.clock?.setTimeout(() => resolve(undefined), 5)))
    const { client, clock } = setup({ engines: 1 }, { store, leaseTtlMs: 3_600_000 })
    time.clock = clock
    const allocator = await allocatorOf(client)
    const held = await during(clock, client.acquireEngine(), 1)
    const first = allocator.acquire(requestOf({ leaseTtlMs: 120_000, mayProvision: false, waitMs: 20_000 }))
    await clock.advance(1)
    void held.release()
    await clock.advance(1)
    const second = allocator.acquire(requestOf({ leaseTtlMs: 20_000, mayProvision: false, waitMs: 20_000 }))
    return { client, clock, store, first, second: failureOf(second), containerId: held.engine.containerId }
  }

  it('has its lease for as long as it asked for, not for as long as the later caller asked for', async () => {
    const { client, clock, first, second } = await slotFoundByTheSecond()
    const lease = await during(clock, first, 1)
    expect(lease.expiresAt.getTime() - clock.now()).toBeGreaterThan(119_000)
    expect(client.metrics().leases).toMatchObject({ active: 1, acquired: 2 })
    expect(await during(clock, second)).toMatchObject({ code: 'CAPACITY', position: 1 })
    for (let passed = 0; passed < 90_000; passed += 1_000) await clock.advance(1_000)
    expect(client.metrics().leases.active).toBe(1)
    await clock.advance(30_000)
    expect(client.metrics().leases).toMatchObject({ active: 0, expired: 1 })
  })

  it('[I1] waits on, as the first in the queue, if another proxy takes the slot in between', async () => {
    const { client, clock, store, first, second, containerId } = await slotFoundByTheSecond()
    const release = store.inner.releaseLease.bind(store.inner)
    let isLost = false
    store.inner.releaseLease = (leaseId) => {
      const released = release(leaseId)
      if (released !== undefined && client.metrics().leases.acquired === 2 && !isLost) {
        isLost = true
        store.inner.occupy(containerId, 'elsewhere')
      }
      return released
    }
    await clock.advance(1_000)
    expect([isLost, client.metrics().leases.waiting]).toEqual([true, 2])
    store.inner.releaseStream('elsewhere')
    const lease = await during(clock, first, 1)
    expect(lease.expiresAt.getTime() - clock.now()).toBeGreaterThan(119_000)
    expect(await during(clock, second)).toMatchObject({ code: 'CAPACITY', position: 1 })
  })
})

describe('a lease on the fallback engine', () => {
  it.each([30_000, 0])('shows the expiry that its caller asked for, with waitMs %i', async (waitMs) => {
    const { client, clock, fake } = setup({ engines: 1 }, { fallbackEngine: { host: 'fallback', port: 1 }, leaseTtlMs: 10_000 })
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    const allocator = await allocatorOf(client)
    const lease = await during(clock, allocator.acquire(requestOf({ leaseTtlMs: 120_000, waitMs })))
    expect([lease.isFallback, lease.expiresAt.getTime() - clock.now()]).toEqual([true, 120_000])
  })
})
