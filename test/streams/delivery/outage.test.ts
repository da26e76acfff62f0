import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type Fault, GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
const refused: Fault = { kind: 'refused', times: Number.POSITIVE_INFINITY }

/** A client that reconciles every 30 s. `watch` starts a stream, `applied` lists the events that the orchestrator applied. */
function world(generation: Generation, engines = 1, options: Partial<OrchestratorClientOptions> = {}) {
  const base = setup({ generation, engines }, { reconcileIntervalMs: 30_000, ...options })
  const { client, fake } = base
  const watch = async (streamId: string) => (await client.acquireEngine({ waitMs: 0 })).startStream({ ...playback(streamId), streamId })
  const sent = (route: string) => fake.counters.requests.byRoute[route] ?? 0
  const applied = (streamId?: string) =>
    fake.log.filter((event) => streamId === undefined || event.streamId === streamId).map((event) => `${event.streamId} ${event.kind}`)
  const failed: unknown[] = []
  client.on('delivery:failed', (event) => failed.push(event))
  return { ...base, watch, sent, applied, failed }
}

describe.each(GENERATIONS)('an outage of %s', (generation) => {
  it.each([
    ['refuses connections', { kind: 'refused' }, 0],
    ['does not answer', { kind: 'lost-request' }, 1_000],
    ['answers 503', { kind: 'status' }, 0],
  ] satisfies [string, Fault, number][])(
    'startStream() resolves after one attempt or 1 s if the orchestrator %s, and the start is sent again later',
    async (_, fault, ms) => {
      const { client, fake, clock, sent, watch } = world(generation)
      await client.listEngines()
      fake.inject({ ...fault, times: Number.POSITIVE_INFINITY, route: START })
      const before = clock.now()
      const stream = await during(clock, watch('one'), 100)
      expect([stream.state, sent(START), clock.now() - before]).toEqual(['announcing', 1, ms])
      expect(stream.lost.aborted).toBe(false)
      fake.clearFaults()
      await clock.advance(30_000)
      expect([stream.state, fake.liveStreamIds()]).toEqual(['live', ['one']])
    },
  )

  it('startStream() makes no attempt while the circuit is open, and resolves at once', async () => {
    const { client, fake, sent, watch, clock } = world(generation, 1, { retry: { attempts: 1 }, cacheTtlMs: 60_000 })
    await client.listEngines()
    fake.inject(refused)
    for (let i = 0; i < 5; i += 1) await failureOf(client.listStreams())
    const stream = await watch('one')
    expect([client.metrics().circuit, stream.state, sent(START)]).toEqual(['open', 'announcing', 0])
    expect(await stream.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    fake.clearFaults()
    await clock.advance(60_000)
    expect([sent(START), sent(END), client.metrics().events.pending]).toEqual([0, 0, 0])
  })

  it('a start that was never delivered is dropped when its viewer leaves: neither start nor end is sent any more', async () => {
    const { client, fake, sent, watch, clock, failed } = world(generation)
    await client.listEngines()
    const fault = fake.inject(refused)
    const stream = await watch('one')
    await clock.advance(2_000)
    const attempts = sent(START)
    expect(await stream.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    await client.acquireEngine({ waitMs: 0 })
    fault.remove()
    await clock.advance(60_000)
    expect([sent(START), sent(END), client.metrics().events.pending, fake.log, failed]).toEqual([attempts, 0, 0, [], []])
  })

  it('ends that an outage stalled are sent before the starts that took their slots: no engine ever has two streams', async () => {
    const { client, fake, watch, clock, applied } = world(generation, 2)
    const [first, second] = [await watch('first'), await watch('second')]
    fake.inject({ ...refused, route: [START, END] })
    const ends = [first.end(), second.end()]
    const next = [await watch('third'), await watch('fourth')]
    await clock.advance(1_000)
    const third = next[0]?.end()
    const fifth = await watch('fifth')
    await clock.advance(45_000)
    expect([next[1]?.state, fifth.state]).toEqual(['announcing', 'announcing'])
    fake.clearFaults()
    await clock.advance(60_000)
    expect(await Promise.all(ends)).toMatchObject([{ outcome: 'delivered' }, { outcome: 'delivered' }])
    expect(await third).toMatchObject({ outcome: 'not-announced' })
    expect(fake.liveStreamIds().toSorted()).toEqual(['fifth', 'fourth'])
    expect(Object.values(fake.counters.peakLoad)).toEqual([1, 1])
    expect(applied()).toHaveLength(6)
    expect(client.metrics()).toMatchObject({ streams: { live: 2 }, events: { pending: 0 } })
  })

  it('if an id ends and starts again in an outage, its end is sent before its new start', async () => {
    const { fake, watch, clock, applied } = world(generation, 2)
    const first = await watch('one')
    fake.inject(refused)
    const ending = first.end()
    const second = await watch('one')
    await clock.advance(15_000)
    expect([first.state, second.state]).toEqual(['ending', 'announcing'])
    fake.clearFaults()
    await clock.advance(60_000)
    expect(await ending).toMatchObject({ outcome: 'delivered' })
    expect(applied()).toEqual(['one started', 'one ended', 'one started'])
    expect([second.state, fake.liveStreamIds(), fake.counters.repeatedStarts]).toEqual(['live', ['one'], 0])
    expect(await second.end()).toMatchObject({ outcome: 'delivered' })
  })

  it('leaving an `await using` block does not wait for the end of its stream, which is sent after the outage', async () => {
    const { client, fake, watch, clock, applied } = world(generation)
    const leave = async () => {
      await using stream = await watch('one')
      fake.inject(refused)
      return stream
    }
    const stream = await during(clock, leave(), 100, 5_000)
    expect([stream.state, client.metrics().events.pending]).toEqual(['ending', 1])
    fake.clearFaults()
    await clock.advance(30_000)
    expect([stream.state, applied()]).toEqual(['ended', ['one started', 'one ended']])
  })

  it('an end that is given up after deliveryTimeoutMs is undeliverable, and is sent again if its stream is listed later', async () => {
    const { client, fake, watch, clock, sent, failed } = world(generation, 1, { deliveryTimeoutMs: 60_000 })
    const stream = await watch('one')
    fake.inject(refused)
    const before = clock.now()
    const result = await during(clock, stream.end())
    expect(clock.now() - before).toBe(60_000)
    expect(result).toMatchObject({ outcome: 'undeliverable', error: { code: 'CONNECTION' } })
    expect(result.attempts).toBe(sent(END))
    expect(failed).toMatchObject([{ streamId: 'one', event: 'ended', error: { code: 'CONNECTION' } }])
    expect(client.metrics().events).toMatchObject({ undeliverable: 1, pending: 0 })
    fake.clearFaults()
    await clock.advance(10_000)
    expect(await during(clock, client.reconcile())).toMatchObject({ endedAgain: ['one'] })
    expect(fake.liveStreamIds()).toEqual([])
    await clock.advance(60_000)
    expect(await client.streamEnded('one')).toEqual({ outcome: 'duplicate', attempts: 0 })
    expect([fake.counters.endsApplied, fake.counters.endsMissed, fake.counters.repeatedEnds]).toEqual([1, 0, 0])
  })

  it('a start that is given up after deliveryTimeoutMs is sent again by the next reconciliation after the outage', async () => {
    const { client, fake, watch, clock, failed } = world(generation, 1, { deliveryTimeoutMs: 20_000, staleIfErrorMs: 600_000 })
    await client.listEngines()
    fake.inject(refused)
    const stream = await watch('one')
    await clock.advance(40_000)
    expect(stream.state).toBe('announcing')
    expect(failed).toMatchObject([{ streamId: 'one', event: 'started' }])
    fake.clearFaults()
    await clock.advance(60_000)
    expect([stream.state, fake.liveStreamIds()]).toEqual(['live', ['one']])
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('a start that is given up after deliveryTimeoutMs, but was applied, becomes live when a list shows it', async () => {
    const { client, fake, watch, clock, sent, failed } = world(generation, 1, { deliveryTimeoutMs: 5_000 })
    const started: unknown[] = []
    client.on('stream:started', ({ streamId }) => started.push(streamId))
    await client.listEngines()
    fake.inject({ kind: 'lost-answer', route: START })
    fake.inject({ ...refused, route: ['GET /streams', 'GET /engines'] })
    const stream = await during(clock, watch('one'))
    await clock.advance(20_000)
    expect([stream.state, failed, started]).toMatchObject(['announcing', [{ streamId: 'one', event: 'started' }], []])
    fake.clearFaults()
    await clock.advance(60_000)
    expect([stream.state, started, sent(START), fake.liveStreamIds()]).toEqual(['live', ['one'], 1, ['one']])
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
  })

  it('deliveryTimeoutMs begins with the call of end(), not with the first failed attempt', async () => {
    const { fake, watch, clock } = world(generation, 1, { deliveryTimeoutMs: 10_000 })
    const stream = await watch('one')
    fake.inject({ kind: 'lost-request', route: END })
    fake.inject(refused)
    const before = clock.now()
    expect(await during(clock, stream.end())).toMatchObject({ outcome: 'undeliverable', error: { code: 'CONNECTION' } })
    expect(clock.now() - before).toBe(10_000)
  })

  it('an event that is given up has an error that says why: CIRCUIT_OPEN or CLIENT_CLOSED', async () => {
    const options = { deliveryTimeoutMs: 5_000, retry: { attempts: 1 }, cacheTtlMs: 60_000, staleIfErrorMs: 600_000 }
    const { client, fake, watch, clock, failed } = world(generation, 2, options)
    const ends = await watch('ends')
    fake.inject(refused)
    for (let i = 0; i < 5; i += 1) await failureOf(client.listStreams())
    await watch('one')
    await clock.advance(5_000)
    expect(failed).toMatchObject([{ streamId: 'one', event: 'started', error: { code: 'CIRCUIT_OPEN' } }])
    const ending = ends.end()
    await clock.advance(1_000)
    await during(clock, client.close({ timeoutMs: 100 }))
    expect(await ending).toMatchObject({ outcome: 'undeliverable', error: { code: 'CLIENT_CLOSED' } })
  })

  it('a start that waits through an outage is sent when its engine is listed again, and not while the list is empty', async () => {
    const { client, fake, watch, clock, sent } = world(generation, 1, { reconcileIntervalMs: 0, staleIfErrorMs: 600_000, watch: false })
    await client.listEngines()
    fake.inject(refused)
    const stream = await watch('one')
    await clock.advance(20_000)
    fake.clearFaults()
    const none = fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const before = sent(START)
    await clock.advance(60_000)
    expect([stream.state, stream.lost.aborted, sent(START) - before]).toEqual(['announcing', false, 0])
    fake.updateEngine(stream.engine.containerId ?? '', { host: 'renamed' })
    none.remove()
    await clock.advance(30_000)
    expect([stream.state, fake.liveStreamIds(), sent(START) - before]).toEqual(['live', ['one'], 1])
    expect(fake.engines).toMatchObject([{ host: 'renamed' }]) // H7: the start had the new address
  })

  it('a stream whose start waits for the circuit is lost if its engine is no longer listed: the start is never sent', async () => {
    const options = { reconcileIntervalMs: 0, staleIfErrorMs: 600_000, cacheTtlMs: 60_000, retry: { attempts: 1 } }
    const { client, fake, watch, clock, sent } = world(generation, 2, options)
    await client.listEngines()
    fake.inject(refused)
    for (let i = 0; i < 5; i += 1) await failureOf(client.listStreams())
    const stream = await watch('one')
    fake.removeEngine(stream.engine.containerId ?? '')
    await clock.advance(15_000)
    fake.clearFaults()
    await clock.advance(30_000)
    expect([stream.state, stream.lost.aborted, sent(START), sent(END), fake.liveStreamIds()]).toEqual(['lost', true, 0, 0, []])
    expect(client.metrics()).toMatchObject({ streams: { live: 0 }, events: { pending: 0 } })
  })

  it('beyond maxPendingEvents the event that stalled first is given up, and reconciliation makes up for it afterwards', async () => {
    const { client, fake, watch, clock, failed } = world(generation, 8, { maxPendingEvents: 3, staleIfErrorMs: 600_000 })
    const before = [await watch('a'), await watch('b'), await watch('c'), await watch('d')]
    fake.inject(refused)
    const ends = []
    let most = 0
    for (const stream of before.slice(0, 3)) {
      ends.push(stream.end())
      await clock.advance(500)
    }
    for (const id of ['e', 'f', 'g', 'h']) {
      await watch(id)
      await clock.advance(500)
      most = Math.max(most, client.metrics().events.pending)
    }
    expect(most).toBeLessThanOrEqual(3)
    expect(await Promise.all(ends)).toMatchObject(Array(3).fill({ outcome: 'undeliverable' }))
    expect(failed.map((event) => (event as { streamId: string }).streamId)).toEqual(['a', 'b', 'c', 'e'])
    await clock.advance(60_000)
    fake.clearFaults()
    await clock.advance(90_000)
    expect(fake.liveStreamIds().toSorted()).toEqual(['d', 'e', 'f', 'g', 'h'])
    expect(fake.counters).toMatchObject({ endsApplied: 3, repeatedStarts: 0, innocentsEnded: 0 })
    expect(client.metrics()).toMatchObject({ streams: { live: 5 }, events: { pending: 0 } })
  })

  it('a start that is rejected after it stalled keeps its slot until its host ends the stream, and no end is sent', async () => {
    const { client, fake, watch, clock, sent, failed } = world(generation)
    await client.listEngines()
    fake.inject({ kind: 'refused', route: START })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: START })
    const stream = await watch('one')
    expect(stream.state).toBe('announcing')
    await clock.advance(20_000)
    expect(stream.state).toBe('refused')
    expect(failed).toMatchObject([{ streamId: 'one', event: 'started', error: { status: 422 } }])
    expect(await failureOf(client.acquireEngine({ waitMs: 0, provision: false }))).toMatchObject({ code: 'CAPACITY', reason: 'full' })
    await clock.advance(60_000)
    expect(sent(START)).toBe(2)
    expect(await stream.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    await client.acquireEngine({ waitMs: 0 })
    expect([sent(START), sent(END), client.metrics().streams.live]).toEqual([2, 0, 0])
  })
})

describe('Retry-After', () => {
  it.each([
    [START, 503, 'seconds'],
    [START, 429, 'a date'],
    [END, 503, 'a date'],
    [END, 429, 'seconds'],
  ])('of %s, answered %i with %s, is waited for to the millisecond, instead of the usual delay of 60 s', async (route, status, form) => {
    const retry = { baseDelayMs: 60_000, maxDelayMs: 120_000 }
    const { fake, watch, clock, sent, client } = world('2025-10', 1, { retry })
    await client.listEngines()
    const waits = [7_000, 19_000]
    const inject = (ms: number) =>
      fake.inject({
        kind: 'status',
        status,
        route,
        headers: { 'Retry-After': form === 'seconds' ? `${ms / 1_000}` : new Date(clock.now() + ms).toUTCString() },
      })
    if (route === END) {
      const stream = await watch('one')
      inject(waits[0] ?? 0)
      void stream.end()
    } else {
      inject(waits[0] ?? 0)
      void watch('one')
    }
    await clock.settle()
    expect(sent(route)).toBe(1)
    await clock.advance(6_000)
    const second = inject(form === 'seconds' ? 19_000 : 20_000) // the date is computed now, 1 s before the answer that has it
    await clock.advance(999)
    expect([sent(route), second.hits]).toEqual([1, 0])
    await clock.advance(1)
    expect([sent(route), second.hits]).toEqual([2, 1])
    await clock.advance(18_999)
    expect(sent(route)).toBe(2)
    await clock.advance(1)
    expect([sent(route), client.metrics().events.pending]).toEqual([3, 0])
  })
})
