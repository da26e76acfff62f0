import { getEventListeners } from 'node:events'
import type { OrchestratorClientOptions, StreamHandle } from 'acestream-orchestrator-client'
import { type Fault, GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PASSING, REDIRECT, REFUSING } from '../support/fault-cases.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
const CLOSE_MS = 7_000

/** Faults in which the orchestrator applies the request but the client gets no valid answer. Other faults change nothing there. */
const APPLIED: ReadonlySet<Fault['kind']> = new Set(['reset-after', 'lost-answer', 'delay', 'truncated', 'empty', 'oversized'])
const unhandled: unknown[] = []
const listener = (reason: unknown): void => void unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', listener))
afterEach(() => {
  process.off('unhandledRejection', listener)
  expect(unhandled.splice(0)).toEqual([])
})

/** A client with four engines. Its starts and ends can be made to fail. */
function world(generation: Generation, options: Partial<OrchestratorClientOptions> = {}) {
  const base = setup(
    { generation, engines: 4 },
    { sweepIntervalMs: 300_000, healthIntervalMs: 30_000, reconcileIntervalMs: 30_000, ...options },
  )
  const { client, fake, clock } = base
  const watch = async (streamId: string) => (await client.acquireEngine({ waitMs: 0 })).startStream({ ...playback(streamId), streamId })
  const fail = (fault: Omit<Fault, 'route'>, route: Fault['route'] = [START, END]) =>
    fake.inject({ ...fault, times: Number.POSITIVE_INFINITY, route: route ?? [] })
  /** Closes the client. Resolves to the report and the time it took. Checks that no request, timer, stream or lease is left. */
  const close = async (timeoutMs: number, isFakeIdle = true) => {
    const from = clock.now()
    let tookMs = Number.POSITIVE_INFINITY
    const closing = client.close({ timeoutMs }).finally(() => {
      tookMs = clock.now() - from
    })
    await clock.advance(timeoutMs)
    await clock.settle()
    expect(tookMs).toBeLessThanOrEqual(timeoutMs)
    if (isFakeIdle) expect(clock.pendingCount).toBe(0)
    const requests = fake.counters.requests.total
    await clock.advance(600_000)
    expect([fake.counters.requests.total, clock.pendingCount]).toEqual([requests, 0])
    expect(client.metrics()).toMatchObject({ streams: { live: 0 }, leases: { active: 0, waiting: 0 }, events: { pending: 0 } })
    return { ...(await closing), tookMs }
  }
  return { ...base, watch, fail, close }
}

const ended = (streamId: string) => ({ streamId, event: 'ended' })
const byId = (a: { streamId: string }, b: { streamId: string }) => a.streamId.localeCompare(b.streamId)

