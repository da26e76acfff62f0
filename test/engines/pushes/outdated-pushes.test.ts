import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { listRequests, streamRequests, Wire } from '../../support/line.ts'
import { connect, failureOf, playback, setup } from '../../support/setup.ts'

function watching(options: Partial<OrchestratorClientOptions> = {}, fakeOptions: FakeOrchestratorOptions = {}) {
  const { clock, fake } = setup({ generation: 'v1', engines: 1, maxReplicas: 1, ...fakeOptions })
  const wire = new Wire(fake, clock)
  const client = connect(fake, clock, { transport: wire, dialect: 'v1', ...options })
  const acquire = () => client.acquireEngine({ waitMs: 0, provision: false })
  const start = async (session: string) => (await acquire()).startStream(playback('a'.repeat(40), session))
  return { clock, fake, wire, client, acquire, start }
}

const asked = (fake: FakeOrchestrator): number => fake.counters.requests.byRoute['GET /version'] ?? 0

describe('a push that was made before something was acknowledged, and arrives after', () => {
  it('[I6] does not keep the slot of a stream that ended meanwhile', async () => {
    const { clock, wire, start } = watching()
    const stream = await start('one')
    await clock.advance(1_200)
    wire.lateMs = () => 400
    await clock.advance(1_000) // pushed at 2,000 with the stream; arrives at 2,400
    await stream.end()
    await clock.advance(250)
    expect((await start('two')).state).toBe('live')
  })

  it('[I1] hides no stream that was started meanwhile', async () => {
    const { clock, wire, start, acquire, fake } = watching()
    await start('one').then((stream) => stream.end())
    wire.lateMs = () => 400
    await clock.advance(1_200) // pushed at 1,000 without the stream; arrives at 1,400
    await start('two')
    await clock.advance(250)
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    expect(Object.values(fake.counters.peakLoad)).toEqual([1])
  })

  it('[I1] does not replace a list that was asked for and shows another proxy’s stream', async () => {
    const { clock, wire, client, acquire, fake } = watching()
    await (await acquire()).release()
    wire.lateMs = () => 400
    await clock.advance(1_200)
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    await client.listEngines({ fresh: true })
    await clock.advance(250) // the push of 1,000 has come, which does not know of it
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    expect(Object.values(fake.counters.peakTotalLoad)).toEqual([1])
  })

  it('[I1] and by one that overtook it, is passed over', async () => {
    const { clock, wire, acquire, client, fake } = watching()
    await (await acquire()).release()
    const delays = [1_500, 0] // pushed at 1,000 and at 2,000
    wire.lateMs = () => delays.shift() ?? 0
    await clock.advance(1_500)
    const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    await clock.advance(1_100)
    expect((await client.listEngines())[0]?.streamIds).toEqual([streamId])
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    expect(listRequests(fake)).toBe(2)
  })

  it('[I6] nor that of one that ended while another’s start was on its way, though the push holds that start', async () => {
    const { clock, wire, start, acquire, fake } = watching({}, { engines: 2, maxReplicas: 2 })
    const stream = await start('one')
    wire.lateMs = () => 400
    await clock.advance(900)
    fake.inject({ kind: 'delay', delayMs: 300, route: 'POST /events/stream_started' })
    const starting = start('two')
    await clock.advance(150) // pushed at 1,000 with both; arrives at 1,400
    await stream.end()
    await clock.advance(150)
    await starting
    await clock.advance(250)
    expect((await acquire()).engine.containerId).toBe(stream.engine.containerId)
  })

  it('is no proof for the reconciler, who would announce the stream again (hazard 5)', async () => {
    const { clock, wire, client, start, fake } = watching()
    await start('zero').then((stream) => stream.end())
    wire.lateMs = () => 400
    await clock.advance(1_200)
    const stream = await start('one')
    await clock.advance(250)
    const before = fake.counters.requests.byRoute['GET /engines'] ?? 0
    expect(await client.reconcile()).toMatchObject({ confirmed: [stream.id], reannounced: [] })
    expect(fake.counters.requests.byRoute['GET /engines']).toBe(before + 1)
  })
})

