import { getEventListeners } from 'node:events'
import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type Fault, GENERATIONS, type Generation, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { type RetryPermit, RetryThrottle } from '../../../src/streams/delivery/retry-throttle.ts'
import { connect, during, failureOf, playback, setup } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'
/** Up to this many affected streams, repeats are not limited. */
const FREE = 50
const MINUTE_MS = 60_000
/** Without first attempts, one repeat is granted in this time. */
const GRANT_INTERVAL_MS = 10_000

interface Attempt {
  at: number
  isFirst: boolean
}

/**
 * Fails if the repeated attempts of any minute reach 20 % of its first attempts. A minute with fewer than 60 first attempts may have
 * one more repeat for each ten seconds. Returns how many minutes were checked.
 */
function expectNoRetryStorm(attempts: readonly Attempt[], from: number, until: number): number {
  const inside = attempts.filter(({ at }) => at > from && at <= until)
  // The share is highest in a minute that ends with a repeat, or that begins just after a first attempt.
  const ends = inside.flatMap(({ at }) => [at, at + MINUTE_MS]).filter((end) => end >= from + MINUTE_MS && end <= until)
  for (const end of ends) {
    const counts = { firsts: 0, repeats: 0 }
    for (const { at, isFirst } of inside) if (at > end - MINUTE_MS && at <= end) counts[isFirst ? 'firsts' : 'repeats'] += 1
    const message = `${counts.repeats} repeats to ${counts.firsts} first attempts in the minute before ${end} ms`
    const hasEnoughFirsts = counts.firsts >= 60
    if (hasEnoughFirsts && counts.repeats >= 0.2 * counts.firsts) expect.fail(message)
    if (counts.repeats > 0.2 * counts.firsts + MINUTE_MS / GRANT_INTERVAL_MS) expect.fail(message)
  }
  return ends.length
}

/** Random waits between events, `perSecond` of them on average. */
const gaps = (seed: number, perSecond: number): (() => number) => {
  const random = seededRandom(seed)
  return () => (-Math.log(1 - random()) * 1_000) / perSecond
}

