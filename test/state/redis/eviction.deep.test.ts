import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { entryOf, FleetMember, live, rest, SLOT_TTL_MS } from '../../support/fleet-member.ts'
import { Fleet, retention, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'
import { recordedLog } from './recorded-log.ts'

const NAMES = ['one', 'two', 'three']
const KEYS = ['state', 'ended', 'lives']
const LIMIT = 2
const ENGINES = Array.from({ length: 6 }, (_, place) => `engine-${place}`)
const HOUR_MS = 3_600_000
const remembered = () => ({ ...retention(), retentionMs: HOUR_MS })

/** The leases that the proxies hold, counted outside the fleet. */
class HeldLeases {
  readonly engineOf = new Map<string, string>()
  readonly ownerOf = new Map<string, FleetMember>()

  hold(leaseId: string, engine: string, owner: FleetMember): void {
    this.engineOf.set(leaseId, engine)
    this.ownerOf.set(leaseId, owner)
    const count = [...this.engineOf.values()].filter((other) => other === engine).length
    expect(count, `slots held on ${engine}`).toBeLessThanOrEqual(LIMIT)
  }

  drop(leaseId: string): void {
    this.engineOf.delete(leaseId)
    this.ownerOf.delete(leaseId)
  }
}

/** Three proxies take and release slots and report, for 240 steps. At a random step `lose` is called. */
async function work(members: readonly FleetMember[], seed: number, lose: () => Promise<unknown>): Promise<HeldLeases> {
  const random = seededRandom(seed)
  const leases = new HeldLeases()
  const steps = 240
  const loseAt = 60 + Math.floor(random() * 60)
  for (let step = 0; step < steps; step += 1) {
    if (step === loseAt) await lose()
    await Promise.all(
      members.map(async (member) => {
        const leaseId = `${step} of ${member.name}`
        const engine = await member.store.take(slot(leaseId, ENGINES, LIMIT, HOUR_MS)).catch(() => undefined)
        if (engine !== undefined) leases.hold(leaseId, engine, member)
        const oldest = [...leases.ownerOf].find(([, owner]) => owner === member)?.[0]
        // No release while Redis grants no slot: otherwise no engine would be full.
        if (oldest === undefined || random() > 0.5 || (step >= loseAt && step < loseAt + 80)) return
        leases.drop(oldest)
        await member.store.releaseLease(oldest)
      }),
    )
    await live(members, 250)
    expect(members.flatMap(({ recovered }) => recovered)).toEqual([])
  }
  await rest(members)
  return leases
}

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a Redis that may evict keys (%s)', (library) => {
  it.each(KEYS.flatMap((key) => [1, 2, 3, 4].map((seed) => [key, seed] as const)))(
    "[I1] [I2] grants no slot twice after the eviction of '%s' at any moment, and no live stream is recovered (seed %i)",
    async (key, seed) => {
      await using fleet = await Fleet.start()
      const members: FleetMember[] = []
      for (const name of NAMES) {
        const member = await FleetMember.join(fleet, name, { library })
        await member.store.append(entryOf(`stream of ${name}`))
        await member.store.occupy(`own engine of ${name}`, `stream of ${name}`)
        await member.store.claimEnd(`ended by ${name}`, remembered(), 'one life')
        members.push(member)
      }
      const full = `{acestream:default}:${key}`
      const leases = await work(members, seed, async () => {
        expect(await fleet.inspector.keys('{acestream:*}*')).toContain(full)
        await fleet.inspector.del(full)
      })
      const held = [...leases.engineOf].map(([leaseId, engine]) => [engine, `l:${leaseId}`] as const)
      const expected = [...held, ...NAMES.map((name) => [`own engine of ${name}`, `s:stream of ${name}`] as const)]
      const slots = Object.entries(await fleet.slots()).flatMap(([engine, names]) => names.map((name) => [engine, name] as const))
      expect(slots.sort()).toEqual(expected.sort())
      for (const [leaseId, owner] of leases.ownerOf) expect(await owner.store.promote(leaseId, `s ${leaseId}`), leaseId).toBe(true)
      expect(await fleet.journal()).toEqual(NAMES.map((name) => `stream of ${name}`).sort())
      for (const name of NAMES) {
        for (const { store } of members) expect(await store.claimEnd(`ended by ${name}`, remembered(), 'one life')).toBe(false)
      }
    },
  )

  it('has no keys of the fleet except `state`, `ended` and `lives`, whose loss is tested here', async () => {
    await using fleet = await Fleet.start()
    const member = await FleetMember.join(fleet, 'one', { library })
    await member.hold()
    await member.store.claimEnd('ended', remembered(), 'one life')
    await member.store.take(slot('lease', ['engine']))
    await member.store.settle('stream of one')
    expect((await fleet.inspector.keys('*')).sort()).toEqual(KEYS.map((key) => `{acestream:default}:${key}`).sort())
  })

  it.each(['ended', 'lives', 'both'])(
    '[I5] loses the ended ids (keys: %s): after the next report of the proxies no end is claimed twice',
    async (which) => {
      await using fleet = await Fleet.start()
      const members: FleetMember[] = []
      for (const name of NAMES) members.push(await FleetMember.join(fleet, name, { library }))
      const ids = Array.from({ length: 30 }, (_, place) => `stream ${place}`)
      for (const [place, id] of ids.entries()) {
        expect(await members[place % 3]?.store.claimEnd(id, remembered(), place % 2 === 0 ? 'a life' : '')).toBe(true)
      }
      for (const key of which === 'both' ? ['ended', 'lives'] : [which]) await fleet.inspector.del(`{acestream:default}:${key}`)
      await live(members, SLOT_TTL_MS / 3 + 250)
      for (const [place, id] of ids.entries()) {
        for (const { store } of members) expect(await store.claimEnd(id, remembered(), place % 2 === 0 ? 'a life' : ''), id).toBe(false)
        const other = await members[0]?.store.claimEnd(id, remembered(), 'another life')
        expect(other, id).toBe(place % 2 === 0)
      }
    },
  )

  it.each(['volatile-lru', 'allkeys-random'])('[I8] causes one warning by each store with %s, even if it joins again', async (policy) => {
    await using fleet = await Fleet.start()
    await fleet.inspector.config('SET', 'maxmemory-policy', policy)
    const ledgers = NAMES.map(() => recordedLog())
    const members: FleetMember[] = []
    for (const [place, name] of NAMES.entries())
      members.push(await FleetMember.join(fleet, name, { library, logger: ledgers[place]?.logger }))
    await live(members, SLOT_TTL_MS)
    await fleet.inspector.flushall()
    await live(members, SLOT_TTL_MS)
    for (const { lines } of ledgers) {
      expect(lines).toHaveLength(1)
      expect(lines[0]).toMatch(new RegExp(`^warn Redis may evict the fleet's state.*maxmemory-policy to noeviction.*"policy":"${policy}"`))
    }
  })

  it('[I8] causes no warning with the policy noeviction', async () => {
    await using fleet = await Fleet.start()
    const { logger, lines } = recordedLog()
    await FleetMember.join(fleet, 'one', { library, logger })
    expect(lines).toEqual([])
  })
})
