import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { listRequests, PushTransport, streamRequests } from '../../support/push-transport.ts'
import { connect, failureOf, playback, setup } from '../../support/setup.ts'

function watching(options: Partial<OrchestratorClientOptions> = {}, fakeOptions: FakeOrchestratorOptions = {}) {
  const { clock, fake } = setup({ generation: 'v1', engines: 1, maxReplicas: 1, ...fakeOptions })
  const wire = new PushTransport(fake, clock)
  const client = connect(fake, clock, { transport: wire, dialect: 'v1', ...options })
  const acquire = () => client.acquireEngine({ waitMs: 0, provision: false })
  const start = async (session: string) => (await acquire()).startStream(playback('a'.repeat(40), session))
  return { clock, fake, wire, client, acquire, start }
}

const versionRequests = (fake: FakeOrchestrator): number => fake.counters.requests.byRoute['GET /version'] ?? 0

describe('a pushed list that is outdated when it arrives', () => {
  it('[I6] does not keep the slot of a stream that ended before it arrived', async () => {
    const { clock, wire, start } = watching()
    const stream = await start('one')
    await clock.advance(1_200)
    wire.lateMs = () => 400
    await clock.advance(1_000) // pushed at 2,000 with the stream; arrives at 2,400
    await stream.end()
    await clock.advance(250)
    expect((await start('two')).state).toBe('live')
  })

  it('[I1] does not hide a stream that was started before it arrived', async () => {
    const { clock, wire, start, acquire, fake } = watching()
    await start('one').then((stream) => stream.end())
    wire.lateMs = () => 400
    await clock.advance(1_200) // pushed at 1,000 without the stream; arrives at 1,400
    await start('two')
    await clock.advance(250)
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    expect(Object.values(fake.counters.peakLoad)).toEqual([1])
  })

  it('[I1] does not replace a list that was requested after it was made, and that shows a stream of another proxy', async () => {
    const { clock, wire, client, acquire, fake } = watching()
    await (await acquire()).release()
    wire.lateMs = () => 400
    await clock.advance(1_200)
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    await client.listEngines({ fresh: true })
    await clock.advance(250) // the push of 1,000 has arrived, without that stream
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    expect(Object.values(fake.counters.peakTotalLoad)).toEqual([1])
  })

  it('[I1] is ignored when a newer push overtook it', async () => {
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

  it('[I6] does not keep the slot of an ended stream, though it shows another stream whose start is acknowledged later', async () => {
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

  it('is not used to reconcile: a stream that it does not show yet would be announced again (H5)', async () => {
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

describe('a pushed list that is newer than the last event', () => {
  it('replaces an older list as soon as it shows the stream that was started last', async () => {
    const { clock, wire, client, start, fake } = watching({}, { engines: 2 })
    await start('one')
    await clock.advance(500)
    await client.listEngines({ fresh: true })
    await start('two')
    const before = listRequests(fake)
    const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    await clock.advance(600)
    expect((await client.listEngines()).flatMap((engine) => engine.streamIds)).toContain(streamId)
    expect([listRequests(fake), streamRequests(fake), versionRequests(fake), wire.openCount]).toEqual([before, 1, 0, 1])
  })

  it('is recognized as newer than an end by one request for the orchestrator’s time, and no list is requested', async () => {
    const { clock, client, start, fake } = watching({ cacheTtlMs: 200 })
    const stream = await start('one')
    await clock.advance(1_500)
    await stream.end()
    const before = listRequests(fake)
    for (let count = 0; count < 100; count += 1) {
      await clock.advance(100)
      await client.listEngines()
    }
    expect([listRequests(fake), streamRequests(fake), versionRequests(fake)]).toEqual([before, 1, 1])
  })

  it('[I1] and shows a stream that was ended keeps the slot of that stream: its start was applied after its end (H4)', async () => {
    const { clock, start, acquire, fake } = watching({ requestTimeoutMs: 500 })
    fake.inject({ kind: 'delay', delayMs: 1_200, applyLate: true, route: 'POST /events/stream_started' })
    const starting = start('one')
    await clock.advance(500)
    const stream = await starting
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    await clock.advance(3_000)
    expect(fake.liveStreamIds()).toEqual([stream.id])
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    // One of them is sent before the end, because the outcome of the start is unknown.
    expect(listRequests(fake)).toBe(3)
  })

  it('[I1] and shows a stream that was ended keeps its slot when GET /version answers 404: a new connection proves that it is newer', async () => {
    const { clock, start, acquire, fake } = watching({ requestTimeoutMs: 500, random: () => 0 })
    fake.inject({ kind: 'status', status: 404, route: 'GET /version', times: Number.POSITIVE_INFINITY })
    fake.inject({ kind: 'delay', delayMs: 1_200, applyLate: true, route: 'POST /events/stream_started' })
    const starting = start('one')
    await clock.advance(500)
    await (await starting).end()
    await clock.advance(10_000)
    expect(await failureOf(acquire())).toMatchObject({ code: 'CAPACITY' })
    expect([streamRequests(fake), versionRequests(fake)]).toEqual([2, 1])
  })
})

it('the orchestrator’s time is requested again 2 s after the first request for it failed', async () => {
  const { clock, client, start, fake } = watching({ cacheTtlMs: 60_000 })
  fake.inject({ kind: 'status', status: 500, route: 'GET /version' })
  await start('one').then((stream) => stream.end())
  await clock.advance(4_500) // pushes may be outdated from 2,000 on: requests at 2,000 and at 4,000
  expect(versionRequests(fake)).toBe(2)
  const streamId = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
  await clock.advance(3_000)
  expect((await client.listEngines())[0]?.streamIds).toEqual([streamId])
  expect([streamRequests(fake), listRequests(fake), versionRequests(fake)]).toEqual([1, 2, 2])
})

it('lists are requested after 3 s in which nothing proved that the pushed lists are up to date', async () => {
  const { clock, client, start, fake } = watching({ cacheTtlMs: 1_000 })
  fake.inject({ kind: 'lost-answer', route: 'GET /version', times: Number.POSITIVE_INFINITY })
  const stream = await start('one')
  await clock.advance(1_500) // the push of 1,000 shows the stream
  await stream.end()
  const before = listRequests(fake)
  await clock.advance(2_499)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before)
  await clock.advance(1)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before + 2)
})

it('the age of pushes that were delayed for 4 s and arrive together counts from when they were made', async () => {
  const { clock, wire, client, acquire, fake } = watching({ cacheTtlMs: 1_000 })
  await (await acquire()).release()
  await clock.advance(1_500)
  const before = listRequests(fake)
  let delayedUntil = clock.now() + 4_400
  wire.lateMs = () => Math.max(0, delayedUntil - clock.now())
  await clock.advance(3_400)
  delayedUntil = clock.now() + 60_000
  await clock.advance(1_000) // four messages, the youngest made 900 ms ago
  expect(listRequests(fake)).toBe(before)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before)
  await clock.advance(2_100)
  await client.listEngines()
  expect(listRequests(fake)).toBe(before + 2)
})

it('[I1] [I3] [I4] [I6] pushes that arrive 400 ms late, or up to 2.5 s late and out of order, put no engine above its limit and lose no slot', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = seededRandom(seed)
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation: 'v1', engines: 3, maxReplicas: 3, clock, random, latencyMs: () => random() * 60 })
    const wire = new PushTransport(fake, clock)
    // In every third run the pushes also overtake each other.
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