describe('permission to repeat an attempt', () => {
  function world(affected: number) {
    const clock = new ManualClock()
    const throttle = new RetryThrottle(clock)
    const ends = Array.from({ length: affected }, () => throttle.markFailing())
    const granted: number[] = []
    const receipts: RetryPermit[] = []
    const { signal } = new AbortController()
    const startedAt = clock.now()
    const take = async (until = signal): Promise<void> => {
      receipts.push(await throttle.acquire(until))
      granted.push(clock.now() - startedAt)
    }
    const request = (count: number): void => {
      for (let i = 0; i < count; i += 1) void take()
    }
    const first = (times: number): void => {
      for (let i = 0; i < times; i += 1) throttle.countFirstAttempt()
    }
    return { clock, throttle, ends, granted, receipts, signal, take, request, first }
  }

  it('is granted at once and without limit while at most 50 streams are affected', async () => {
    const { clock, granted, request } = world(FREE)
    request(10_000)
    await clock.settle()
    expect([granted.length, clock.pendingCount]).toEqual([10_000, 0])
  })

  it('is granted every 10 s while more than 50 streams are affected and no first attempt is made', async () => {
    const { clock, granted, request } = world(FREE + 1)
    request(100)
    await clock.advance(45_000)
    expect(granted).toEqual([0, 10_000, 20_000, 30_000, 40_000])
    expect(clock.pendingCount).toBe(1)
  })

  it('is granted once for every seven first attempts, as soon as the seventh is made', async () => {
    const { clock, granted, request, first } = world(FREE + 1)
    request(10)
    await clock.settle()
    granted.length = 0
    for (let second = 0; second < 9; second += 1) {
      await clock.advance(1_000)
      first(4)
      await clock.settle()
    }
    // The first grant was made without first attempts. The next seven of them pay for it.
    expect(granted).toEqual([4_000, 6_000, 7_000, 9_000])
  })

  it('is saved for one repeat at most, even after 10,000 first attempts', async () => {
    const { clock, granted, request, first } = world(FREE + 1)
    first(10_000)
    request(100)
    await clock.settle()
    expect(granted).toEqual([0])
    await clock.advance(MINUTE_MS - 1)
    expect(granted.length).toBeLessThanOrEqual(6)
  })

  it.each([1, 2, 3].flatMap((seed) => [0.1, 0.5, 1.5, 4].map((perSecond) => [seed, perSecond] as const)))(
    'stays below 20 % of the first attempts of any minute: seed %i, %d first attempts a second',
    async (seed, perSecond) => {
      const { clock, granted, request, throttle } = world(200)
      const startedAt = clock.now()
      const attempts: Attempt[] = []
      const gap = gaps(seed, perSecond)
      request(5_000)
      while (clock.now() < startedAt + 8 * MINUTE_MS) {
        await clock.advance(gap())
        throttle.countFirstAttempt()
        attempts.push({ at: clock.now() - startedAt, isFirst: true })
      }
      const all = [...attempts, ...granted.map((at) => ({ at, isFirst: false }))]
      expect(expectNoRetryStorm(all, -1, 8 * MINUTE_MS)).toBeGreaterThan(40)
      expect(granted.length).toBeGreaterThanOrEqual(40) // at least one each ten seconds
      expect(granted.length).toBeGreaterThan(0.12 * attempts.length)
    },
  )

  it('is granted in the order of the requests', async () => {
    const { clock, throttle, signal } = world(FREE + 1)
    const order: number[] = []
    for (let i = 0; i < 5; i += 1) void throttle.acquire(signal).then(() => order.push(i))
    await clock.advance(41_000)
    expect(order).toEqual([0, 1, 2, 3, 4])
  })

  it('is granted twice for each repeat that succeeds, so a backlog of 1,000 drains within 60 s', async () => {
    const { clock, receipts, request, granted } = world(1_000)
    request(1_000)
    await clock.advance(9_999)
    expect(granted).toEqual([0])
    for (let second = 0; granted.length < 1_000 && second < 100; second += 1) {
      for (const receipt of receipts.splice(0)) receipt.succeeded()
      await clock.advance(1_000)
    }
    expect((granted.at(-1) ?? 0) - 9_999).toBeLessThan(60_000)
    expect(clock.pendingCount).toBe(0)
  })

  it('is saved for 20 repeats at most by successes', async () => {
    const { clock, receipts, request, granted, take } = world(1_000)
    for (let i = 0; i < 100; i += 1) {
      void take()
      await clock.advance(GRANT_INTERVAL_MS)
    }
    for (const receipt of receipts) receipt.succeeded()
    granted.length = 0
    request(1_000)
    await clock.settle()
    expect(granted).toHaveLength(20)
  })

  it('is credited again if the attempt was not made, and no more than that', async () => {
    const { clock, receipts, request, granted } = world(FREE + 1)
    request(10)
    await clock.settle()
    receipts.pop()?.cancel()
    await clock.settle()
    expect(granted).toEqual([0]) // the credit only settles the debt of the first grant
    await clock.advance(GRANT_INTERVAL_MS)
    expect(granted).toEqual([0, GRANT_INTERVAL_MS])
  })

  it('is not credited again if it was granted without limit', async () => {
    const { clock, throttle, receipts, request, granted } = world(FREE)
    request(40)
    await clock.settle()
    throttle.markFailing()
    for (const receipt of receipts) receipt.cancel()
    granted.length = 0
    request(40)
    await clock.settle()
    expect(granted).toHaveLength(1)
  })

  it('is granted to all requests once only 50 streams are affected, and the next outage starts without savings', async () => {
    const { clock, throttle, ends, receipts, request, granted } = world(FREE + 1)
    request(1_000)
    await clock.settle()
    expect(granted).toHaveLength(1)
    ends[0]?.()
    await clock.settle()
    expect([granted.length, clock.pendingCount]).toEqual([1_000, 0])
    throttle.markFailing()
    for (const receipt of receipts.splice(0)) receipt.succeeded()
    ends[1]?.()
    throttle.markFailing()
    granted.length = 0
    request(100)
    await clock.settle()
    expect(granted).toHaveLength(1)
  })

  it('goes to the next request after an abort, and leaves no listener and no timer', async () => {
    const { clock, throttle, granted, take, request } = world(FREE + 1)
    request(1)
    const controller = new AbortController()
    const aborted = Array.from({ length: 20 }, () => failureOf(take(controller.signal)))
    request(1)
    await clock.advance(5_000)
    controller.abort('left')
    expect(new Set(await Promise.all(aborted))).toEqual(new Set(['left']))
    expect(await failureOf(throttle.acquire(controller.signal))).toBe('left')
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    await clock.advance(5_000)
    expect([granted, clock.pendingCount]).toEqual([[0, 10_000], 0])
  })

  it('goes to the next request if it is granted at the moment of the abort', async () => {
    const { clock, granted, take, request, first } = world(FREE + 1)
    request(1)
    await clock.settle()
    const controller = new AbortController()
    const aborted = failureOf(take(controller.signal))
    request(1)
    await clock.settle()
    first(14)
    controller.abort('left')
    expect(await aborted).toBe('left')
    await clock.settle()
    expect([granted, clock.pendingCount]).toEqual([[0, 0], 0])
  })
})

