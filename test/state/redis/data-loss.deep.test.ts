import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FleetMember, freeAmong, live, SLOT_TTL_MS } from '../../support/fleet-member.ts'
import { clock, Fleet, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing, ON_DISK, RedisServer, until } from '../../support/redis-server.ts'

const NAMES = ['one', 'two', 'three']
const HELD = NAMES.flatMap((name) => [`engine of ${name}`, `spare of ${name}`])
const ALL_HELD = Object.fromEntries(
  NAMES.flatMap((name) => [
    [`engine of ${name}`, [`s:stream of ${name}`]],
    [`spare of ${name}`, [`l:lease of ${name}`]],
  ]),
)

type Work = () => Promise<void>

/** A replica that had all data of the server, and receives no further writes. */
async function laggingReplica(server: RedisServer): Promise<Redis> {
  const replica = await RedisServer.start()
  onTestFinished(() => replica.stop())
  const inspector = new Redis(replica.url)
  onTestFinished(() => inspector.disconnect())
  await inspector.replicaof('127.0.0.1', server.port)
  await until(async () => /master_link_status:up/.test(await inspector.info('replication')))
  const unusedPort = 1
  await inspector.replicaof('127.0.0.1', unusedPort)
  return inspector
}

/** Each function runs `work` and makes Redis lose the data that `work` wrote, or more. Redis answers again afterwards. */
const LOSSES: Readonly<Record<string, (fleet: Fleet, work: Work) => Promise<void>>> = {
  async 'restarted without its data'({ server }, work) {
    await work()
    await server.kill()
    server.deleteData()
    await server.start()
  },
  async 'restarted without the last writes'({ inspector, server }, work) {
    const before = await Promise.all((await inspector.keys('*')).map(async (key) => [key, await inspector.dumpBuffer(key)] as const))
    await work()
    await inspector.flushall()
    for (const [key, value] of before) await inspector.restore(key, 0, value)
    await server.kill()
    await server.start()
  },
  async flushed({ inspector }, work) {
    await work()
    await inspector.flushall()
  },
  async 'made to evict the state'({ inspector }, work) {
    await work()
    for (const key of await inspector.keys('*:state')) await inspector.del(key)
  },
  async 'replaced by a replica without the last writes'({ server }, work) {
    const replica = await laggingReplica(server)
    await work()
    await server.kill()
    await replica.replicaof('NO', 'ONE')
    await replica.config('SET', 'port', server.port)
  },
}

/** Two proxies that hold slots, and a third that gets its slots just before Redis loses data. */
async function loseData(fleet: Fleet, library: string, lose: (fleet: Fleet, work: Work) => Promise<void>): Promise<FleetMember[]> {
  const members: FleetMember[] = []
  for (const name of NAMES) members.push(await FleetMember.join(fleet, name, { library }))
  await members[0]?.hold()
  await members[1]?.hold()
  await live(members, 2 * SLOT_TTL_MS)
  await lose(fleet, async () => {
    await members[2]?.hold()
    expect(await fleet.slots()).toEqual(ALL_HELD)
  })
  await fleet.reconnected()
  return members
}

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a Redis that lost data (%s)', (library) => {
  describe.each(Object.entries(LOSSES))('%s', (_, lose) => {
    it('[I1] grants a new proxy no slot until every other proxy had a whole time to live to report its slots', async () => {
      await using fleet = await Fleet.start({ extra: ON_DISK })
      const members = await loseData(fleet, library, lose)
      for (const member of members) member.isCut = true
      const first = await fleet.store({ library, timeoutMs: 1_000, slotTtlMs: SLOT_TTL_MS })
      expect(await freeAmong(first, HELD)).toBe('unavailable')
      const newcomer = await FleetMember.join(fleet, 'newcomer', { library })
      for (let second = 0; second < 13; second += 1) {
        expect(await freeAmong(newcomer.store, HELD)).toBe('unavailable')
        await live([newcomer, ...members], 1_000)
      }
      for (const member of members) member.isCut = false
      const found: unknown[] = []
      for (let second = 0; second < 40; second += 1) {
        await live([newcomer, ...members], 1_000)
        found.push(await freeAmong(newcomer.store, HELD))
      }
      expect(found.filter((free) => free !== 'unavailable').flat()).toEqual([])
      expect(found.at(-1)).toEqual([])
      expect(await fleet.slots()).toEqual(ALL_HELD)
      expect([newcomer, ...members].flatMap(({ recovered }) => recovered)).toEqual([])
      expect(await fleet.journal()).toEqual(NAMES.map((name) => `stream of ${name}`).sort())
      for (const { name, store } of members) {
        expect(await store.promote(`lease of ${name}`, `next of ${name}`)).toBe(true)
        expect(await store.releaseStream(`stream of ${name}`)).toBe(`engine of ${name}`)
      }
      expect(await fleet.slots()).toEqual(Object.fromEntries(NAMES.map((name) => [`spare of ${name}`, [`s:next of ${name}`]]).sort()))
    })

    it.each([
      ['proxies that are alive', true],
      ['proxies that died with it', false],
    ])('grants slots again after at most one time to live plus one report interval, with %s', async (__, isAlive) => {
      await using fleet = await Fleet.start({ extra: ON_DISK })
      const members = await loseData(fleet, library, lose)
      for (const member of members) member.isCut = !isAlive
      const newcomer = await FleetMember.join(fleet, 'newcomer', { library })
      const begunAt = clock.now()
      const living = isAlive ? [newcomer, ...members] : [newcomer]
      let refusals = 0
      while ((await newcomer.store.take(slot('new', ['free'])).catch(() => undefined)) === undefined) {
        refusals += 1
        await live(living, 250)
      }
      expect(refusals).toBeGreaterThan(0)
      expect(clock.now() - begunAt).toBeLessThanOrEqual(SLOT_TTL_MS + newcomer.store.renewIntervalMs)
      await live(living, SLOT_TTL_MS + newcomer.store.renewIntervalMs)
      expect(await freeAmong(newcomer.store, HELD)).toEqual(isAlive ? [] : HELD)
    })
  })
})
