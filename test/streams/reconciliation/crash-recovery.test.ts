import type { EndResult, StreamHandle } from 'acestream-orchestrator-client'
import { GENERATIONS, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Fleet, type Member } from '../../support/fleet.ts'
import { during, playback } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
/** Long enough for a death to be noticed, whatever was left to be ended, and a comparison after that. */
const ONE_INTERVAL_MS = 30_000

describe.each(GENERATIONS)('what a dead process left behind, on %s', (generation) => {
  function world(engines = 3) {
    const fleet = new Fleet({ generation, engines })
    const innocent = fleet.fake.startElsewhere({ containerId: fleet.fake.engines[0]?.containerId ?? '' })
    const watch = async ({ client }: Member, streamId: string): Promise<StreamHandle> => {
      const lease = await during(fleet.clock, client.acquireEngine({ waitMs: 0, provision: false }))
      return during(fleet.clock, lease.startStream({ ...playback(streamId.padEnd(40, 'a')), streamId }))
    }
    const ends = () => fleet.fake.counters.requests.byRoute[END] ?? 0
    const settleDown = () => fleet.clock.advance(2 * ONE_INTERVAL_MS)
    return { ...fleet, join: fleet.join.bind(fleet), innocent, watch, ends, settleDown }
  }

  it('[I5] is ended by whoever comes after it, each stream once, and nobody else’s', async () => {
    const { fake, clock, state, join, watch, innocent, ends } = world()
    const first = join({ maxStreamsPerEngine: 4 })
    for (const id of ['a', 'b', 'c']) await watch(first, id)
    first.die()
    const second = join()
    await second.client.listEngines()
    await clock.advance(ONE_INTERVAL_MS)
    expect(fake.liveStreamIds()).toEqual([innocent])
    expect([fake.counters.endsApplied, fake.counters.innocentsEnded, ends()]).toEqual([3, 0, 3])
    expect([state.journal.size, second.client.metrics().events.pending]).toEqual([0, 0])
  })

  it('is told with the reason its host gave, where the end was on its way', async () => {
    const { fake, clock, join, watch, state } = world()
    const first = join()
    const stream = await watch(first, 'a')
    fake.inject({ kind: 'lost-request', route: END })
    void stream.end('client_disconnected')
    await clock.settle()
    expect(state.journal.get('a')?.entry).toMatchObject({ isOver: true, reason: 'client_disconnected' })
    first.die()
    const second = join()
    const told: unknown[] = []
    second.client.on('stream:ended', (event) => told.push(event))
    await second.client.listEngines()
    await clock.advance(ONE_INTERVAL_MS)
    expect(fake.log.filter(({ kind }) => kind === 'ended').map(({ streamId }) => streamId)).toEqual(['a'])
    expect(told).toEqual([{ streamId: 'a', outcome: 'delivered', reason: 'client_disconnected' }])
  })

  it('is not told again where it was told, although the process died before it could write that down', async () => {
    const { fake, clock, join, watch, ends, state } = world()
    const first = join()
    const stream = await watch(first, 'a')
    const entry = state.journal.get('a')
    expect((await stream.end()).outcome).toBe('delivered')
    if (entry !== undefined) state.journal.set('a', entry)
    first.die()
    const second = join()
    await second.client.listEngines()
    await clock.advance(2 * ONE_INTERVAL_MS)
    expect([ends(), fake.counters.endsMissed, fake.counters.repeatedEnds, state.journal.size]).toEqual([1, 0, 0, 0])
    expect(second.client.metrics().events.ended).toBe(0)
  })

  it('is ended although its start is applied after the heir has looked', async () => {
    const { fake, clock, join, innocent, state } = world()
    const first = join()
    const lease = await first.client.acquireEngine()
    fake.inject({ kind: 'delay', route: START, delayMs: 40_000, applyLate: true })
    void lease.startStream({ ...playback(), streamId: 'late' }).catch(() => {})
    await clock.settle()
    first.die()
    const second = join()
    await second.client.listEngines()
    await clock.advance(30_000)
    expect([fake.liveStreamIds(), state.journal.size]).toEqual([[innocent], 0])
    await clock.advance(11_000)
    expect(fake.liveStreamIds()).toContain('late')
    await clock.advance(3 * ONE_INTERVAL_MS)
    expect([fake.liveStreamIds(), fake.counters.innocentsEnded]).toEqual([[innocent], 0])
  })

  it('is looked for once more soon after, since a request may outlive its sender', async () => {
    const { fake, clock, join, innocent } = world()
    const first = join()
    const lease = await first.client.acquireEngine()
    await clock.advance(15_000)
    fake.inject({ kind: 'delay', route: START, delayMs: 20_000, applyLate: true })
    void lease.startStream({ ...playback(), streamId: 'late' }).catch(() => {})
    await clock.settle()
    first.die()
    await clock.advance(17_000)
    const second = join()
    await second.client.listEngines()
    await clock.advance(4_900)
    expect(fake.liveStreamIds()).toEqual(expect.arrayContaining(['late']))
    await clock.advance(200)
    expect(fake.liveStreamIds()).toEqual([innocent])
  })

  it('is told when the orchestrator is back, if it is away when the heir comes', async () => {
    const { fake, clock, join, watch, innocent } = world()
    const first = join()
    await watch(first, 'a')
    await watch(first, 'b')
    first.die()
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    const second = join()
    second.client.sweep()
    await clock.advance(300_000)
    expect(fake.liveStreamIds()).toHaveLength(3)
    fake.clearFaults()
    await clock.advance(60_000)
    expect([fake.liveStreamIds(), fake.counters.endsApplied]).toEqual([[innocent], 2])
  })

  it('is left alone where it was started anew, before or after the heir was told of it', async () => {
    const { fake, clock, join, watch, settleDown } = world(6)
    const first = join()
    await watch(first, 'before')
    await watch(first, 'after')
    first.die()
    const second = join()
    const third = join()
    await watch(second, 'before')
    fake.inject({ kind: 'lost-request', route: END })
    await clock.advance(16_000)
    await watch(third, 'after')
    await settleDown()
    expect(fake.liveStreamIds()).toEqual(expect.arrayContaining(['before']))
    expect(second.client.metrics().streams.live + third.client.metrics().streams.live).toBe(2)
    expect(fake.liveStreamIds().toSorted()).toEqual(['after', 'before', 'elsewhere-1'])
  })

  it('is nothing, where the process lives', async () => {
    const { fake, clock, join, watch, ends, state } = world()
    const first = join()
    const second = join()
    await watch(first, 'a')
    await second.client.listEngines()
    await clock.advance(600_000)
    expect([ends(), fake.liveStreamIds().includes('a'), state.journal.size]).toEqual([0, true, 1])
  })

  it('is ended as soon as the heir comes, where the death was long ago', async () => {
    const { fake, clock, join, watch, innocent } = world()
    const first = join()
    await watch(first, 'a')
    first.die()
    await clock.advance(60_000)
    await join().client.listEngines()
    await clock.settle()
    expect(fake.liveStreamIds()).toEqual([innocent])
  })

  it('is ended when a host asks for a comparison', async () => {
    const { fake, clock, join, watch, innocent } = world()
    const [first, second] = [join(), join()]
    await watch(first, 'a')
    await second.client.listEngines()
    await clock.advance(4_000)
    first.die()
    await clock.advance(15_500)
    expect(fake.liveStreamIds()).toHaveLength(2)
    await during(clock, second.client.reconcile())
    await clock.settle()
    expect(fake.liveStreamIds()).toEqual([innocent])
  })

  it('is not ended under a viewer who has it again already, however the two overlap', async () => {
    const { fake, clock, join, watch, ends } = world()
    const first = join()
    const { engine } = await watch(first, 'a')
    first.die()
    await clock.advance(60_000)
    const second = join()
    const stream = await second.client.streamStarted({ ...playback('a'.repeat(40)), streamId: 'a', engine })
    await clock.advance(60_000)
    expect([stream.state, ends(), fake.liveStreamIds().includes('a')]).toEqual(['live', 0, true])
  })

  it('is announced again by a process that was only taken for dead, and ended when its viewer leaves', async () => {
    const { fake, clock, join, watch, innocent, state } = world()
    const [first, second] = [join(), join()]
    const stream = await watch(first, 'a')
    await second.client.listEngines()
    state.seenAt.set(1, -60_000)
    await during(clock, second.client.reconcile())
    await clock.settle()
    expect(fake.liveStreamIds()).toEqual([innocent])
    await clock.advance(30_000)
    expect(fake.liveStreamIds()).toContain('a')
    expect((await stream.end()).outcome).toBe('delivered')
    await clock.advance(60_000)
    expect([fake.liveStreamIds(), state.journal.size]).toEqual([[innocent], 0])
  })

  it('frees the slots it held', async () => {
    const { clock, join, watch } = world(1)
    const first = join({ maxStreamsPerEngine: 2 })
    await watch(first, 'a')
    first.die()
    const second = join({ maxStreamsPerEngine: 2 })
    await second.client.listEngines()
    await clock.advance(ONE_INTERVAL_MS)
    expect((await watch(second, 'b')).state).toBe('live')
  })
})