describe('a push that was made after', () => {
  it('what a start proves takes the place of a list that was asked for in between', async () => {
    const { clock, wire, client, start, fake } = watching({}, { engines: 2 })
    await start('one')
    await clock.advance(500)
    await client.listEngines({ fresh: true })
    await start('two')
    const before = listRequests(fake)
    const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    await clock.advance(600)
    expect((await client.listEngines()).flatMap((engine) => engine.streamIds)).toContain(streamId)
    expect([listRequests(fake), streamRequests(fake), asked(fake), wire.openCount]).toEqual([before, 1, 0, 1])
  })

  it('an end is taken for one as soon as the orchestrator has told its time: no list is asked for', async () => {
    const { clock, client, start, fake } = watching({ cacheTtlMs: 200 })
    const stream = await start('one')
    await clock.advance(1_500)
    await stream.end()
    const before = listRequests(fake)
    for (let count = 0; count < 100; count += 1) {
      await clock.advance(100)
      await client.listEngines()
    }
    expect([listRequests(fake), streamRequests(fake), asked(fake)]).toEqual([before, 1, 1])
  })

  it('[I1] an end and shows the stream all the same means it: a start that was applied late keeps its slot (hazard 4)', async () => {
    const { clock, start, acquire, fake } = watching({ requestTimeoutMs: 500 })
    fake.inject({ kind: 'delay', delayMs: 1_200, applyLate: true, route: 'POST /events/stream_started' })
    const starting = start('one')
    await clock.advance(500)
    const stream = await starting
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    await clock.advance(3_000)
    expect(fake.liveStreamIds()).toEqual([stream.id])
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    // One of them before the end, which was queued behind a start with unknown outcome.
    expect(listRequests(fake)).toBe(3)
  })

  it('the same where the orchestrator does not tell its time: a new connection proves it', async () => {
    const { clock, start, acquire, fake } = watching({ requestTimeoutMs: 500, random: () => 0 })
    fake.inject({ kind: 'status', status: 404, route: 'GET /version', times: Number.POSITIVE_INFINITY })
    fake.inject({ kind: 'delay', delayMs: 1_200, applyLate: true, route: 'POST /events/stream_started' })
    const starting = start('one')
    await clock.advance(500)
    await (await starting).end()
    await clock.advance(10_000)
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    expect([streamRequests(fake), asked(fake)]).toEqual([2, 1])
  })
})

it('an orchestrator that did not tell its time at first is asked again, if not at once', async () => {
  const { clock, client, start, fake } = watching({ cacheTtlMs: 60_000 })
  fake.inject({ kind: 'status', status: 500, route: 'GET /version' })
  await start('one').then((stream) => stream.end())
  await clock.advance(4_500) // in doubt from 2,000 on; asked then and at 4,000
  expect(asked(fake)).toBe(2)
  const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
  await clock.advance(3_000)
  expect((await client.listEngines())[0]?.streamIds).toEqual([streamId])
  expect([streamRequests(fake), listRequests(fake), asked(fake)]).toEqual([1, 2, 2])
})

it('where nothing proves what pushes hold, lists are asked for after 3 s', async () => {
  const { clock, client, start, fake } = watching({ cacheTtlMs: 1_000 })
  fake.inject({ kind: 'lost-answer', route: 'GET /version', times: Number.POSITIVE_INFINITY })
  const stream = await start('one')
  await clock.advance(1_500) // the push of 1,000 holds the start
  await stream.end()
  const before = listRequests(fake)
  await clock.advance(2_499)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before)
  await clock.advance(1)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before + 2)
})

it('pushes that were held up for 4 s and come all at once are as old as they are', async () => {
  const { clock, wire, client, acquire, fake } = watching({ cacheTtlMs: 1_000 })
  await (await acquire()).release()
  await clock.advance(1_500)
  const before = listRequests(fake)
  let heldUntil = clock.now() + 4_400
  wire.lateMs = () => Math.max(0, heldUntil - clock.now())
  await clock.advance(3_400)
  heldUntil = clock.now() + 60_000
  await clock.advance(1_000) // four messages, the youngest made 900 ms ago
  expect(listRequests(fake)).toBe(before)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before)
  await clock.advance(2_100)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before + 2)
})

it('[I1] [I3] [I4] [I6] pushes late by 400 ms, more or less, put no engine above its limit and lose no slot', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = seededRandom(seed)
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation: 'v1', engines: 3, maxReplicas: 3, clock, random, latencyMs: () => random() * 60 })
    const wire = new Wire(fake, clock)
    // Every third world's pushes also overtake each other.
    wire.lateMs = () => (seed % 3 === 0 ? random() * 2_500 : 400)
    const other = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    const client = connect(fake, clock, { transport: wire, maxStreamsPerEngine: 2, cacheTtlMs: 200, random })
    const pause = (ms: number) => new Promise<void>((resolve) => void clock.setTimeout(resolve, ms))
    const viewers = Array.from({ length: 40 }, async (_, index) => {
      await pause(random() * 20_000)
      const lease = await client.acquireEngine({ provision: false, waitMs: 60_000 })
      await pause(random() * 300)
      const stream = await lease.startStream(playback(index.toString(16).padStart(40, '0'), 's'))
      await pause(random() * 2_000)
      await stream.end()
    })
    const all = Promise.all(viewers)
    await clock.advance(90_000)
    await all
    for (const [containerId, peak] of Object.entries(fake.counters.peakTotalLoad)) {
      expect(peak, `seed ${seed}, ${containerId}`).toBeLessThanOrEqual(2)
    }
    expect(fake.counters).toMatchObject({ startsApplied: 40, endsApplied: 40, innocentsEnded: 0, repeatedStarts: 0 })
    expect(fake.liveStreamIds()).toEqual([other])
    expect(client.metrics()).toMatchObject({ leases: { active: 0, waiting: 0 }, streams: { live: 0 } })
    expect(streamRequests(fake), `seed ${seed}`).toBeLessThanOrEqual(4)
    await client.close()
  }
})
