import type { EngineLease, StreamHandle } from 'acestream-orchestrator-client'
import { FakeOrchestrator, GENERATIONS, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connect, playback } from '../support/setup.ts'

/** What one viewer does, and when; milliseconds. */
interface Life {
  arrivesAt: number
  waitMs: number
  /** Aborts the wait for an engine, or the start of the playback, after this time. */
  patienceMs: number
  opensFor: number
  use: 'none' | 'playback' | 'failed playback' | 'playback, ended by id'
  watchesFor: number
  endsTwice: boolean
}

const life = fc.record<Life>({
  arrivesAt: fc.integer({ min: 0, max: 5_000 }),
  waitMs: fc.constantFrom(0, 500, 3_000, 30_000),
  patienceMs: fc.constantFrom(50, 700, 60_000),
  opensFor: fc.constantFrom(0, 100, 900, 3_000),
  use: fc.constantFrom('none', 'playback', 'playback', 'failed playback', 'playback, ended by id'),
  watchesFor: fc.integer({ min: 0, max: 4_000 }),
  endsTwice: fc.boolean(),
})

const world = fc.record({
  engines: fc.integer({ min: 1, max: 4 }),
  limit: fc.integer({ min: 1, max: 3 }),
  cacheTtlMs: fc.constantFrom(0, 200, 2_000),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  slowest: fc.constantFrom(1, 60, 900),
  lives: fc.array(life, { minLength: 1, maxLength: 40 }),
})

const LEASE_TTL_MS = 2_000

describe.each(GENERATIONS)('viewers who wait, play, fail and leave at random, with random delays of answers, with %s', (generation) => {
  it('[I1] [I3] [I4] [I6] [I7] exceed no limit, have one end for each start, end no other stream, and leak no slot', async () => {
    await fc.assert(
      fc.asyncProperty(world, async ({ engines, limit, cacheTtlMs, seed, slowest, lives }) => {
        const clock = new ManualClock()
        const random = seededRandom(seed)
        const latencyMs = () => Math.floor(random() * slowest)
        const fake = new FakeOrchestrator({ generation, engines, maxReplicas: engines, clock, random, latencyMs })
        const innocent = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', key: 'e'.repeat(40) })
        const client = connect(fake, clock, {
          maxStreamsPerEngine: limit + 1,
          cacheTtlMs,
          leaseTtlMs: LEASE_TTL_MS,
          random,
          staleIfErrorMs: 0,
        })
        const pause = (ms: number) => new Promise<void>((resolve) => void clock.setTimeout(resolve, ms))

        const live = async (plan: Life, index: number): Promise<void> => {
          await pause(plan.arrivesAt)
          const gone = new AbortController()
          clock.setTimeout(() => gone.abort('gone'), plan.patienceMs)
          let lease: EngineLease
          try {
            lease = await client.acquireEngine({ signal: gone.signal, waitMs: plan.waitMs, provision: index % 3 === 0 })
          } catch {
            return
          }
          await pause(plan.opensFor)
          if (plan.use === 'none') return lease.release()
          if (plan.use === 'failed playback') return lease.fail(new Error('hangs'))
          let stream: StreamHandle
          try {
            stream = await lease.startStream(playback(index.toString(16).padStart(40, '0'), 's'), { signal: gone.signal })
          } catch {
            return lease.release()
          }
          await pause(plan.watchesFor)
          const first = plan.use === 'playback, ended by id' ? client.streamEnded(stream.id) : stream.end()
          if (plan.endsTwice) expect((await stream.end()).outcome).toBe('duplicate')
          expect((await first).outcome).toBe('delivered')
        }

        const all = Promise.all(lives.map(live))
        await clock.advance(60_000)
        await all
        await clock.advance(LEASE_TTL_MS + 10_000)

        for (const peak of Object.values(fake.counters.peakLoad)) expect(peak).toBeLessThanOrEqual(limit + 1)
        expect(fake.counters.startsApplied).toBe(fake.counters.endsApplied)
        expect(fake.counters).toMatchObject({ innocentsEnded: 0, namesakesEnded: 0, repeatedStarts: 0 })
        expect(fake.liveStreamIds()).toEqual([innocent])
        expect(client.metrics()).toMatchObject({
          leases: { active: 0, waiting: 0 },
          streams: { live: 0 },
          events: { pending: 0, undeliverable: 0 },
        })
        const order = new Map<string, string[]>()
        for (const { kind, streamId } of fake.log) order.set(streamId, [...(order.get(streamId) ?? []), kind])
        order.delete(innocent)
        for (const kinds of order.values()) expect(kinds).toEqual(['started', 'ended'])
        await client.close()
      }),
      { seed: 20_251_012, numRuns: 60 },
    )
  })
})

describe('the wait queue, with random releases, new engines and aborts', () => {
  it('[I6] serves all callers that do not abort, in order of arrival, and leaks no slot', async () => {
    const plan = fc.record({
      engines: fc.integer({ min: 1, max: 3 }),
      seed: fc.integer({ min: 1, max: 1_000_000 }),
      leavers: fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
      events: fc.array(fc.constantFrom('free', 'free', 'engine', 'leave', 'tick'), { minLength: 1, maxLength: 60 }),
    })
    await fc.assert(
      fc.asyncProperty(plan, async ({ engines, seed, leavers, events }) => {
        const clock = new ManualClock()
        const fake = new FakeOrchestrator({ engines, clock, random: seededRandom(seed) })
        const client = connect(fake, clock, { random: seededRandom(seed) })
        const held: EngineLease[] = await Promise.all(Array.from({ length: engines }, () => client.acquireEngine()))
        const served: number[] = []
        const leaving: AbortController[] = []
        const settled: Promise<unknown>[] = []
        leavers.forEach((leaves, index) => {
          const abort = new AbortController()
          const waiting = client.acquireEngine({ provision: false, waitMs: 3_600_000, signal: abort.signal }).then((lease) => {
            served.push(index)
            held.push(lease)
          })
          if (leaves) {
            leaving.push(abort)
            settled.push(waiting.catch((reason: unknown) => reason))
          } else settled.push(waiting)
        })
        await clock.settle()
        for (const event of events) {
          if (event === 'free') void held.shift()?.release()
          else if (event === 'engine') fake.addEngine()
          else if (event === 'leave') leaving.shift()?.abort('left')
          else await clock.advance(2_000)
        }
        // Free enough slots for every caller that still waits.
        for (let rounds = 0; rounds < leavers.length + 1; rounds += 1) {
          await clock.advance(2_000)
          void held.shift()?.release()
        }
        await clock.advance(2_000)
        await Promise.all(settled)
        expect(served).toEqual(served.toSorted((a, b) => a - b))
        expect(client.metrics().leases.waiting).toBe(0)
        for (const lease of held) await lease.release()
        expect(client.metrics().leases.active).toBe(0)
        await client.close()
      }),
      { seed: 20_251_013, numRuns: 200 },
    )
  })
})