describe.each(GENERATIONS)('closing a client of %s', (generation) => {
  describe.each([...PASSING, ...REFUSING, REDIRECT])('while every start and end fails with %s', (name, fault) => {
    const isRefusal = REFUSING.some(([refusal]) => refusal === name)
    const isApplied = APPLIED.has(fault.kind) && !fault.applyLate

    it('ends the live streams within its time-out, and reports exactly which events were delivered and which were not', async () => {
      const { fake, watch, fail, close, clock } = world(generation)
      const live = [await watch('a'), await watch('b')]
      fail(fault)
      const third = watch('c').catch(() => undefined)
      await clock.advance(3_000)
      const { delivered, undelivered, tookMs } = await close(CLOSE_MS, fault.kind !== 'delay')
      expect(delivered + undelivered.length).toBe(isRefusal ? 2 : 3)
      const missing = undelivered.map(({ streamId }) => streamId)
      if (fault.applyLate !== true) {
        // The third stream is not reported: its start was certainly not applied, or the client verifies it and ends it if it is listed.
        expect(undelivered.toSorted(byId)).toEqual(isApplied ? [] : [ended('a'), ended('b')])
        expect(fake.liveStreamIds().toSorted()).toEqual(missing.toSorted())
      }
      if (isRefusal) expect(tookMs).toBe(0)
      expect(fake.counters).toMatchObject({ innocentsEnded: 0, namesakesEnded: 0 })
      for (const stream of [...live, await third]) expect(stream?.state ?? 'ended').toBe('ended')
    })

    it('flush() waits for all events, also for events that are added meanwhile, until each is delivered or given up', async () => {
      const { client, fake, watch, fail, clock } = world(generation, { sweepIntervalMs: 0, healthIntervalMs: 0, reconcileIntervalMs: 0 })
      const first = await watch('a')
      const other = await watch('b')
      fail(fault)
      const ending = first.end()
      let isFlushed = false
      const flushing = client.flush().then(() => {
        isFlushed = true
      })
      await clock.advance(2_000)
      const added = [other.end(), client.streamEnded('elsewhere'), watch('c').catch((error: unknown) => error)] as const
      await clock.advance(3_500)
      if (!isRefusal && !isApplied) expect([isFlushed, client.metrics().events.pending > 2]).toEqual([false, true])
      fake.clearFaults()
      await during(clock, flushing)
      expect(client.metrics().events.pending).toBe(0)
      const outcomes = await Promise.all([ending, added[0]])
      for (const { outcome } of outcomes) expect(outcome).toBe(isRefusal ? 'undeliverable' : 'delivered')
      await Promise.all(added)
      if (!isRefusal) expect(fake.liveStreamIds()).toEqual(['c'])
    })
  })

  it.each([...PASSING])('with a time-out of 0 reports each event that is stalled by %s, within one tick', async (_, fault) => {
    const { watch, fail, close } = world(generation)
    await watch('a')
    await watch('b')
    fail(fault)
    const { delivered, undelivered, tookMs } = await close(0, fault.kind !== 'delay')
    expect([delivered + undelivered.length, tookMs]).toEqual([2, 0])
    expect(undelivered.toSorted(byId)).toEqual([ended('a'), ended('b')].slice(0, undelivered.length))
  })

  it('takes no longer than its time-out while the orchestrator answers no request at all', async () => {
    const { client, watch, close, clock, fake } = world(generation)
    await watch('a')
    fake.inject({ kind: 'lost-request', times: Number.POSITIVE_INFINITY })
    const calls = [client.listStreams(), client.acquireEngine(), client.provisionEngine(), client.checkHealth(), client.reconcile()]
    const outcomes = calls.map((call) => call.catch((error: unknown) => error))
    await client.flush()
    await clock.advance(40_000)
    expect(await close(CLOSE_MS)).toMatchObject({ delivered: 0, undelivered: [ended('a')], tookMs: CLOSE_MS })
    const [streams, lease, ...others] = await Promise.all(outcomes)
    expect(lease).toHaveProperty('engine') // from the last list
    for (const error of [streams, ...others]) expect(error).toHaveProperty('code')
  })

  it('rejects a start that is made meanwhile, and releases its slot', async () => {
    const { client, fake, watch, fail, clock } = world(generation)
    await watch('a')
    const lease = await client.acquireEngine()
    fail({ kind: 'refused' })
    const closing = client.close({ timeoutMs: CLOSE_MS })
    expect(await failureOf(lease.startStream(playback()))).toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(await failureOf(watch('c'))).toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(await client.streamEnded('b')).toMatchObject({ outcome: 'undeliverable', error: { code: 'CLIENT_CLOSED' } })
    await clock.advance(CLOSE_MS)
    expect(await closing).toEqual({ delivered: 0, undelivered: [ended('a')] })
    expect([fake.counters.startsApplied, client.metrics().leases.active]).toEqual([1, 0])
  })

  it('delivers a start that was made just before, and then its end', async () => {
    const { client, fake, clock } = world(generation)
    const lease = await client.acquireEngine()
    fake.latencyMs = 200
    fake.inject({ kind: 'refused', route: END, times: 2 })
    const starting = lease.startStream({ ...playback(), streamId: 'a' })
    const closing = client.close({ timeoutMs: CLOSE_MS })
    await clock.advance(CLOSE_MS)
    expect(await closing).toEqual({ delivered: 1, undelivered: [] })
    expect((await starting).state).toBe('ended')
    expect([fake.counters.startsApplied, fake.counters.endsApplied]).toEqual([1, 1])
  })

  it('sends no end for a start that was made just before and never reached the orchestrator', async () => {
    const { client, fake, fail, clock } = world(generation)
    const lease = await client.acquireEngine()
    const outage = fail({ kind: 'refused' }, START)
    const starting = lease.startStream({ ...playback(), streamId: 'a' })
    const closing = client.close({ timeoutMs: CLOSE_MS })
    await clock.advance(CLOSE_MS)
    // Counted as delivered: nothing is left to send.
    expect(await closing).toEqual({ delivered: 1, undelivered: [] })
    expect((await starting).state).toBe('ended')
    expect([outage.hits > 0, fake.counters.startsApplied, fake.counters.requests.byRoute[END]]).toEqual([true, 0, undefined])
  })

  it('a stream that the host ends meanwhile is ended once, and is not reported if that end was delivered', async () => {
    const { client, fake, watch, fail, clock } = world(generation)
    const stream = await watch('a')
    fail({ kind: 'refused' })
    const closing = client.close({ timeoutMs: CLOSE_MS })
    await clock.advance(1_000)
    expect(await stream.end()).toMatchObject({ outcome: 'duplicate' })
    fake.clearFaults()
    await clock.advance(CLOSE_MS)
    expect(await closing).toEqual({ delivered: 1, undelivered: [] })
    expect(fake.counters).toMatchObject({ endsApplied: 1, repeatedEnds: 0 })
  })
})

