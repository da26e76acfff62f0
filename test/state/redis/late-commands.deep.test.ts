import { setImmediate as nextTurn } from 'node:timers/promises'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { FleetMember, live, rest } from '../../support/fleet-member.ts'
import type { Deliver } from '../../support/intercept-scripts.ts'
import { Fleet, slot } from '../../support/redis-fleet.ts'
import { isRedisMissing } from '../../support/redis-server.ts'

const LIMIT = 2

/** Delivers commands late, twice and out of order, like a client that sends them again on another connection. */
class DisorderlyDelivery {
  isOrderly = false
  readonly #random: () => number
  /** Commands that are sent later, when no caller waits for their answers any more. */
  readonly #backlog: (() => Promise<unknown>)[] = []

  constructor(random: () => number) {
    this.#random = random
  }

  readonly deliver: Deliver = async (send) => {
    if (this.isOrderly) return send()
    while (this.#backlog.length > 0 && this.#random() < 0.5) await this.#sendOneOfBacklog()
    const fate = this.#random()
    if (fate < 0.1) {
      this.#backlog.push(send)
      throw new Error('The connection is lost, and the command is sent again later')
    }
    if (fate < 0.2) {
      await send()
      throw new Error('The connection is lost before the answer')
    }
    if (fate < 0.4) {
      await send()
      return send()
    }
    if (fate < 0.6) this.#backlog.push(send)
    return send()
  }

  /** Sends the whole backlog, the newest command first. */
  async sendBacklog(): Promise<void> {
    while (this.#backlog.length > 0)
      await this.#backlog
        .pop()?.()
        .catch(() => {})
  }

  async #sendOneOfBacklog(): Promise<void> {
    const [send] = this.#backlog.splice(Math.floor(this.#random() * this.#backlog.length), 1)
    await send?.().catch(() => {})
  }
}

/** A proxy and its leases: lease id -> engine. */
interface Holder {
  member: FleetMember
  delivery: DisorderlyDelivery
  held: Map<string, string>
}

async function holders(fleet: Fleet, library: string, count: number, random: () => number): Promise<Holder[]> {
  const all: Holder[] = []
  for (let place = 0; place < count; place += 1) {
    const delivery = new DisorderlyDelivery(random)
    const member = await FleetMember.join(fleet, `proxy ${place}`, { library, deliver: delivery.deliver })
    all.push({ member, delivery, held: new Map() })
  }
  return all
}

/** Counted outside the fleet, no engine has more leases than its limit. */
function expectWithinLimit(all: readonly Holder[]): void {
  const engines = all.flatMap(({ held }) => [...held.values()])
  for (const engine of new Set(engines)) expect(engines.filter((other) => other === engine).length, engine).toBeLessThanOrEqual(LIMIT)
}

/** In the end Redis has exactly the slots that the proxies hold. */
async function expectSettled(fleet: Fleet, all: readonly Holder[]): Promise<void> {
  for (const { delivery } of all) {
    await delivery.sendBacklog()
    delivery.isOrderly = true
  }
  await live(
    all.map(({ member }) => member),
    10_000,
  )
  const expected: Record<string, string[]> = {}
  for (const [leaseId, engine] of all.flatMap(({ held }) => [...held])) {
    const slots = expected[engine] ?? []
    slots.push(`l:${leaseId}`)
    expected[engine] = slots.sort()
  }
  expect(await fleet.slots()).toEqual(Object.fromEntries(Object.entries(expected).sort()))
  for (const { member, held } of all) {
    for (const leaseId of held.keys()) expect(await member.store.promote(leaseId, `stream of ${leaseId}`), leaseId).toBe(true)
  }
}

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('commands that arrive late, twice and out of order (%s)', (library) => {
  it.each(Array.from({ length: 10 }, (_, seed) => seed + 1))(
    '[I1] put no engine over its limit, and delete no lease of a living proxy (seed %i)',
    async (seed) => {
      const random = seededRandom(seed)
      await using fleet = await Fleet.start()
      const all = await holders(fleet, library, 4, random)
      const members = all.map(({ member }) => member)
      const engines = Array.from({ length: 5 }, (_, place) => `engine-${place}`)
      let takenCount = 0
      for (let round = 0; round < 60; round += 1) {
        await Promise.all(
          all.map(async ({ member, held }, place) => {
            const [oldest] = held.keys()
            if (oldest !== undefined && random() < 0.4) {
              held.delete(oldest)
              await member.store.releaseLease(oldest)
            }
            if (random() < 0.2) void member.renew()
            const leaseId = `lease ${round} of ${place}`
            const engine = await member.store.take(slot(leaseId, engines, LIMIT, 3_600_000)).catch(() => undefined)
            if (engine === undefined) return
            takenCount += 1
            held.set(leaseId, engine)
          }),
        )
        expectWithinLimit(all)
        if (random() < 0.2) await fleet.inspector.script('FLUSH')
        await rest(members)
        await live(members, 500)
      }
      expect(takenCount).toBeGreaterThan(20)
      await expectSettled(fleet, all)
    },
  )

  it.each(Array.from({ length: 5 }, (_, seed) => seed + 1))(
    '[I1] put no engine over its limit when five proxies ask at once and Redis keeps losing the script (seed %i)',
    async (seed) => {
      const random = seededRandom(seed)
      await using fleet = await Fleet.start()
      await fleet.open()
      const pause = async (mostTurns = 20): Promise<void> => {
        for (let turns = Math.floor(random() * mostTurns); turns > 0; turns -= 1) await nextTurn()
      }
      // A command that failed because Redis had lost the script is sent again, after other commands.
      const deliver: Deliver = async (send) => {
        await pause()
        try {
          return await send()
        } finally {
          await pause()
        }
      }
      for (let round = 0; round < 8; round += 1) {
        const stores = await Promise.all(Array.from({ length: 5 }, () => fleet.store({ library, deliver })))
        const flushing = async (): Promise<undefined> => {
          for (let count = 0; count < 20; count += 1) {
            await fleet.inspector.script('FLUSH')
            await pause()
          }
          return undefined
        }
        const taken = await Promise.all([
          flushing(),
          ...stores.flatMap((store, proxy) =>
            Array.from({ length: 8 }, async (_, index) => {
              await pause(200)
              if (random() < 0.5) void store.renew()
              await pause()
              return store.take(slot(`${round}/${proxy}/${index}`, ['a', 'b'], 12))
            }),
          ),
        ])
        for (const engine of ['a', 'b']) expect(taken.filter((found) => found === engine)).toHaveLength(12)
        await Promise.all(stores.map((store) => store.renew()))
        expect(Object.values(await fleet.slots()).map(({ length }) => length)).toEqual([12, 12])
        await Promise.all(stores.map((store) => store.close()))
        expect(await fleet.slots()).toEqual({})
      }
    },
  )
})
