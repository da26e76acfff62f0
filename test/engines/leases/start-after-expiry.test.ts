import { describe, expect, it } from 'vitest'
import { laterStore } from '../../support/later-store.ts'
import { failureOf, playback, setup } from '../../support/setup.ts'

describe('a lease that has expired', () => {
  it('starts no stream on an engine that is draining (H21)', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 2 }, { leaseTtlMs: 1_000 })
    const lease = await client.acquireEngine()
    await clock.advance(1_000)
    fake.updateEngine(lease.engine.containerId, { draining: true })
    await client.listEngines({ fresh: true })
    expect(await failureOf(lease.startStream(playback()))).toMatchObject({ code: 'CAPACITY', reason: 'lease_expired' })
    expect(fake.counters.startsApplied).toBe(0)
  })

  it('starts no stream on an engine that is no longer listed (H9)', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 1_000 })
    const lease = await client.acquireEngine()
    await clock.advance(1_000)
    fake.restart()
    await client.listEngines({ fresh: true })
    expect(await failureOf(lease.startStream(playback()))).toMatchObject({ code: 'CAPACITY', reason: 'lease_expired' })
  })

  it('starts a stream at the second attempt, when its engine was full at the first and has a free slot by then', async () => {
    const { client, clock } = setup({ engines: 1 }, { leaseTtlMs: 1_000 })
    const late = await client.acquireEngine()
    await clock.advance(1_000)
    const other = await (await client.acquireEngine({ waitMs: 0 })).startStream(playback('b'.repeat(40)))
    expect(await failureOf(late.startStream(playback()))).toMatchObject({ code: 'CAPACITY' })
    await other.end()
    expect((await late.startStream(playback())).state).toBe('live')
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 1 } })
  })
})

describe('with a store that answers later', () => {
  it('[I1] a caller that was too late for the best engine gets the next best at once', async () => {
    const { client } = setup({ engines: 3 }, { store: laterStore(), random: () => 0 }) // all three choose the same engine first
    const leases = await Promise.all([1, 2, 3].map(() => client.acquireEngine({ waitMs: 0 })))
    expect(new Set(leases.map((lease) => lease.engine.containerId)).size).toBe(3)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY' })
  })

  it('[I6] the slot of a stream that ended before the store had recorded it becomes free', async () => {
    const store = laterStore()
    const promote = store.promote.bind(store)
    store.promote = async (leaseId, streamId) => {
      for (let turns = 0; turns < 3; turns += 1) await new Promise(setImmediate)
      return promote(leaseId, streamId)
    }
    const { client, clock } = setup({ engines: 1 }, { store })
    const lease = await client.acquireEngine()
    const starting = lease.startStream({ ...playback(), streamId: 'blink' })
    const ending = client.streamEnded('blink')
    for (let i = 0; i < 4; i += 1) await clock.settle()
    expect((await starting).state).toBe('ended')
    expect((await ending).outcome).toBe('delivered')
    await clock.settle()
    expect((await client.acquireEngine({ waitMs: 0 })).engine.containerId).toBe(lease.engine.containerId)
  })
})
