import type { RedisStore } from 'acestream-orchestrator-client/redis'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { loadOf } from '../../../src/state/load.ts'
import type { EngineUsage, SlotCandidate } from '../../../src/state/store.ts'
import { Fleet, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const CASES = 150
const ENGINES = 3

/** One random state of a fleet: what its members hold on each engine, and what a list reports there. */
interface Case {
  readonly candidates: readonly SlotCandidate[]
  readonly usage: ReadonlyMap<string, EngineUsage>
}

/**
 * Puts leases and streams of both members on each engine. Some streams are held by both members, some are only reported, some are both. A list
 * may name a stream twice, and a lease may have the id of a stream.
 */
async function randomCase(seed: number, members: readonly RedisStore[]): Promise<Case> {
  const random = seededRandom(seed)
  const upTo = (max: number): number => Math.floor(random() * (max + 1))
  const usage = new Map<string, EngineUsage>()
  const candidates: SlotCandidate[] = []
  for (let place = 0; place < ENGINES; place += 1) {
    const containerId = `engine-${seed}-${place}`
    const idOf = (number: number): string => `${containerId}/${number}`
    const streamIds = new Set<string>()
    let leaseCount = 0
    for (const [member, store] of members.entries()) {
      for (const count = upTo(2), from = leaseCount; leaseCount < from + count; leaseCount += 1) {
        await store.take(slot(idOf(member * 10 + leaseCount), [containerId], 99))
      }
      for (let left = upTo(3); left > 0; left -= 1) {
        const streamId = idOf(upTo(5))
        streamIds.add(streamId)
        await store.occupy(containerId, streamId)
      }
    }
    usage.set(containerId, { leaseCount, streamIds })
    candidates.push({ containerId, reportedStreamIds: Array.from({ length: upTo(6) }, () => idOf(upTo(7))) })
  }
  return { candidates, usage }
}

describe.skipIf(isRedisMissing)(`the load of an engine, in ${CASES} random states of a fleet`, () => {
  it('[I1] is the same in the Lua script of the Redis store as in loadOf()', async () => {
    await using fleet = await Fleet.start()
    const members = [await fleet.store(), await fleet.store()]
    for (let seed = 1; seed <= CASES; seed += 1) {
      const { candidates, usage } = await randomCase(seed, members)
      for (const candidate of candidates) {
        const load = loadOf(candidate, usage)
        const leaseId = `probe of ${candidate.containerId}`
        const take = (limit: number) => members[0]?.take({ ...slot(leaseId, [], limit), candidates: [candidate] })
        expect(await take(load), `seed ${seed}: full at a limit of ${load}`).toBeUndefined()
        expect(await take(load + 1), `seed ${seed}: one slot is free at a limit of ${load + 1}`).toBe(candidate.containerId)
        await members[0]?.releaseLease(leaseId)
      }
    }
  })

  it('[I1] makes the Lua script choose the first engine whose loadOf() is below the limit', async () => {
    await using fleet = await Fleet.start()
    const members = [await fleet.store(), await fleet.store()]
    const chosen = new Set<number>()
    for (let seed = 1; seed <= CASES; seed += 1) {
      const { candidates, usage } = await randomCase(seed, members)
      const limit = 1 + (seed % 8)
      const expected = candidates.findIndex((candidate) => loadOf(candidate, usage) < limit)
      chosen.add(expected)
      const taken = await members[1]?.take({ ...slot(`lease ${seed}`, [], limit), candidates })
      expect(taken, `seed ${seed}, limit ${limit}`).toBe(candidates[expected]?.containerId)
    }
    // Each outcome occurred: any of the engines, and none of them.
    expect([...chosen].sort()).toEqual([-1, 0, 1, 2])
  })
})