describe('closing in an outage', () => {
  it.each<[name: string, fault: Omit<Fault, 'route'>, options: Partial<OrchestratorClientOptions>]>([
    ['is rejected', { kind: 'status', status: 401, delayMs: 1_000 }, {}],
    ['runs out of time', { kind: 'refused' }, { deliveryTimeoutMs: 3_000 }],
  ])('reports an end that was requested before and that %s meanwhile', async (_, fault, options) => {
    const { client, watch, fail, close } = world('2025-10', options)
    const stream = await watch('a')
    await watch('b')
    fail(fault)
    const ending = stream.end()
    const elsewhere = client.streamEnded('elsewhere')
    const { delivered, undelivered } = await close(CLOSE_MS)
    expect(await Promise.all([ending, elsewhere])).toMatchObject([{ outcome: 'undeliverable' }, { outcome: 'undeliverable' }])
    expect({ delivered, undelivered: undelivered.toSorted(byId) }).toEqual({
      delivered: 0,
      undelivered: ['a', 'b', 'elsewhere'].map(ended),
    })
  })

  it('reports an end that was given up because maxPendingEvents was reached', async () => {
    const { watch, fail, close } = world('2025-10', { maxPendingEvents: 2 })
    for (const id of ['a', 'b', 'c', 'd']) await watch(id)
    fail({ kind: 'refused' })
    const { delivered, undelivered } = await close(CLOSE_MS)
    expect({ delivered, undelivered: undelivered.toSorted(byId) }).toEqual({ delivered: 0, undelivered: ['a', 'b', 'c', 'd'].map(ended) })
  })

  it('delivers the ends as soon as the orchestrator is back, and resolves then', async () => {
    const { client, fake, watch, fail, clock } = world('2025-10')
    await watch('a')
    await watch('b')
    fail({ kind: 'refused' })
    const from = clock.now()
    const closing = client.close({ timeoutMs: 600_000 })
    await clock.advance(20_000)
    fake.clearFaults()
    expect(await during(clock, closing)).toEqual({ delivered: 2, undelivered: [] })
    expect(clock.now() - from).toBeLessThan(35_000)
    expect([fake.liveStreamIds(), clock.pendingCount]).toEqual([[], 0])
  })

  it('runs once if close() is called three times: the time-out of the first call counts, and all get the same report', async () => {
    const { client, watch, fail, clock } = world('2025-10')
    await watch('a')
    fail({ kind: 'refused' })
    const from = clock.now()
    const reports = [client.close({ timeoutMs: 3_000 }), client.close({ timeoutMs: 0 }), client.close()]
    await clock.advance(2_999)
    expect(await Promise.race([...reports, 'not yet'])).toBe('not yet')
    expect(await failureOf(client.close({ timeoutMs: -1 }))).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'timeoutMs' })
    await clock.advance(1)
    const [first, second, third] = await Promise.all(reports)
    expect(first).toEqual({ delivered: 0, undelivered: [ended('a')] })
    expect([second === first, third === first, (await client.close()) === first, clock.now() - from]).toEqual([true, true, true, 3_000])
  })

  it.each([
    [1, 'a'],
    [3, 'a'],
    [2, 'b'],
  ])(
    'a pending flush() resolves if all ends are delivered meanwhile: %i attempts fail, and %s is the last stream that was ended before',
    async (failures, last) => {
      const { client, fake, watch, clock } = world('2025-10')
      const streams = [await watch('a'), await watch('b')]
      fake.inject({ kind: 'refused', route: END, times: failures })
      if (last === 'a') void streams[0]?.end()
      else for (const stream of streams) void stream.end()
      const flushing = client.flush()
      const closing = client.close({ timeoutMs: CLOSE_MS })
      await during(clock, closing)
      expect(await flushing).toBeUndefined()
      expect((await closing).undelivered).toEqual([])
      expect(clock.pendingCount).toBe(0)
    },
  )

  it('a pending flush() rejects with CLIENT_CLOSED if an end could not be delivered', async () => {
    const { client, watch, fail, close, clock } = world('2025-10')
    const stream = await watch('a')
    fail({ kind: 'refused' })
    const ending = stream.end()
    const flushes = [client.flush(), client.flush({ signal: new AbortController().signal })].map(failureOf)
    await clock.advance(1_000)
    expect(await close(2_000)).toMatchObject({ delivered: 0, undelivered: [ended('a')], tookMs: 2_000 })
    for (const error of await Promise.all(flushes)) expect(error).toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(await ending).toMatchObject({ outcome: 'undeliverable', error: { code: 'CLIENT_CLOSED' } })
    expect(await failureOf(client.flush())).toMatchObject({ code: 'CLIENT_CLOSED' })
  })

  it('the signal of a pending flush() rejects that call with its reason, and stops nothing else', async () => {
    const { client, fake, watch, fail, clock } = world('2025-10', {
      sweepIntervalMs: 0,
      healthIntervalMs: 0,
      reconcileIntervalMs: 0,
      watch: false,
    })
    const stream: StreamHandle = await watch('a')
    fail({ kind: 'refused' })
    const ending = stream.end()
    const controller = new AbortController()
    const left = failureOf(client.flush({ signal: controller.signal }))
    const stays = client.flush()
    await clock.advance(1_000)
    controller.abort('left')
    expect(await left).toBe('left')
    expect(await failureOf(client.flush({ signal: controller.signal }))).toBe('left')
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    expect(client.metrics().events.pending).toBe(1)
    fake.clearFaults()
    await during(clock, stays)
    expect(await ending).toMatchObject({ outcome: 'delivered' })
    const { signal } = new AbortController()
    const timers = clock.pendingCount
    for (let i = 0; i < 100; i += 1) await client.flush({ signal })
    expect([getEventListeners(signal, 'abort').length, clock.pendingCount]).toEqual([0, timers])
  })
})

describe.each([undefined, 30_000])('closing while the circuit is open (resetAfterMs %s)', (resetAfterMs) => {
  it('probes the orchestrator at once and then every 500 ms, and delivers the ends when it answers', async () => {
    const { client, fake, clock, watch, close } = world('2025-10', {
      retry: { attempts: 1 },
      ...(resetAfterMs !== undefined && { circuitBreaker: { resetAfterMs } }),
    })
    for (const id of ['a', 'b', 'c']) await watch(id)
    const outage = fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    for (let i = 0; i < 5; i += 1) await failureOf(client.listStreams())
    expect(client.metrics().circuit).toBe('open')
    const before = fake.counters.requests.total
    const recovery = clock.setTimeout(() => outage.remove(), 2_200)
    const { delivered, undelivered, tookMs } = await close(5_000)
    recovery.cancel()
    expect([delivered, undelivered, fake.liveStreamIds()]).toEqual([3, [], []])
    expect(tookMs).toBe(2_500)
    // Probes at 0, 500, 1,000, 1,500, 2,000 and 2,500 ms, one read of the list that verifies all stalled ends, and three ends.
    expect(fake.counters.requests.total - before).toBe(10)
  })
})
