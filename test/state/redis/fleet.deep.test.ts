import type { JournalEntry } from 'acestream-orchestrator-client'
import { type IoRedisClient, RedisStore } from 'acestream-orchestrator-client/redis'
import { describe, expect, it } from 'vitest'
import { clock, eventually, Fleet, outlive, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const entry = (streamId: string): JournalEntry => ({ streamId, containerId: 'a', proxyId: 'p', isOver: false })

/** The commands that clients sent to Redis during `work`. */
async function commandsOf(fleet: Fleet, work: () => Promise<void>): Promise<string[]> {
  const monitor = await fleet.inspector.monitor()
  const commands: string[] = []
  monitor.on('monitor', (_time: string, args: string[], source: string) => {
    if (source !== 'lua') commands.push(String(args[0]).toLowerCase())
  })
  await work()
  await fleet.inspector.ping('end')
  await eventually(() => commands.includes('ping'))
  monitor.disconnect()
  return commands.slice(0, commands.indexOf('ping'))
}

/** 130 or 150 engines are sent in portions of 64. */
const THREE_CALLS = ['evalsha', 'evalsha', 'evalsha']

describe.skipIf(isRedisMissing)('a fleet on one Redis', () => {
  it('[I1] grants exactly its 40 slots when three proxies request 600 at once', async () => {
    await using fleet = await Fleet.start()
    const stores = [await fleet.store(), await fleet.store({ library: 'node-redis' }), await fleet.store()]
    const engines = Array.from({ length: 20 }, (_, index) => `engine-${index}`)
    for (let round = 0; round < 5; round += 1) {
      const taken = await Promise.all(
        stores.flatMap((store, proxy) =>
          Array.from({ length: 200 }, async (_, index) => {
            const leaseId = `${round}/${proxy}/${index}`
            return { store, leaseId, containerId: await store.take(slot(leaseId, engines, 2)) }
          }),
        ),
      )
      const leases = taken.filter(({ containerId }) => containerId !== undefined)
      expect(leases).toHaveLength(40)
      for (const engine of engines) expect(leases.filter(({ containerId }) => containerId === engine)).toHaveLength(2)
      await Promise.all(leases.map(({ store, leaseId }) => store.releaseLease(leaseId)))
      expect(await fleet.slots()).toEqual({})
    }
  })

  it('takes a slot in one round trip, even if 59 of 60 engines are full', async () => {
    await using fleet = await Fleet.start()
    for (const library of ['ioredis', 'node-redis']) {
      const store = await fleet.store({ library, name: library })
      const engines = Array.from({ length: 60 }, (_, index) => `engine-${index}`)
      for (const containerId of engines.slice(0, 59)) await store.occupy(containerId, `on ${containerId}`)
      await store.releaseLease((await store.take(slot('first', engines))) === undefined ? '' : 'first')
      expect(await commandsOf(fleet, async () => expect(await store.take(slot('counted', engines))).toBe('engine-59'))).toEqual(['evalsha'])
    }
  })

  it('takes a slot among more than 64 engines with one call for each 64 of them', async () => {
    await using fleet = await Fleet.start()
    const store = await fleet.store()
    const engines = Array.from({ length: 150 }, (_, index) => `engine-${index}`)
    for (const containerId of engines.slice(0, 140)) await store.occupy(containerId, `on ${containerId}`)
    expect(await commandsOf(fleet, async () => expect(await store.take(slot('far', engines))).toBe('engine-140'))).toEqual(THREE_CALLS)
    expect(await commandsOf(fleet, async () => expect(await store.take(slot('none', engines.slice(0, 130)))).toBeUndefined())).toEqual(
      THREE_CALLS,
    )
  })

  it('[I6] keeps nothing of a dead member except its unsettled entries', async () => {
    await using fleet = await Fleet.start()
    const [dead, successor] = [await fleet.store(), await fleet.store()]
    await dead.take(slot('lease', ['a'], 9))
    await dead.occupy('a', 'x')
    await dead.append(entry('x'))
    expect(await successor.take(slot('early', ['a'], 2))).toBeUndefined()
    expect(await successor.recover()).toEqual([])
    await outlive(successor)
    expect(await successor.take(slot('later', ['a'], 1))).toBe('a')
    expect(await fleet.slots()).toEqual({ a: ['l:later'] })
    expect(await successor.recover()).toEqual([entry('x')])
    expect(await successor.recover()).toEqual([])
    expect(await fleet.memberCount()).toBe(1)
  })

  it('[I6] frees the slot of a lease as soon as its owner expires the lease', async () => {
    await using fleet = await Fleet.start()
    const [owner, peer] = [await fleet.store(), await fleet.store()]
    await owner.take(slot('lease', ['a'], 1, 100))
    await clock.advance(100)
    expect(await peer.take(slot('early', ['a']))).toBeUndefined()
    expect((await owner.expire(clock.now())).map(({ leaseId }) => leaseId)).toEqual(['lease'])
    expect(await peer.take(slot('later', ['a']))).toBe('a')
  })

  it('[I6] frees the leases of a silent member before they expire; if it was only paused, it cannot promote them', async () => {
    await using fleet = await Fleet.start()
    const [sleeper, peer] = [await fleet.store(), await fleet.store()]
    for (const leaseId of ['lease', 'other']) await sleeper.take(slot(leaseId, ['a', 'b']))
    await sleeper.occupy('c', 'x')
    expect(await peer.take(slot('early', ['a', 'b']))).toBeUndefined()
    await outlive(peer)
    expect(await peer.take(slot('peers', ['a']))).toBe('a')
    expect([await sleeper.promote('lease', 'y'), await sleeper.promote('other', 'z')]).toEqual([false, false])
    await sleeper.renew()
    expect(await fleet.slots()).toEqual({ a: ['l:peers'], c: ['s:x'] })
  })

  it('a member that was taken for dead reports its live streams again, but no entry that another member has settled', async () => {
    await using fleet = await Fleet.start()
    const [sleeper, peer] = [await fleet.store(), await fleet.store()]
    await sleeper.occupy('a', 'x')
    await sleeper.append(entry('x'))
    await sleeper.append({ ...entry('settled while away'), life: 'its life' })
    await outlive(peer)
    expect(await peer.take(slot('peers', ['a']))).toBe('a')
    expect((await peer.recover()).map(({ streamId }) => streamId)).toEqual(['x', 'settled while away'])
    await peer.claimEnd('settled while away', retention(), 'its life')
    await peer.settle('settled while away')
    await sleeper.renew()
    expect(await fleet.slots()).toEqual({ a: ['l:peers', 's:x'] })
    expect(await fleet.journal()).toEqual(['x'])
    expect([await sleeper.recover(), await peer.recover()]).toEqual([[], []])
    await sleeper.close()
    expect(await fleet.memberCount()).toBe(1)
    expect(await peer.recover()).toEqual([])
  })

  it('[I1] [I5] gives the same results if a client library sends each command twice, as after a broken connection', async () => {
    await using fleet = await Fleet.start()
    const { inspector } = fleet
    const twice = async (send: () => Promise<unknown>): Promise<unknown> => {
      await send()
      return send()
    }
    const client: IoRedisClient = {
      evalsha: (...args) => twice(() => inspector.evalsha(...args)),
      eval: (...args) => twice(() => inspector.eval(...args)),
      duplicate: () => undefined,
    }
    await fleet.open()
    const store = new RedisStore({ client, clock, slotTtlMs: 1_500 })
    expect([await store.take(slot('1', ['a', 'b'])), await store.take(slot('2', ['a', 'b']))]).toEqual(['a', 'b'])
    expect(await store.take(slot('3', ['a', 'b']))).toBeUndefined()
    expect(await store.promote('1', 'x')).toBe(true)
    expect(await fleet.slots()).toEqual({ a: ['s:x'], b: ['l:2'] })
    expect([await store.releaseLease('2'), await store.releaseStream('x')]).toEqual(['b', 'a'])
    expect(await fleet.slots()).toEqual({})
    const retention = { now: clock.now(), retentionMs: 3_600_000, max: 10 }
    expect([await store.claimEnd('x', retention), await store.claimEnd('x', retention)]).toEqual([true, false])
    const dying = await fleet.store()
    await dying.append(entry('y'))
    await outlive(store)
    expect([await store.recover(), await store.recover()]).toEqual([[entry('y')], []])
    await store.close()
  })

  it('[I1] keeps the slot of a stream that two members have until both have released it or died', async () => {
    await using fleet = await Fleet.start()
    const [staying, leaving, dying] = [await fleet.store(), await fleet.store(), await fleet.store()]
    await staying.occupy('a', 'x')
    await leaving.occupy('a', 'x')
    expect(await leaving.releaseStream('x')).toBe('a')
    expect(await fleet.slots()).toEqual({ a: ['s:x'] })
    await dying.occupy('a', 'x')
    expect(await staying.releaseStream('x')).toBe('a')
    expect(await fleet.slots()).toEqual({ a: ['s:x'] })
    await staying.occupy('b', 'y')
    await dying.occupy('b', 'y')
    await outlive(leaving, staying)
    expect(await leaving.take(slot('dead', ['a']))).toBe('a')
    expect(await leaving.take(slot('full', ['b']))).toBeUndefined()
  })

  it('a member that was taken for dead reports its slots before its next take', async () => {
    await using fleet = await Fleet.start()
    const [sleeper, peer] = [await fleet.store(), await fleet.store()]
    await sleeper.occupy('a', 'x')
    await outlive(peer)
    expect(await fleet.slots()).toEqual({})
    expect(await sleeper.take(slot('sleepers', ['a', 'b']))).toBe('b')
    expect(await fleet.slots()).toEqual({ a: ['s:x'], b: ['l:sleepers'] })
  })

  it('two stores of one name are separate members: one recovers the entries of the other only after that has closed', async () => {
    await using fleet = await Fleet.start()
    const [one, other] = [await fleet.store(), await fleet.store()]
    await one.append(entry('x'))
    await other.append(entry('y'))
    expect(await other.recover()).toEqual([])
    await one.close()
    expect(await other.recover()).toEqual([entry('x')])
    expect(await fleet.memberCount()).toBe(1)
  })

  it('frees the slots of a closing member at once, and removes the member if it has no entry', async () => {
    await using fleet = await Fleet.start()
    const [leaving, staying] = [await fleet.store(), await fleet.store()]
    await staying.renew()
    await leaving.take(slot('lease', ['a']))
    await leaving.occupy('b', 'x')
    await leaving[Symbol.asyncDispose]()
    expect(await fleet.slots()).toEqual({})
    expect(await fleet.memberCount()).toBe(1)
    await expect(leaving.take(slot('late', ['a']))).rejects.toMatchObject({ reason: 'unavailable' })
  })

  it('notifies a member of slots that other members freed, on one connection that closes with its last listener', async () => {
    await using fleet = await Fleet.start()
    for (const library of ['ioredis', 'node-redis']) {
      const [one, other] = [await fleet.store({ library, name: library }), await fleet.store({ library, name: library })]
      const notified: string[] = []
      const undo = ['first', 'second'].map((name) =>
        one.onSlotFreed((settledStreamId) => notified.push([name, ...(settledStreamId === undefined ? [] : [settledStreamId])].join(' '))),
      )
      const subscribers = async () => Number((await fleet.inspector.pubsub('NUMSUB', `{acestream:${library}}:state:freed`))[1])
      await eventually(async () => (await subscribers()) === 1)
      await one.take(slot('own', ['a']))
      await one.releaseLease('own')
      await other.occupy('a', 'x')
      expect(notified).toEqual([])
      await other.releaseStream('x')
      await eventually(() => notified.length === 2)
      await other.append(entry('over and\nout'))
      await other.settle('over and\nout')
      await other.settle('unknown')
      await other.occupy('a', 'y')
      await other.releaseStream('y')
      await eventually(() => notified.length === 6)
      expect(notified.slice(2)).toEqual(['first over and\nout', 'second over and\nout', 'first', 'second'])
      for (const stop of undo) stop()
      await eventually(async () => (await subscribers()) === 0)
      one.onSlotFreed(() => {})
      await eventually(async () => (await subscribers()) === 1)
      await one.close()
      await eventually(async () => (await subscribers()) === 0)
    }
  })
})