describe('a client in an outage', () => {
  /** A client with 60 live streams before the outage. `attempts` records each request that sends an event. */
  async function world(seed: number, fault: Fault, options: Partial<OrchestratorClientOptions> = {}, generation: Generation = '2025-10') {
    const { fake, clock } = setup({ generation, engines: 8, maxReplicas: 8, random: seededRandom(seed) })
    const attempts: (Attempt & { event: string })[] = []
    const seen = new Set<string>()
    const transport: OrchestratorClientOptions['transport'] = {
      request: async (request) => {
        if (request.method === 'POST') {
          const { content_id: id = '' } = JSON.parse(request.body ?? '{}') as { content_id?: string }
          const event = `${request.url.pathname} ${id}`
          attempts.push({ at: clock.now(), isFirst: !seen.has(event), event })
          seen.add(event)
        }
        return fake.request(request)
      },
    }
    const client = connect(fake, clock, {
      transport,
      random: seededRandom(seed + 1),
      maxStreamsPerEngine: 1_000,
      staleIfErrorMs: 3_600_000,
      circuitBreaker: false,
      sweepIntervalMs: 0,
      ...options,
    })
    let count = 0
    const start = async () => {
      const streamId = `s${++count}`
      return (await client.acquireEngine({ provision: false })).startStream({ ...playback(streamId), streamId })
    }
    const before = await Promise.all(Array.from({ length: 60 }, start))
    fake.inject({ ...fault, times: Number.POSITIVE_INFINITY, route: [START, END] })
    return { fake, clock, client, attempts, start, before }
  }

  const cases = [
    ...GENERATIONS.map((generation) => ({ generation, fault: { kind: 'lost-request' }, perSecond: 4, seed: 11, circuit: 'off' }) as const),
    { generation: '2025-10', fault: { kind: 'refused' }, perSecond: 2, seed: 12, circuit: 'off' },
    { generation: '2026-04', fault: { kind: 'status', status: 503 }, perSecond: 4, seed: 13, circuit: 'off' },
    { generation: 'v1', fault: { kind: 'status', status: 500 }, perSecond: 0.2, seed: 14, circuit: 'off' },
    { generation: '2025-10', fault: { kind: 'refused' }, perSecond: 4, seed: 15, circuit: 'on' },
    { generation: 'v1', fault: { kind: 'status', status: 502 }, perSecond: 2, seed: 16, circuit: 'on' },
  ] satisfies { generation: Generation; fault: Fault; perSecond: number; seed: number; circuit: 'on' | 'off' }[]

  it.each(cases)(
    '[I7] repeats less than 20 % of the first attempts of any minute while more than 50 streams are affected, and delivers every event in the end: $generation, $fault.kind, $perSecond new ones a second, circuit breaker $circuit',
    async ({ generation, fault, perSecond, seed, circuit }) => {
      const breaker = circuit === 'on' ? { circuitBreaker: { failureThreshold: 5, resetAfterMs: 500 } } : {}
      const { fake, clock, client, attempts, start } = await world(seed, fault, { ...breaker, maxConcurrentRequests: 64 }, generation)
      const starts = Array.from({ length: 2 * FREE }, start)
      await clock.advance(2 * GRANT_INTERVAL_MS)
      const from = clock.now()
      const gap = gaps(seed, perSecond)
      const until = from + 4 * MINUTE_MS
      while (clock.now() < until) {
        await clock.advance(gap())
        // Half of the events are ends of streams that another process started.
        if (attempts.length % 2 === 0) starts.push(start())
        else void client.streamEnded(`theirs-${attempts.length}`)
      }
      await clock.settle()
      expect(client.metrics().events.pending).toBeGreaterThan(FREE)
      expect(expectNoRetryStorm(attempts, from, until)).toBeGreaterThan(80 * perSecond)
      fake.clearFaults()
      await clock.advance(2 * MINUTE_MS)
      const retried = attempts.filter(({ isFirst }) => !isFirst).length
      expect(client.metrics().events).toMatchObject({ pending: 0, retried })
      expect(fake.counters).toMatchObject({ startsApplied: 60 + starts.length, endsApplied: 0, repeatedStarts: 0 })
      const closing = client.close({ timeoutMs: 0 })
      await clock.advance(1)
      await closing
      expect(clock.pendingCount).toBe(0)
    },
  )

  it.each([
    [FREE, 'repeats each attempt as soon as its backoff is over'],
    [FREE + 1, 'makes fewer than 4 attempts for each stream in 2 minutes'],
  ])('with %i affected streams %s', async (count, _) => {
    const { clock, client, attempts, before } = await world(21, { kind: 'refused' })
    const due = new Map<string, number[]>()
    client.on('delivery:retry', ({ streamId, delayMs }) => due.set(streamId, [...(due.get(streamId) ?? []), clock.now() + delayMs]))
    attempts.length = 0
    const ends = before.slice(0, count).map((stream) => stream.end())
    await clock.advance(2 * MINUTE_MS)
    const late = [...due].flatMap(([streamId, times]) => {
      const made = attempts.filter(({ event }) => event.endsWith(`/stream_ended ${streamId}`)).map(({ at }) => at)
      return times.filter((at, index) => at <= clock.now() && made[index + 1] !== at)
    })
    expect(due.size).toBe(count)
    if (count === FREE) {
      expect(late).toEqual([])
      expect(attempts.length).toBeGreaterThan(count * 15)
    } else {
      expect(attempts.length).toBeLessThan(count * 4)
    }
    void ends
    await during(clock, client.close({ timeoutMs: 0 }))
  })
})
