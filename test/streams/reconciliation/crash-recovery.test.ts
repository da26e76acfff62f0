import type { EndResult, StreamHandle } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Fleet, type Member } from '../../support/fleet.ts'
import { during, playback } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
/** The reconcile interval. It is long enough to detect a dead process (15 s), to end its streams, and to reconcile after that. */
const ONE_INTERVAL_MS = 30_000

describe.each(GENERATIONS)('a stream of a dead process on %s', (generation) => {
  function world(engines = 3) {
    const fleet = new Fleet({ generation, engines })
    const otherStream = fleet.fake.startElsewhere({ containerId: fleet.fake.engines[0]?.containerId ?? '' })
    const watch = async ({ client }: Member, streamId: string): Promise<StreamHandle> => {
      const lease = await during(fleet.clock, client.acquireEngine({ waitMs: 0, provision: false }))
      return during(fleet.clock, lease.startStream({ ...playback(streamId.padEnd(40, 'a')), streamId }))
    }
    const ends = () => fleet.fake.counters.requests.byRoute[END] ?? 0
    const settleDown = () => fleet.clock.advance(2 * ONE_INTERVAL_MS)
    return { ...fleet, join: fleet.join.bind(fleet), otherStream, watch, ends, settleDown }
  }

  it('[I5] is ended once by the next process, which ends no stream of another proxy', async () => {
    const { fake, clock, state, join, watch, otherStream, ends } = world()
    const first = join({ maxStreamsPerEngine: 4 })
    for (const id of ['a', 'b', 'c']) await watch(first, id)
    first.die()
    const second = join()
    await second.client.listEngines()
    await clock.advance(ONE_INTERVAL_MS)
    expect(fake.liveStreamIds()).toEqual([otherStream])
    expect([fake.counters.endsApplied, fake.counters.innocentsEnded, ends()]).toEqual([3, 0, 3])
    expect([state.journal.size, second.client.metrics().events.pending]).toEqual([0, 0])
  })

  it('is ended with the reason that its host gave if the process died while the end was in flight', async () => {
    const { fake, clock, join, watch, state } = world()
    const first = join()
    const stream = await watch(first, 'a')
    fake.inject({ kind: 'lost-request', route: END })
    void stream.end('client_disconnected')
    await clock.settle()
    expect(state.journal.get('a')?.entry).toMatchObject({ isOver: true, reason: 'client_disconnected' })
    first.die()
    const second = join()
    const ended: unknown[] = []
    second.client.on('stream:ended', (event) => ended.push(event))
    await second.client.listEngines()
    await clock.advance(ONE_INTERVAL_MS)
    expect(fake.log.filter(({ kind }) => kind === 'ended').map(({ streamId }) => streamId)).toEqual(['a'])
    expect(ended).toEqual([{ streamId: 'a', outcome: 'delivered', reason: 'client_disconnected' }])
  })

  it('is not ended again if the process died after its end was delivered, but before the journal entry was deleted', async () => {
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

  it('is ended if its start is applied after the next process has read the stream list', async () => {
    const { fake, clock, join, otherStream, state } = world()
    const first = join()
    const lease = await first.client.acquireEngine()
    fake.inject({ kind: 'delay', route: START, delayMs: 40_000, applyLate: true })
    void lease.startStream({ ...playback(), streamId: 'late' }).catch(() => {})
    await clock.settle()
    first.die()
    const second = join()
    await second.client.listEngines()
    await clock.advance(30_000)
    expect([fake.liveStreamIds(), state.journal.size]).toEqual([[otherStream], 0])
    await clock.advance(11_000)
    expect(fake.liveStreamIds()).toContain('late')
    await clock.advance(3 * ONE_INTERVAL_MS)
    expect([fake.liveStreamIds(), fake.counters.innocentsEnded]).toEqual([[otherStream], 0])
  })

  it('is ended 5 s after its recovery if its start is applied within that time', async () => {
    const { fake, clock, join, otherStream } = world()
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
    expect(fake.liveStreamIds()).toEqual([otherStream])
  })

  it('is ended after an outage if the orchestrator is unreachable when the next process starts', async () => {
    const { fake, clock, join, watch, otherStream } = world()
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
    expect([fake.liveStreamIds(), fake.counters.endsApplied]).toEqual([[otherStream], 2])
  })

  it('is not ended if its id is started again, before or after its journal entry is recovered', async () => {
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

  it('is ended at the first call of the next process if its process died 60 s earlier', async () => {
    const { fake, clock, join, watch, otherStream } = world()
    const first = join()
    await watch(first, 'a')
    first.die()
    await clock.advance(60_000)
    await join().client.listEngines()
    await clock.settle()
    expect(fake.liveStreamIds()).toEqual([otherStream])
  })

  it('is ended when a host calls reconcile()', async () => {
    const { fake, clock, join, watch, otherStream } = world()
    const [first, second] = [join(), join()]
    await watch(first, 'a')
    await second.client.listEngines()
    await clock.advance(4_000)
    first.die()
    await clock.advance(15_500)
    expect(fake.liveStreamIds()).toHaveLength(2)
    await during(clock, second.client.reconcile())
    await clock.settle()
    expect(fake.liveStreamIds()).toEqual([otherStream])
  })

  it('is not ended if the first call of the next process starts the same id', async () => {
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

  it('is announced again if its process was alive after all, and is ended when its viewer leaves', async () => {
    const { fake, clock, join, watch, otherStream, state } = world()
    const [first, second] = [join(), join()]
    const stream = await watch(first, 'a')
    await second.client.listEngines()
    state.seenAt.set(1, -60_000)
    await during(clock, second.client.reconcile())
    await clock.settle()
    expect(fake.liveStreamIds()).toEqual([otherStream])
    await clock.advance(30_000)
    expect(fake.liveStreamIds()).toContain('a')
    expect((await stream.end()).outcome).toBe('delivered')
    await clock.advance(60_000)
    expect([fake.liveStreamIds(), state.journal.size]).toEqual([[otherStream], 0])
  })

  it('frees its slot', async () => {
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

describe.each(GENERATIONS)('a stream of a living process on %s', (generation) => {
  it('is ended by no other process', async () => {
    const fleet = new Fleet({ generation, engines: 3 })
    const { fake, clock, state } = fleet
    const [first, second] = [fleet.join(), fleet.join()]
    const lease = await during(clock, first.client.acquireEngine({ waitMs: 0, provision: false }))
    await during(clock, lease.startStream({ ...playback(), streamId: 'a' }))
    await second.client.listEngines()
    await clock.advance(600_000)
    expect([fake.counters.requests.byRoute[END] ?? 0, fake.liveStreamIds(), state.journal.size]).toEqual([0, ['a'], 1])
  })
})

describe('processes that share a store', () => {
  it('keep no journal entry of a stream whose start was rejected', async () => {
    const fleet = new Fleet({ engines: 1 })
    const { state, fake } = fleet
    const { client } = fleet.join()
    fake.inject({ kind: 'status', status: 422, route: START })
    await (await client.acquireEngine()).startStream(playback()).catch(() => {})
    expect(state.journal.size).toBe(0)
  })

  it('do not repeat an end that another process is sending', async () => {
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

  it('leave no timer, no listener and no journal entry when they close', async () => {
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

  it('send one end if two of them end the same stream', async () => {
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

  it('send one more end in total, not one each, for a stream that is listed after its end', async () => {
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
    const reconcileAll = () => during(clock, Promise.all(members.map(({ client }) => client.reconcile())))
    expect((await reconcileAll()).flatMap(({ endedAgain }) => endedAgain)).toEqual([])
    await clock.advance(11_000)
    expect(new Set((await reconcileAll()).flatMap(({ endedAgain }) => endedAgain))).toEqual(new Set(['x']))
    expect([fake.liveStreamIds(), fake.counters.requests.byRoute[END]]).toEqual([[], 2])
  })

  it('grant a slot to a waiting caller as soon as another process releases it', async () => {
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
})
