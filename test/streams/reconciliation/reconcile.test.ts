import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Outages } from '../../../src/runtime/outages.ts'
import type { ReconcileReport, Reconciler } from '../../../src/streams/reconciliation/reconciler.ts'
import { ReconcileSchedule } from '../../../src/streams/reconciliation/schedule.ts'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const nothing = { confirmed: [], reannounced: [], moved: [], lost: [], endedAgain: [], unsettled: [] }

describe('reconcile()', () => {
  it('hazard 10: tells a stream that v1 lists on an engine which is gone', async () => {
    const { client, fake, clock } = setup({ generation: 'v1', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.removeEngine(stream.engine.containerId ?? '')
    await clock.advance(11_000)
    expect(fake.liveStreamIds()).toEqual([stream.id])
    expect(await client.reconcile()).toEqual({ ...nothing, lost: [stream.id] })
  })

  it('hazard 10: tells a stream that 2026-04 moved to another engine', async () => {
    const { client, fake } = setup({ generation: '2026-04', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.removeEngine(stream.engine.containerId ?? '')
    expect(await client.reconcile()).toEqual({ ...nothing, moved: [stream.id] })
  })

  it('hazard 9: tells that every stream of before a restart has lost its engine', async () => {
    const { client, fake } = setup({ engines: 2 })
    const streams = []
    for (const key of ['a', 'b']) streams.push((await (await client.acquireEngine()).startStream(playback(key.repeat(40)))).id)
    fake.restart()
    expect(await client.reconcile()).toEqual({ ...nothing, lost: streams })
  })

  it('does not judge a stream that is only being announced, nor one that ends meanwhile', async () => {
    const { client, fake, clock } = setup({ engines: 2 })
    const ends = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'ends' })
    const lease = await client.acquireEngine()
    fake.latencyMs = 1_000
    const starting = lease.startStream({ ...playback('b'.repeat(40)), streamId: 'starts' })
    const reconciling = client.reconcile()
    await clock.advance(100)
    void ends.end()
    expect(await during(clock, reconciling)).toEqual(nothing)
    await during(clock, starting)
  })

  it('announces again what was forgotten, and costs the list and the streams', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.endElsewhere(stream.id)
    const { total } = fake.counters.requests
    expect(await client.reconcile()).toEqual({ ...nothing, reannounced: [stream.id] })
    expect(stream).toMatchObject({ state: 'live', lost: { aborted: false } })
    expect(fake.liveStreamIds()).toEqual([stream.id])
    expect(fake.counters.requests.total).toBe(total + 3)
  })

  it('rejects where the orchestrator cannot be read, and has judged nobody', async () => {
    const { client, fake } = setup({ engines: 1 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'refused', route: 'GET /streams' })
    expect(await failureOf(client.reconcile())).toMatchObject({ code: 'CONNECTION' })
    expect(await failureOf(client.reconcile({ signal: AbortSignal.abort('gone') }))).toBe('gone')
    expect(stream.state).toBe('live')
  })

  it('counts the time in which nothing is proven anew, once a stream was seen on another engine', async () => {
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const noEngines = () => fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const first = noEngines()
    expect(await client.reconcile()).toEqual({ ...nothing, unsettled: [stream.id] })
    first.remove()
    fake.removeEngine(stream.engine.containerId ?? '')
    await clock.advance(100_000)
    expect(await client.reconcile()).toEqual({ ...nothing, moved: [stream.id] })
    noEngines()
    await clock.advance(30_000)
    expect(await client.reconcile()).toEqual({ ...nothing, unsettled: [stream.id] })
    await clock.advance(119_999)
    expect(await client.reconcile()).toEqual({ ...nothing, unsettled: [stream.id] })
    await clock.advance(1)
    expect(await client.reconcile()).toEqual({ ...nothing, lost: [stream.id] })
  })

  it('[I4] announces a stream again whose engine is listed, though v1 lists the stream on one that is gone', async () => {
    const { client, fake } = setup({ generation: 'v1', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    const own = stream.engine.containerId ?? ''
    const other = fake.engines.find(({ containerId }) => containerId !== own)?.containerId ?? ''
    fake.startElsewhere({ containerId: other, streamId: 'x' })
    fake.removeEngine(other)
    expect(await client.reconcile()).toEqual({ ...nothing, reannounced: ['x'] })
    expect([stream.state, stream.lost.aborted, fake.liveStreamIds(own)]).toEqual(['live', false, ['x']])
  })

  it('counts that time anew, too, once a stream was seen where it should be', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const look = async (hasEngines: boolean, passes: number) => {
      if (!hasEngines) fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines' })
      await clock.advance(passes)
      return client.reconcile()
    }
    expect(await look(false, 0)).toEqual({ ...nothing, unsettled: [stream.id] })
    expect(await look(true, 100_000)).toEqual({ ...nothing, confirmed: [stream.id] })
    expect(await look(false, 50_000)).toEqual({ ...nothing, unsettled: [stream.id] })
  })

  it('never runs twice at a time, whichever tick it is asked for in', async () => {
    const report = Promise.withResolvers<ReconcileReport>()
    let running = 0
    let runs = 0
    const reconcile = async (): Promise<ReconcileReport> => {
      running += 1
      runs += 1
      expect(running).toBe(1)
      await report.promise
      running -= 1
      return nothing
    }
    const clock = new ManualClock()
    const parts = {
      clock,
      outages: new Outages({ logger: console, clock }),
      random: Math.random,
      reconcileIntervalMs: 0,
      lifetime: new AbortController().signal,
    }
    const reconciling = new ReconcileSchedule({ ...parts, reconciler: { reconcile } as Reconciler })
    const asked = [reconciling.now(), reconciling.now()]
    report.resolve(nothing)
    for (let tick = 0; tick < 12; tick += 1) {
      await null
      asked.push(reconciling.now())
    }
    expect(await Promise.all(asked)).toEqual(asked.map(() => nothing))
    expect(runs).toBeLessThan(asked.length)
    const before = runs
    await reconciling.now()
    expect(runs).toBe(before + 1)
  })

  it('runs for those who share the next, whatever became of the one before', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.latencyMs = 100
    fake.inject({ kind: 'reset', route: 'GET /streams' })
    const first = failureOf(client.reconcile())
    const second = client.reconcile()
    expect(await during(clock, first)).toMatchObject({ code: 'CONNECTION' })
    expect(await during(clock, second)).toEqual({ ...nothing, confirmed: [stream.id] })
  })

  it('asks anew each time, however little happened since', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    expect(await client.reconcile()).toEqual({ ...nothing, confirmed: [stream.id] })
    fake.endElsewhere(stream.id)
    expect(await client.reconcile()).toEqual({ ...nothing, reannounced: [stream.id] })
  })

  it('hazards 7 and 17: announces what was moved, and what was forgotten, on the engine and under the address listed now', async () => {
    const mapEngine = ({ port }: { port: number }) => ({ host: '10.0.0.9', port })
    const { client, fake } = setup({ generation: '2026-04', engines: 2 }, { mapEngine })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.removeEngine(stream.engine.containerId ?? '')
    await client.reconcile()
    const [left] = fake.engines
    expect(stream.engine).toEqual({ host: '10.0.0.9', port: left?.port, containerId: left?.containerId })
    fake.updateEngine(left?.containerId ?? '', { host: 'renamed', port: 20_001 })
    fake.endElsewhere(stream.id)
    expect(await client.reconcile()).toEqual({ ...nothing, reannounced: [stream.id] })
    expect(fake.engines).toMatchObject([{ containerId: left?.containerId, host: 'renamed', port: 20_001 }])
    expect(fake.liveStreamIds(left?.containerId)).toEqual([stream.id])
  })

  it('announces a stream that v1 moved and then forgot on the engine it was moved to', async () => {
    const { client, fake } = setup({ generation: 'v1', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const other = fake.engines.find(({ containerId }) => containerId !== stream.engine.containerId)?.containerId ?? ''
    fake.startElsewhere({ containerId: other, streamId: stream.id })
    expect(await client.reconcile()).toEqual({ ...nothing, moved: [stream.id] })
    fake.endElsewhere(stream.id)
    expect(await client.reconcile()).toEqual({ ...nothing, reannounced: [stream.id] })
    expect(fake.liveStreamIds(other)).toEqual([stream.id])
  })

  it('waits for no orchestrator that takes no events, and tells of a stream once', async () => {
    const { client, fake, clock } = setup({ engines: 2 }, { deliveryTimeoutMs: 20_000, circuitBreaker: false })
    const stream = await (await client.acquireEngine()).startStream(playback('a'.repeat(40)))
    const events = ['POST /events/stream_started', 'POST /events/stream_ended']
    fake.inject({ kind: 'delay', delayMs: 10_000, applyLate: true, route: events })
    const over = await during(clock, (await client.acquireEngine()).startStream({ ...playback('b'.repeat(40)), streamId: 'over' }))
    await during(clock, over.end())
    await clock.advance(10_000)
    fake.endElsewhere(stream.id)
    fake.inject({ kind: 'refused', route: events, times: Number.POSITIVE_INFINITY })
    const before = clock.now()
    expect(await during(clock, client.reconcile())).toEqual({ ...nothing, reannounced: [stream.id], endedAgain: ['over'] })
    expect(clock.now()).toBe(before)
    expect([stream.state, await during(clock, client.reconcile())]).toEqual(['announcing', nothing])
    fake.clearFaults()
    await clock.advance(20_000)
    expect([stream.state, fake.liveStreamIds()]).toEqual(['live', [stream.id]])
  })

  it('is not made by an idle client, and closing leaves no timer of it', async () => {
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 2 }, { reconcileIntervalMs: 30_000, sweepIntervalMs: 0 })
    await client.listEngines()
    await clock.advance(600_000)
    expect(fake.counters.requests.byRoute['GET /streams']).toBeUndefined()
    const ends = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'ends' })
    await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'namesake' })
    await ends.end()
    await client.close()
    expect(clock.pendingCount).toBe(0)
  })

  it('leaves room in the queue, and goes on soon with what it left', async () => {
    const { client, fake, clock } = setup({ engines: 8 }, { reconcileIntervalMs: 30_000, maxPendingEvents: 2 })
    for (let i = 0; i < 8; i += 1) await (await client.acquireEngine()).startStream({ ...playback(), streamId: `s${i}` })
    for (const id of fake.liveStreamIds()) fake.endElsewhere(id)
    fake.latencyMs = 10
    let most = 0
    client.on('stream:reannounced', () => {
      most = Math.max(most, client.metrics().events.pending)
    })
    await clock.advance(36_000)
    expect(fake.liveStreamIds()).toHaveLength(8)
    expect(most).toBeLessThanOrEqual(2)
  })

  it('[I8] rejects, and nothing goes unheard, where a stream has moved and mapEngine throws while the store takes its time', async () => {
    let isBroken = false
    const mapEngine = ({ host, port }: { host: string; port: number }) => {
      if (isBroken) throw new Error('no mapping')
      return { host, port }
    }
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 2 }, { store: laterStore(3), mapEngine })
    fake.inject({ kind: 'delay', delayMs: 10_000, applyLate: true, route: 'POST /events/stream_started' })
    const over = await during(clock, (await client.acquireEngine()).startStream({ ...playback('b'.repeat(40)), streamId: 'over' }))
    const moved = await during(clock, (await client.acquireEngine()).startStream(playback()))
    await during(clock, over.end())
    await clock.advance(10_000)
    expect(fake.liveStreamIds()).toContain('over')
    fake.removeEngine(moved.engine.containerId ?? '')
    isBroken = true
    const unheard: unknown[] = []
    const listener = (error: unknown) => unheard.push(error)
    process.on('unhandledRejection', listener)
    const failure = await failureOf(client.reconcile())
    for (let i = 0; i < 10; i += 1) await new Promise(setImmediate)
    process.off('unhandledRejection', listener)
    expect([failure, unheard]).toEqual([new Error('no mapping'), []])
  })
})