describe('processes on one state', () => {
  it('write down no stream whose start was refused', async () => {
    const fleet = new Fleet({ engines: 1 })
    const { state, fake } = fleet
    const { client } = fleet.join()
    fake.inject({ kind: 'status', status: 422, route: START })
    await (await client.acquireEngine()).startStream(playback()).catch(() => {})
    expect(state.journal.size).toBe(0)
  })

  it('leave an end to the one who is telling it', async () => {
    const fleet = new Fleet({ engines: 1 })
    const { clock, fake } = fleet
    const [one, two] = [fleet.join(), fleet.join()]
    await two.client.streamEnded('unknown')
    const stream = await (await one.client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    fake.inject({ kind: 'delay', route: END, delayMs: 2_500, applyLate: true })
    const ended = stream.end()
    await clock.advance(1_000)
    expect(await during(clock, two.client.reconcile())).toMatchObject({ endedAgain: [] })
    expect((await during(clock, ended)).outcome).toBe('delivered')
    expect(fake.counters.requests.byRoute[END]).toBe(2)
  })

  it('stop everything when they close', async () => {
    const fleet = new Fleet({ engines: 1 })
    const { client } = fleet.join()
    await client.acquireEngine()
    const waiting = client.acquireEngine().catch(() => {})
    fleet.state.journal.set('x', { owner: 0, entry: { streamId: 'x', proxyId: 'dead', isOver: false } })
    await during(fleet.clock, client.reconcile())
    await during(fleet.clock, client.close())
    await waiting
    await fleet.clock.settle()
    expect([fleet.state.journal.size, fleet.clock.pendingCount, fleet.state.listeners.get(1)?.size]).toEqual([0, 0, 0])
  })

  it('send one end for one stream, whoever ends it', async () => {
    const fleet = new Fleet({ engines: 1 })
    const { clock, fake } = fleet
    const [one, two] = [fleet.join(), fleet.join()]
    const stream = await (await one.client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    const results: EndResult[] = await Promise.all([two.client.streamEnded('x'), stream.end(), two.client.streamEnded('x')])
    expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['delivered', 'duplicate', 'duplicate'])
    expect(fake.counters.requests.byRoute[END]).toBe(1)
    await clock.advance(60_000)
    expect(fake.counters.requests.byRoute[END]).toBe(1)
  })

  it('end a stream that stays listed once between them', async () => {
    const fleet = new Fleet({ engines: 1, latencyMs: 20 })
    const { clock, fake } = fleet
    const first = fleet.join()
    const members = [fleet.join(), fleet.join(), fleet.join()]
    fake.inject({ kind: 'delay', delayMs: 10_000, applyLate: true, route: START })
    const lease = await during(clock, first.client.acquireEngine())
    const stream = await during(clock, lease.startStream({ ...playback(), streamId: 'x' }))
    expect(await during(clock, stream.end())).toMatchObject({ attempts: 1 })
    first.die()
    await clock.advance(10_000)
    expect(fake.liveStreamIds()).toEqual(['x'])
    const compare = () => during(clock, Promise.all(members.map(({ client }) => client.reconcile())))
    expect((await compare()).flatMap(({ endedAgain }) => endedAgain)).toEqual([])
    await clock.advance(11_000)
    expect(new Set((await compare()).flatMap(({ endedAgain }) => endedAgain))).toEqual(new Set(['x']))
    expect([fake.liveStreamIds(), fake.counters.requests.byRoute[END]]).toEqual([[], 2])
  })

  it('serve their lines as soon as another gives a slot back', async () => {
    const fleet = new Fleet({ engines: 1 })
    const [one, two] = [fleet.join(), fleet.join()]
    const held = await one.client.acquireEngine()
    const waiting = two.client.acquireEngine({ provision: false })
    await fleet.clock.settle()
    expect(two.client.metrics().leases.waiting).toBe(1)
    await held.release()
    await fleet.clock.settle()
    expect((await waiting).engine.containerId).toBe(held.engine.containerId)
    expect(two.client.metrics().leases.waiting).toBe(0)
  })

  it.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'lose nothing while they die and come, one after the other (seed %d)',
    async (seed) => {
      const random = seededRandom(seed + 1)
      const generation = GENERATIONS[seed % GENERATIONS.length] ?? 'v1'
      const fleet = new Fleet({ generation, engines: 6 })
      const { clock, fake, state } = fleet
      const limit = 2
      const join = () => fleet.join({ maxStreamsPerEngine: limit, random, requestTimeoutMs: 1_000 })
      const innocent = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
      let members = [join(), join(), join()]
      let streams: { owner: Member; handle: StreamHandle }[] = []
      const kinds = ['lost-request', 'lost-answer', 'reset', 'reset-after', 'refused', 'status', 'delay'] as const
      for (let step = 0; step < 120; step += 1) {
        const dice = random()
        const member = members[Math.floor(random() * members.length)]
        if (member === undefined) throw new Error('no member')
        if (dice < 0.45) {
          void member.client
            .acquireEngine({ waitMs: 2_000, provision: false })
            .then((lease) => lease.startStream(playback('c'.repeat(40), `session-${seed}-${step}`)))
            .then((handle) => void streams.push({ owner: member, handle }))
            .catch(() => {})
        } else if (dice < 0.75) {
          const [leaving] = streams.splice(Math.floor(random() * streams.length), 1)
          void leaving?.handle.end()
        } else if (dice < 0.95) {
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
      expect(fake.liveStreamIds()).toEqual([innocent])
      expect(innocentsEnded).toBe(0)
      if (namesakesEnded === 0) expect(endsApplied).toBe(startsApplied - repeatedStarts)
      expect(state.journal.size).toBe(0)
      expect([...state.memory.usage().values()].flatMap(({ leaseCount, streamIds }) => [leaseCount, ...streamIds])).toEqual([])
    },
  )
})
