import type { StreamHandle } from 'acestream-orchestrator-client'
import { GENERATIONS, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Fleet, type Member } from '../../support/fleet.ts'
import { during, playback } from '../../support/setup.ts'

describe('processes that share a store', () => {
  it.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'leave no stream, no slot and no journal entry behind while processes die and join at random (seed %d)',
    async (seed) => {
      const random = seededRandom(seed + 1)
      const generation = GENERATIONS[seed % GENERATIONS.length] ?? 'v1'
      const fleet = new Fleet({ generation, engines: 6 })
      const { clock, fake, state } = fleet
      const limit = 2
      const join = () => fleet.join({ maxStreamsPerEngine: limit, random, requestTimeoutMs: 1_000 })
      const otherStream = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
      let members = [join(), join(), join()]
      let streams: { owner: Member; handle: StreamHandle }[] = []
      const kinds = ['lost-request', 'lost-answer', 'reset', 'reset-after', 'refused', 'status', 'delay'] as const
      for (let step = 0; step < 120; step += 1) {
        const choice = random()
        const member = members[Math.floor(random() * members.length)]
        if (member === undefined) throw new Error('no member')
        if (choice < 0.45) {
          void member.client
            .acquireEngine({ waitMs: 2_000, provision: false })
            .then((lease) => lease.startStream(playback('c'.repeat(40), `session-${seed}-${step}`)))
            .then((handle) => void streams.push({ owner: member, handle }))
            .catch(() => {})
        } else if (choice < 0.75) {
          const [leaving] = streams.splice(Math.floor(random() * streams.length), 1)
          void leaving?.handle.end()
        } else if (choice < 0.95) {
          fake.inject({ kind: kinds[Math.floor(random() * kinds.length)] ?? 'reset', delayMs: 2_000 })
        } else {
          member.die()
          streams = streams.filter(({ owner }) => owner !== member)
          members = [...members.filter((other) => other !== member), join()]
        }
        await clock.advance(Math.floor(random() * 800))
      }
      fake.clearFaults()
      for (const { client } of members) await during(clock, client.listEngines())
      await clock.advance(180_000)
      for (const { handle } of streams) void handle.end()
      await clock.advance(180_000)
      const { startsApplied, repeatedStarts, endsApplied, innocentsEnded, namesakesEnded } = fake.counters
      expect(fake.liveStreamIds()).toEqual([otherStream])
      expect(innocentsEnded).toBe(0)
      if (namesakesEnded === 0) expect(endsApplied).toBe(startsApplied - repeatedStarts)
      expect(state.journal.size).toBe(0)
      expect([...state.memory.usage().values()].flatMap(({ leaseCount, streamIds }) => [leaseCount, ...streamIds])).toEqual([])
    },
  )
})
