import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Outages } from '../../../src/runtime/outages.ts'
import type { ReconcileReport, Reconciler } from '../../../src/streams/reconciliation/reconciler.ts'
import { ReconcileSchedule } from '../../../src/streams/reconciliation/schedule.ts'
import { Emitter } from '../../../src/telemetry/events.ts'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const emptyReport = { confirmed: [], reannounced: [], moved: [], lost: [], endedAgain: [], unsettled: [] }

describe('reconcile()', () => {
  it('H10: reports a stream as lost if v1 lists it on an engine that is gone', async () => {
    const { client, fake, clock } = setup({ generation: 'v1', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.removeEngine(stream.engine.containerId ?? '')
    await clock.advance(11_000)
    expect(fake.liveStreamIds()).toEqual([stream.id])
    expect(await client.reconcile()).toEqual({ ...emptyReport, lost: [stream.id] })
  })

  it('H10: reports a stream as moved if 2026-04 lists it on another engine', async () => {
    const { client, fake } = setup({ generation: '2026-04', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.removeEngine(stream.engine.containerId ?? '')
    expect(await client.reconcile()).toEqual({ ...emptyReport, moved: [stream.id] })
  })

  it('H9: reports every stream from before a restart as lost', async () => {
    const { client, fake } = setup({ engines: 2 })
    const streams = []
    for (const key of ['a', 'b']) streams.push((await (await client.acquireEngine()).startStream(playback(key.repeat(40)))).id)
    fake.restart()
    expect(await client.reconcile()).toEqual({ ...emptyReport, lost: streams })
  })

  it('leaves out a stream whose start is in flight and a stream that ends while it runs', async () => {
    const { client, fake, clock } = setup({ engines: 2 })
    const ends = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'ends' })
    const lease = await client.acquireEngine()
    fake.latencyMs = 1_000
    const starting = lease.startStream({ ...playback('b'.repeat(40)), streamId: 'starts' })
    const reconciling = client.reconcile()
    await clock.advance(100)
    void ends.end()
    expect(await during(clock, reconciling)).toEqual(emptyReport)
    await during(clock, starting)
  })

  it('announces a stream again that the orchestrator forgot, with three requests: two lists and the start', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.endElsewhere(stream.id)
    const { total } = fake.counters.requests
    expect(await client.reconcile()).toEqual({ ...emptyReport, reannounced: [stream.id] })
    expect(stream).toMatchObject({ state: 'live', lost: { aborted: false } })
    expect(fake.liveStreamIds()).toEqual([stream.id])
    expect(fake.counters.requests.total).toBe(total + 3)
  })

  it('rejects if a list cannot be read or its signal is aborted, and leaves every stream live', async () => {
    const { client, fake } = setup({ engines: 1 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'refused', route: 'GET /streams' })
    expect(await failureOf(client.reconcile())).toMatchObject({ code: 'CONNECTION' })
    expect(await failureOf(client.reconcile({ signal: AbortSignal.abort('gone') }))).toBe('gone')
    expect(stream.state).toBe('live')
  })

  it('reports a stream as lost after 120 s of empty engine lists, counted anew after the stream was listed on another engine', async () => {
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const noEngines = () => fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const first = noEngines()
    expect(await client.reconcile()).toEqual({ ...emptyReport, unsettled: [stream.id] })
    first.remove()
    fake.removeEngine(stream.engine.containerId ?? '')
    await clock.advance(100_000)
    expect(await client.reconcile()).toEqual({ ...emptyReport, moved: [stream.id] })
    noEngines()
    await clock.advance(30_000)
    expect(await client.reconcile()).toEqual({ ...emptyReport, unsettled: [stream.id] })
    await clock.advance(119_999)
    expect(await client.reconcile()).toEqual({ ...emptyReport, unsettled: [stream.id] })
    await clock.advance(1)
    expect(await client.reconcile()).toEqual({ ...emptyReport, lost: [stream.id] })
  })

  it('[I4] announces a stream again on its own engine, which is listed, if v1 lists the stream on an engine that is gone', async () => {
    const { client, fake } = setup({ generation: 'v1', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    const own = stream.engine.containerId ?? ''
    const other = fake.engines.find(({ containerId }) => containerId !== own)?.containerId ?? ''
    fake.startElsewhere({ containerId: other, streamId: 'x' })
    fake.removeEngine(other)
    expect(await client.reconcile()).toEqual({ ...emptyReport, reannounced: ['x'] })
    expect([stream.state, stream.lost.aborted, fake.liveStreamIds(own)]).toEqual(['live', false, ['x']])
  })

  it('counts the 120 s of empty engine lists anew after the stream was listed on its own engine', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const reconcileAfter = async (waitMs: number, hasEngines: boolean) => {
      if (!hasEngines) fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines' })
      await clock.advance(waitMs)
      return client.reconcile()
    }
    expect(await reconcileAfter(0, false)).toEqual({ ...emptyReport, unsettled: [stream.id] })
    expect(await reconcileAfter(100_000, true)).toEqual({ ...emptyReport, confirmed: [stream.id] })
    expect(await reconcileAfter(50_000, false)).toEqual({ ...emptyReport, unsettled: [stream.id] })
  })

  it('never runs twice at the same time, in whichever tick it is called', async () => {
    const report = Promise.withResolvers<ReconcileReport>()
    let running = 0
    let runs = 0
    const reconcile = async (): Promise<ReconcileReport> => {
      running += 1
      runs += 1
      expect(running).toBe(1)
      await report.promise
      running -= 1
      return emptyReport
    }
    const clock = new ManualClock()
    const parts = {
      clock,
      emitter: new Emitter(console),
      outages: new Outages({ logger: console, clock }),
      random: Math.random,
      reconcileIntervalMs: 0,
      lifetime: new AbortController().signal,
    }
    const reconciling = new ReconcileSchedule({ ...parts, reconciler: { reconcile } as unknown as Reconciler })
    const calls = [reconciling.runNow(), reconciling.runNow()]
    report.resolve(emptyReport)
    for (let tick = 0; tick < 12; tick += 1) {
      await null
      calls.push(reconciling.runNow())
    }
    expect(await Promise.all(calls)).toEqual(calls.map(() => emptyReport))
    expect(runs).toBeLessThan(calls.length)
    const before = runs
    await reconciling.runNow()
    expect(runs).toBe(before + 1)
  })

  it('runs again for a caller that came during a run, even if that run failed', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.latencyMs = 100
    fake.inject({ kind: 'reset', route: 'GET /streams' })
    const first = failureOf(client.reconcile())
    const second = client.reconcile()
    expect(await during(clock, first)).toMatchObject({ code: 'CONNECTION' })
    expect(await during(clock, second)).toEqual({ ...emptyReport, confirmed: [stream.id] })
  })

  it('reads the lists anew in each call', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    expect(await client.reconcile()).toEqual({ ...emptyReport, confirmed: [stream.id] })
    fake.endElsewhere(stream.id)
    expect(await client.reconcile()).toEqual({ ...emptyReport, reannounced: [stream.id] })
  })

  it('H7, H17: announces a stream that was moved and then forgotten on its new engine, with the address listed now', async () => {
    const mapEngine = ({ port }: { port: number }) => ({ host: '10.0.0.9', port })
    const { client, fake } = setup({ generation: '2026-04', engines: 2 }, { mapEngine })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.removeEngine(stream.engine.containerId ?? '')
    await client.reconcile()
    const [left] = fake.engines
    expect(stream.engine).toEqual({ host: '10.0.0.9', port: left?.port, containerId: left?.containerId })
    fake.updateEngine(left?.containerId ?? '', { host: 'renamed', port: 20_001 })
    fake.endElsewhere(stream.id)
    expect(await client.reconcile()).toEqual({ ...emptyReport, reannounced: [stream.id] })
    expect(fake.engines).toMatchObject([{ containerId: left?.containerId, host: 'renamed', port: 20_001 }])
    expect(fake.liveStreamIds(left?.containerId)).toEqual([stream.id])
  })

  it('announces a stream again on its new engine if v1 moved it and then forgot it', async () => {
    const { client, fake } = setup({ generation: 'v1', engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const other = fake.engines.find(({ containerId }) => containerId !== stream.engine.containerId)?.containerId ?? ''
    fake.startElsewhere({ containerId: other, streamId: stream.id })
    expect(await client.reconcile()).toEqual({ ...emptyReport, moved: [stream.id] })
    fake.endElsewhere(stream.id)
    expect(await client.reconcile()).toEqual({ ...emptyReport, reannounced: [stream.id] })
    expect(fake.liveStreamIds(other)).toEqual([stream.id])
  })

  it('does not wait while event requests fail, and reports each stream once', async () => {
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
    expect(await during(clock, client.reconcile())).toEqual({ ...emptyReport, reannounced: [stream.id], endedAgain: ['over'] })
    expect(clock.now()).toBe(before)
    expect([stream.state, await during(clock, client.reconcile())]).toEqual(['announcing', emptyReport])
    fake.clearFaults()
    await clock.advance(20_000)
    expect([stream.state, fake.liveStreamIds()]).toEqual(['live', [stream.id]])
  })

  it('does not run by itself in an idle client, and close() cancels its timer', async () => {
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 2 }, { reconcileIntervalMs: 30_000, sweepIntervalMs: 0 })
    await client.listEngines()
    await clock.advance(600_000)
    expect(fake.counters.requests.byRoute['GET /streams']).toBeUndefined()
    const ends = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'ends' })
    await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'same content' })
    await ends.end()
    await client.close()
    expect(clock.pendingCount).toBe(0)
  })

  it('repeats no more starts at once than maxPendingEvents allows, and repeats the others soon after', async () => {
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

  it('[I8] rejects without an unhandled rejection if a stream moved and mapEngine throws while the store is slow', async () => {
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
    const unhandled: unknown[] = []
    const listener = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', listener)
    const failure = await failureOf(client.reconcile())
    for (let i = 0; i < 10; i += 1) await new Promise(setImmediate)
    process.off('unhandledRejection', listener)
    expect([failure, unhandled]).toEqual([new Error('no mapping'), []])
  })
})
