import { describe, expect, it } from 'vitest'
import { entryOf, FleetMember, live } from '../../support/fleet-member.ts'
import { Fleet, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'
import { recordedLog } from './recorded-log.ts'

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a Redis that is out of memory (%s)', (library) => {
  it('[I1] [I5] [I6] still releases and grants slots, claims ends and settles streams, and is not reported as away', async () => {
    await using fleet = await Fleet.start()
    const { logger, lines } = recordedLog()
    const one = await FleetMember.join(fleet, 'one', { library, logger })
    const two = await FleetMember.join(fleet, 'two', { library, logger })
    const members = [one, two]
    await one.hold()
    for (const leaseId of ['released', 'kept']) await one.store.take(slot(leaseId, [`engine of ${leaseId}`]))
    await live(members, 6_000)
    await fleet.inspector.config('SET', 'maxmemory-policy', 'noeviction')
    await fleet.inspector.config('SET', 'maxmemory', 1)
    await expect(fleet.inspector.set('other', 'value')).rejects.toThrow('OOM')

    expect(await one.store.releaseLease('released')).toBe('engine of released')
    expect(await one.store.releaseStream('stream of one')).toBe('engine of one')
    expect(await one.store.claimEnd('stream of one', retention())).toBe(true)
    expect(await two.store.claimEnd('stream of one', retention())).toBe(false)
    await one.store.settle('stream of one')
    expect(await fleet.journal()).toEqual([])
    expect(await two.store.take(slot('next', ['engine of released']))).toBe('engine of released')
    expect(await two.store.take(slot('another', ['engine of kept', 'engine of one']))).toBe('engine of one')
    expect(await one.store.promote('kept', 'live')).toBe(true)
    await one.store.append(entryOf('live'))
    await live(members, 40_000)
    expect(members.flatMap(({ recovered }) => recovered)).toEqual([])
    expect(await fleet.slots()).toEqual({
      'engine of kept': ['s:live'],
      'engine of one': ['l:another'],
      'engine of released': ['l:next'],
      'spare of one': ['l:lease of one'],
    })
    expect(await fleet.journal()).toEqual(['live'])
    expect(lines).toEqual([])
  })
})
