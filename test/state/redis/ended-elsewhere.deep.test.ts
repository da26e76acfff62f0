import { describe, expect, it } from 'vitest'
import { entryOf, FleetMember, live, rest, SLOT_TTL_MS } from '../../support/fleet-member.ts'
import { Fleet, retention } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const COUNT = 50
const STREAMS = Array.from({ length: COUNT }, (_, place) => `stream ${place}`)

/** One proxy has started 50 streams, a second one has ended them all, and there is a third one. */
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
    it('[I6] are removed from the journal within one report, and are not added again', async () => {
      await using fleet = await Fleet.start()
      const members = await endedByAnother(fleet, library, life)
      await live(members, 5_250)
      expect(await fleet.journal()).toEqual([])
      await live(members, 35_000)
      expect(await fleet.journal()).toEqual([])
      expect(members.flatMap(({ recovered }) => recovered)).toEqual([])
    })

    it('[I6] are not added to the journal again when the proxy that started them was taken for dead and reports again', async () => {
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

    it('[I6] are not added to the journal again when Redis loses its data and the proxy that ended them reports first', async () => {
      await using fleet = await Fleet.start()
      const members = await endedByAnother(fleet, library, life)
      await live(members, 6_000)
      await fleet.inspector.flushall()
      await members[1].renew()
      await rest(members)
      await live(members, 2 * SLOT_TTL_MS)
      expect(await fleet.journal()).toEqual([])
      await members[0].store.close()
      await live(members.slice(1), 2 * SLOT_TTL_MS)
      expect(members.flatMap(({ recovered }) => recovered)).toEqual([])
    })
  })

  it('[I2] a stream that was started again stays in the journal when another proxy settles its first life', async () => {
    await using fleet = await Fleet.start()
    const [starter, ender, third] = await endedByAnother(fleet, library, 'first life')
    const members = [starter, ender, third]
    for (const streamId of STREAMS) await starter.store.append(entryOf(streamId, 'second life'))
    for (const streamId of STREAMS) await ender.store.settle(streamId, 'first life')
    expect(await fleet.journal()).toEqual([...STREAMS].sort())
    // The same by a proxy that cannot reach Redis at first.
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

  it('[I2] a stream that was started again stays in the journal when a proxy that has recovered its first life settles it', async () => {
    await using fleet = await Fleet.start()
    const [starter, successor] = [
      await FleetMember.join(fleet, 'starter', { library }),
      await FleetMember.join(fleet, 'successor', { library }),
    ]
    for (const streamId of ['x', 'y', 'z']) await starter.store.append(entryOf(streamId, 'first life'))
    starter.isCut = true
    await live([starter, successor], 2 * SLOT_TTL_MS)
    expect(successor.recovered).toHaveLength(3)
    starter.isCut = false
    await live([starter, successor], SLOT_TTL_MS)
    for (const streamId of ['x', 'y']) await starter.store.append(entryOf(streamId, 'second life'))
    await successor.store.settle('x', 'first life')
    await successor.store.settle('y')
    await successor.store.settle('z')
    // The entries must be there before the next report of their proxy, which may die until then.
    expect(await fleet.journal()).toEqual(['x', 'y'])
    await live([starter, successor], SLOT_TTL_MS)
    expect(await fleet.journal()).toEqual(['x', 'y'])
  })

  it('[I5] a stream that was started again stays in the journal when Redis loses all but the end of its first life', async () => {
    await using fleet = await Fleet.start()
    const [starter, ender, third] = await endedByAnother(fleet, library, 'first life')
    for (const streamId of STREAMS) await starter.store.append(entryOf(streamId, 'second life'))
    for (const key of await fleet.inspector.keys('*:state')) await fleet.inspector.del(key)
    await live([starter, ender, third], SLOT_TTL_MS)
    expect(await fleet.journal()).toEqual([...STREAMS].sort())
  })

  it('[I2] a stream that was started again survives a data loss, even if a proxy that ended it (life unknown) reports first', async () => {
    await using fleet = await Fleet.start()
    const [starter, ender, third] = await endedByAnother(fleet, library)
    for (const streamId of STREAMS) {
      await starter.store.unclaimEnd(streamId)
      await starter.store.append(entryOf(streamId, 'second life'))
    }
    await fleet.inspector.flushall()
    await ender.renew()
    await rest([ender])
    await live([starter, ender, third], SLOT_TTL_MS)
    expect(await fleet.journal()).toEqual([...STREAMS].sort())
  })
})
