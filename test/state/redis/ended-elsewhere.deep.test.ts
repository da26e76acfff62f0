import { describe, expect, it } from 'vitest'
import { entryOf, FleetMember, live, rest, SLOT_TTL_MS } from '../../support/fleet-member.ts'
import { Fleet, retention } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const COUNT = 50
const STREAMS = Array.from({ length: COUNT }, (_, place) => `stream ${place}`)

/** A proxy that started streams, another that ended them all, and a third. */
async function endedByAnother(fleet: Fleet, library: string, life?: string): Promise<[FleetMember, FleetMember, FleetMember]> {
  const [starter, ender, third] = [
    await FleetMember.join(fleet, 'starter', { library }),
    await FleetMember.join(fleet, 'ender', { library }),
    await FleetMember.join(fleet, 'third', { library }),
  ]
  for (const streamId of STREAMS) await starter.store.append(entryOf(streamId, life))
  await live([starter, ender, third], 6_000)
  expect(await fleet.journal()).toEqual([...STREAMS].sort())
  for (const streamId of STREAMS) {
    expect(await ender.store.claimEnd(streamId, { ...retention(), retentionMs: 3_600_000 }, life)).toBe(true)
    await ender.store.settle(streamId, life)
  }
  return [starter, ender, third]
}

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('streams that another proxy ended (%s)', (library) => {
  describe.each([
    ['whose life is known', 'one life'],
    ['whose life is not known', undefined],
  ])('%s', (_, life) => {
    it('[I6] leave the journal within one report, and stay away', async () => {
      await using fleet = await Fleet.start()
      const members = await endedByAnother(fleet, library, life)
      await live(members, 5_250)
      expect(await fleet.journal()).toEqual([])
      await live(members, 35_000)
      expect(await fleet.journal()).toEqual([])
      expect(members.flatMap(({ recovered }) => recovered)).toEqual([])
    })

    it('[I6] stay away when the proxy that started them was taken for dead, and reports again', async () => {
      await using fleet = await Fleet.start()
      const members = await endedByAnother(fleet, library, life)
      const [starter] = members
      starter.isCut = true
      await live(members, 2 * SLOT_TTL_MS)
      starter.isCut = false
      await live(members, 2 * SLOT_TTL_MS)
      expect(await fleet.journal()).toEqual([])
      expect(members.flatMap(({ recovered }) => recovered)).toEqual([])
    })

    it('[I6] stay away when Redis loses its data, and the proxy that ended them reports first', async () => {
      await using fleet = await Fleet.start()
      const members = await endedByAnother(fleet, library, life)
      await live(members, 6_000)
      await fleet.eye.flushall()
      await members[1].renew()
      await rest(members)
      await live(members, 2 * SLOT_TTL_MS)
      expect(await fleet.journal()).toEqual([])
      await members[0].store.close()
      await live(members.slice(1), 2 * SLOT_TTL_MS)
      expect(members.flatMap(({ recovered }) => recovered)).toEqual([])
    })
  })

  it('[I2] a stream that was announced again stays in the journal, when a proxy that is not its owner strikes out the life before', async () => {
    await using fleet = await Fleet.start()
    const [starter, ender, third] = await endedByAnother(fleet, library, 'first life')
    const members = [starter, ender, third]
    for (const streamId of STREAMS) await starter.store.append(entryOf(streamId, 'second life'))
    for (const streamId of STREAMS) await ender.store.settle(streamId, 'first life')
    expect(await fleet.journal()).toEqual([...STREAMS].sort())
    // The same, by a proxy that Redis does not answer at first.
    third.isCut = true
    for (const streamId of STREAMS) await third.store.settle(streamId, 'first life')
    third.isCut = false
    await live(members, SLOT_TTL_MS)
    expect(await fleet.journal()).toEqual([...STREAMS].sort())
    await starter.store.close()
    await live([ender, third], SLOT_TTL_MS)
    const found = [...ender.recovered, ...third.recovered]
    expect(found).toHaveLength(COUNT)
    expect(new Set(found.map(({ life }) => life))).toEqual(new Set(['second life']))
  })

  it('[I2] a stream that its proxy announced again stays in the journal, when one that took it over meanwhile strikes it out', async () => {
    await using fleet = await Fleet.start()
    const [starter, heir] = [await FleetMember.join(fleet, 'starter', { library }), await FleetMember.join(fleet, 'heir', { library })]
    for (const streamId of ['x', 'y', 'z']) await starter.store.append(entryOf(streamId, 'first life'))
    starter.isCut = true
    await live([starter, heir], 2 * SLOT_TTL_MS)
    expect(heir.recovered).toHaveLength(3)
    starter.isCut = false
    await live([starter, heir], SLOT_TTL_MS)
    for (const streamId of ['x', 'y']) await starter.store.append(entryOf(streamId, 'second life'))
    await heir.store.settle('x', 'first life')
    await heir.store.settle('y')
    await heir.store.settle('z')
    // Its proxy may die before its next report.
    expect(await fleet.journal()).toEqual(['x', 'y'])
    await live([starter, heir], SLOT_TTL_MS)
    expect(await fleet.journal()).toEqual(['x', 'y'])
  })

  it('[I5] a stream of a second life stays in the journal when Redis loses the state but remembers the end of the first', async () => {
    await using fleet = await Fleet.start()
    const [starter, ender, third] = await endedByAnother(fleet, library, 'first life')
    for (const streamId of STREAMS) await starter.store.append(entryOf(streamId, 'second life'))
    for (const key of await fleet.eye.keys('*:state')) await fleet.eye.del(key)
    await live([starter, ender, third], SLOT_TTL_MS)
    expect(await fleet.journal()).toEqual([...STREAMS].sort())
  })

  it('[I2] a stream that was announced again stays in the journal when Redis loses its data, though the proxy that ended it without knowing its life reports first', async () => {
    await using fleet = await Fleet.start()
    const [starter, ender, third] = await endedByAnother(fleet, library)
    for (const streamId of STREAMS) {
      await starter.store.unclaimEnd(streamId)
      await starter.store.append(entryOf(streamId, 'second life'))
    }
    await fleet.eye.flushall()
    await ender.renew()
    await rest([ender])
    await live([starter, ender, third], SLOT_TTL_MS)
    expect(await fleet.journal()).toEqual([...STREAMS].sort())
  })
})
