import { getEventListeners } from 'node:events'
import { inspect } from 'node:util'
import { OrchestratorError } from 'acestream-orchestrator-client'
import { type FakeRequest, GENERATIONS } from 'acestream-orchestrator-client/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mswServer, setupOnMsw } from '../support/msw.ts'
import { during, failureOf, playback } from '../support/setup.ts'

const server = mswServer()
const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
const KEY = 'a-secret-of-this-test'

const unhandled: unknown[] = []
const listener = (reason: unknown): void => void unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', listener))
afterEach(() => {
  process.off('unhandledRejection', listener)
  expect(unhandled.splice(0)).toEqual([])
})

// One test for each invariant of CONTRIBUTING.md. The client uses its default transport, as in a host; msw answers the requests.
describe.each(GENERATIONS)('over the default transport, a client of %s:', (generation) => {
  const world = (...[fake, client]: [Parameters<typeof setupOnMsw>[1]?, Parameters<typeof setupOnMsw>[2]?]) =>
    setupOnMsw(server, { generation, engines: 3, maxReplicas: 3, latencyMs: 40, apiKey: KEY, ...fake }, client)

  it('[I1] of 12 viewers that come at once, 6 get a slot on 3 engines with a limit of 2, and no engine exceeds it', async () => {
    const { client, fake, clock } = world({}, { maxStreamsPerEngine: 2 })
    const watch = async (key: string) => {
      const lease = await client.acquireEngine({ waitMs: 5_000, provision: false })
      return lease.startStream({ ...playback(key), streamId: key })
    }
    const viewers = Array.from({ length: 12 }, (_, index) => watch(index.toString(16).padStart(40, '0')))
    const outcomes = await during(clock, Promise.allSettled(viewers))
    await clock.advance(10_000)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(6)
    expect(fake.liveStreamIds()).toHaveLength(6)
    expect(Object.values(fake.counters.peakLoad)).toEqual([2, 2, 2])
    expect(fake.counters.unauthorized).toBe(0)
  })

  it('[I2] 100 concurrent listEngines() calls make one request', async () => {
    const { client, fake, clock } = world()
    await during(clock, client.listStreams()) // the client knows the dialect now
    fake.resetCounters()
    const lists = await during(clock, Promise.all(Array.from({ length: 100 }, () => client.listEngines({ fresh: true }))))
    expect(lists.map((engines) => engines.length)).toEqual(Array(100).fill(3))
    expect(fake.counters.requests.byRoute).toEqual({ 'GET /engines': 1, ...(generation === 'v1' && { 'GET /streams': 1 }) })
  })

  it('[I3] an end that is requested while its start is in flight is sent after it', async () => {
    const { client, fake, clock } = world()
    fake.inject({ kind: 'delay', delayMs: 1_000, applyLate: true, route: START })
    const lease = await during(clock, client.acquireEngine())
    const starting = lease.startStream({ ...playback(), streamId: 'one' })
    await clock.advance(100)
    const ending = client.streamEnded('one')
    await during(clock, Promise.all([starting, ending]))
    await clock.advance(10_000)
    expect(fake.log.map(({ kind, streamId }) => [kind, streamId])).toEqual([
      ['started', 'one'],
      ['ended', 'one'],
    ])
  })

  it('[I4] an end that is repeated, or of an unknown stream, ends no other stream', async () => {
    const { client, fake, clock } = world({}, { maxStreamsPerEngine: 5 })
    const innocents = fake.engines.map(({ containerId }) => fake.startElsewhere({ containerId }))
    const stream = await during(
      clock,
      client.acquireEngine().then((lease) => lease.startStream(playback())),
    )
    await clock.advance(1_000)
    await during(clock, client.streamEnded('unknown'))
    await during(clock, Promise.all([stream.end(), client.streamEnded(stream.id)]))
    await during(clock, client.streamEnded(stream.id))
    expect(fake.liveStreamIds()).toEqual(innocents)
    expect(fake.counters).toMatchObject({ startsApplied: 1, innocentsEnded: 0, namesakesEnded: 0 })
  })

  it.each(['lost-answer', 'reset-after', 'status'] as const)(
    '[I5] a stream whose start and end fail three times each with "%s" is started once and ended once',
    async (kind) => {
      const { client, fake, clock } = world()
      const lease = await during(clock, client.acquireEngine())
      fake.inject({ kind, route: START, times: 3 })
      fake.inject({ kind, route: END, times: 3 })
      const stream = await during(clock, lease.startStream(playback()))
      await clock.advance(60_000)
      expect(fake.liveStreamIds()).toEqual([stream.id])
      expect(await during(clock, stream.end())).toMatchObject({ outcome: 'delivered' })
      expect(fake.liveStreamIds()).toEqual([])
      expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1, repeatedStarts: 0, repeatedEnds: 0 })
    },
  )

  it('[I6] every slot is free again after a release, an expiry, an aborted wait and a rejected start', async () => {
    const { client, fake, clock } = world({}, { maxStreamsPerEngine: 1, leaseTtlMs: 5_000 })
    const expired: unknown[] = []
    client.on('lease:expired', (event) => expired.push(event))
    const all = async () => during(clock, Promise.all([1, 2, 3].map(() => client.acquireEngine({ waitMs: 0 }))))
    const [released, rejected] = await all() // the third one expires
    expect(client.metrics().leases.active).toBe(3)
    const abort = new AbortController()
    const aborted = failureOf(client.acquireEngine({ signal: abort.signal, provision: false }))
    await clock.advance(100)
    abort.abort('viewer left')
    expect(await aborted).toBe('viewer left')
    await released?.release()
    fake.inject({ kind: 'status', status: 422, route: START })
    expect(await during(clock, failureOf(rejected?.startStream(playback()) ?? Promise.resolve()))).toMatchObject({ status: 422 })
    await clock.advance(5_000)
    expect([expired.length, client.metrics().leases.active]).toEqual([1, 0])
    expect(new Set((await all()).map(({ engine }) => engine.containerId))).toHaveProperty('size', 3)
  })

  it('[I7] fifty viewers with one signal leave no listener, no timer and no record', async () => {
    const { client, fake, clock } = world({ latencyMs: 0 }, { endedRetentionMs: 60_000, watch: false, sweepIntervalMs: 0 })
    const { signal } = new AbortController()
    const visit = async (number: number) => {
      const lease = await client.acquireEngine({ signal })
      const stream = await lease.startStream({ ...playback(), streamId: `s${number}` }, { signal })
      await stream.end()
    }
    for (let number = 0; number < 50; number += 1) await visit(number)
    await clock.advance(120_000)
    client.sweep()
    await clock.settle()
    expect(fake.counters).toMatchObject({ startsApplied: 50, endsApplied: 50 })
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(clock.pendingCount).toBe(0)
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 }, events: { pending: 0 } })
  })

  it('[I8] close() during six pending calls settles each of them, leaves no timer, and the key is sent only in the header', async () => {
    const logged: unknown[] = []
    const log = (...entry: unknown[]): void => void logged.push(entry)
    const { client, fake, clock } = world(
      // Without latency and new engines, all timers are the client's.
      { maxReplicas: 10, latencyMs: 0 },
      { logger: { debug: log, info: log, warn: log, error: log }, healthIntervalMs: 5_000, retry: { attempts: 1 } },
    )
    const seen: FakeRequest[] = []
    const handle = fake.handle.bind(fake)
    fake.handle = (request) => {
      seen.push(request)
      return handle(request)
    }
    const lease = await during(clock, client.acquireEngine())
    fake.inject({ kind: 'html', route: 'GET /streams', body: `<p>${KEY}</p>` })
    fake.inject({ kind: 'reset', route: 'GET /engines' })
    fake.inject({ kind: 'lost-request', route: [START, 'POST /provision/acestream'], times: Number.POSITIVE_INFINITY })
    const calls: Promise<unknown>[] = [
      lease.startStream(playback()),
      client.listStreams(),
      client.listEngines({ fresh: true }),
      client.provisionEngine(),
      client.checkHealth(),
      client.acquireEngine(),
    ]
    const outcomes = Promise.all(calls.map((call) => call.catch((error: unknown) => error)))
    await clock.advance(100)
    await during(clock, client.close({ timeoutMs: 500 }))
    const settled = await outcomes
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
    const errors = settled.filter((outcome) => outcome instanceof Error)
    expect(errors.length).toBeGreaterThan(1)
    for (const error of errors) expect(error).toBeInstanceOf(OrchestratorError)
    const text = inspect([errors, logged], { depth: null, showHidden: true })
    expect(text).toContain('<p>***</p>')
    expect(text).not.toContain(KEY)
    expect(seen.length).toBeGreaterThan(6)
    for (const { path, body, authorization } of seen) {
      expect(authorization).toBe(`Bearer ${KEY}`)
      expect(`${path} ${body}`).not.toContain(KEY)
    }
  })
})

describe('the event stream of v1 over the default transport', () => {
  it('keeps the engine list fresh without requests, and is closed with the client', async () => {
    const { client, fake, clock } = setupOnMsw(server, { generation: 'v1', engines: 1 }, { cacheTtlMs: 200 })
    await (await during(clock, client.acquireEngine())).release()
    await clock.settle()
    const before = fake.counters.requests.total
    const added = fake.addEngine()
    await clock.advance(1_500)
    expect((await client.listEngines()).map(({ containerId }) => containerId)).toContain(added)
    expect(fake.counters.requests.total).toBe(before)
    await client.close()
    await clock.settle()
    expect(clock.pendingCount).toBe(0)
  })
})
