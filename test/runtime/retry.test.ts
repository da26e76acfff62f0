import { getEventListeners } from 'node:events'
import {
  CircuitOpenError,
  ConnectionError,
  MalformedResponseError,
  RequestTimeoutError,
  ResponseError,
} from 'acestream-orchestrator-client'
import { ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { parseRetryAfter } from '../../src/orchestrator/timestamps.ts'
import { drawBackoffMs, retryRead } from '../../src/runtime/retry.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

const RETRY = { attempts: 5, baseDelayMs: 200, maxDelayMs: 10_000 }
const refused = new ConnectionError('refused', { maybeProcessed: false })
const busy = (retryAfterMs?: number) => new ResponseError('answered 503', { status: 503, body: '', retryAfterMs })

function world(retry: Partial<typeof RETRY> = {}, random = seededRandom(7)) {
  const clock = new ManualClock()
  return { clock, random, retry: { ...RETRY, ...retry } }
}

describe('the wait after a failure', () => {
  it.each([
    [200, 10_000, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]],
    [50, 60, [50, 60, 60, 60]],
    [500, 100, [100, 100]],
  ])('is random between 0 and %i ms, a bound that doubles with each failure up to %i ms', (baseDelayMs, maxDelayMs, bounds) => {
    const parts = world({ baseDelayMs, maxDelayMs })
    for (const [index, bound] of bounds.entries()) {
      const waits = Array.from({ length: 2_000 }, () => drawBackoffMs(parts, index + 1, refused))
      expect(Math.max(...waits)).toBeLessThan(bound)
      // Full jitter: evenly distributed between 0 and the bound.
      for (let tenth = 0; tenth < 10; tenth += 1) {
        const share = waits.filter((ms) => ms >= (bound * tenth) / 10 && ms < (bound * (tenth + 1)) / 10).length / waits.length
        expect(share).toBeGreaterThan(0.07)
        expect(share).toBeLessThan(0.13)
      }
    }
  })

  it.each([
    [200, 10_000],
    [0, 10_000],
    [0, 0],
  ])('stays within its bounds after up to 100,000 failures, with a base delay of %i ms and at most %i ms', (baseDelayMs, maxDelayMs) => {
    const parts = world({ baseDelayMs, maxDelayMs }, () => 0.999_999)
    for (const failures of [1, 30, 1_024, 1_025, 100_000]) {
      const ms = drawBackoffMs(parts, failures, refused)
      expect(ms).toBeGreaterThanOrEqual(0)
      expect(ms).toBeLessThanOrEqual(baseDelayMs === 0 ? 0 : maxDelayMs)
    }
  })

  it('is the Retry-After of the orchestrator, shorter or longer than usual, and 60 s at most', () => {
    const parts = world({ baseDelayMs: 5_000 }, () => 0.5)
    expect(drawBackoffMs(parts, 1, busy(1))).toBe(1)
    expect(drawBackoffMs(parts, 1, busy(60_000))).toBe(60_000)
    expect(drawBackoffMs(parts, 1, busy(60_001))).toBe(60_000)
    expect(drawBackoffMs(parts, 1, busy(99_999_999_999_000))).toBe(60_000)
    expect(drawBackoffMs(parts, 1, busy())).toBe(2_500)
  })

  it('is the usual backoff for a Retry-After of 0: no retry is sent without a pause', () => {
    expect(
      drawBackoffMs(
        world({}, () => 0.5),
        3,
        busy(0),
      ),
    ).toBe(400)
  })
})

describe('Retry-After', () => {
  const NOW_MS = Date.UTC(2026, 0, 1)

  it.each([
    ['0', 0],
    ['7', 7_000],
    [' 7 ', 7_000],
    ['1.5', 1_500],
    ['0.0001', 1],
    ['86400', 86_400_000],
    ['99999999999', 99_999_999_999_000],
    ['Thu, 01 Jan 2026 00:00:12 GMT', 12_000],
    ['Thu, 01 Jan 2026 00:00:00 GMT', 0],
    ['Wed, 31 Dec 2025 23:59:59 GMT', 0],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', Date.UTC(9999, 11, 31, 23, 59, 59) - NOW_MS],
  ])('is valid as %j', (value, ms) => {
    expect(parseRetryAfter(new Headers({ 'retry-after': value }), NOW_MS)).toBe(ms)
  })

  it.each([
    null,
    '',
    ' ',
    'soon',
    '-5',
    '+5',
    '1e3',
    '0x10',
    'NaN',
    'Infinity',
    '5s',
    '5, 7',
    '9'.repeat(16),
    '9'.repeat(400),
    '2026-01-01T00:00:12Z',
    'Thu, 01 Jan 2026 00:00:12 CET',
    'Thu, 01 Jan 2026',
    'Thu, 01 Foo 2026 00:00:12 GMT',
    'Thu, 99 Jan 2026 00:00:12 GMT',
    'Thu, 01 Jan 2026 99:00:12 GMT',
  ])('is ignored as invalid: %j', (value) => {
    expect(parseRetryAfter(new Headers(value === null ? {} : { 'retry-after': value }), NOW_MS)).toBeUndefined()
  })

  it.each([
    ['Thu, 01 Jan 2026 02:00:00 GMT', 12_000],
    ['Wed, 31 Dec 2025 22:00:00 GMT', 4 * 3_600_000 + 12_000],
    ['Thu, 01 Jan 2026 03:00:00 GMT', 0],
    ['nonsense', 2 * 3_600_000 + 12_000],
  ])("is relative to the response's own Date %j if it is a date, or to the local clock if that Date is invalid", (date, ms) => {
    expect(parseRetryAfter(new Headers({ 'retry-after': 'Thu, 01 Jan 2026 02:00:12 GMT', date }), NOW_MS)).toBe(ms)
  })
})

describe('a read that fails', () => {
  /** Fails with these errors, one after the other, then succeeds. */
  function failing(clock: ManualClock, ...errors: readonly Error[]) {
    const begunAt = clock.now()
    const at: number[] = []
    const attempt = async (): Promise<string> => {
      const error = errors[at.length]
      at.push(clock.now() - begunAt)
      if (error !== undefined) throw error
      return 'answer'
    }
    return { at, attempt }
  }
  const neverAborted = new AbortController().signal

  it('is retried after longer and longer waits until it succeeds', async () => {
    const parts = world({}, () => 0.5)
    const { at, attempt } = failing(
      parts.clock,
      refused,
      new RequestTimeoutError('late', { timeoutMs: 1 }),
      new MalformedResponseError('?'),
      busy(),
    )
    expect(await during(parts.clock, retryRead(parts, neverAborted, attempt), 1)).toBe('answer')
    expect(at).toEqual([0, 100, 300, 700, 1_500])
  })

  it('is retried as often as allowed, and rejects with the error of the last attempt', async () => {
    const last = new ConnectionError('the last', { maybeProcessed: true })
    const parts = world({ attempts: 3 })
    const { at, attempt } = failing(parts.clock, refused, busy(), last, refused)
    expect(await during(parts.clock, failureOf(retryRead(parts, neverAborted, attempt)))).toBe(last)
    expect([at.length, parts.clock.pendingCount]).toEqual([3, 0])
  })

  it.each([
    ['status 404', new ResponseError('answered 404', { status: 404, body: '' })],
    ['an open circuit', new CircuitOpenError('open', { retryAfterMs: 10 })],
    ['an error that is not of the library', new TypeError('a bug')],
    ['a Retry-After above maxDelayMs', busy(10_001)],
    ['a Retry-After of a hundred years', busy(3_155_692_600_000)],
  ])('is not retried after %s', async (_, error) => {
    const parts = world()
    const { at, attempt } = failing(parts.clock, error)
    expect(await failureOf(retryRead(parts, neverAborted, attempt))).toBe(error)
    expect([at, parts.clock.pendingCount]).toEqual([[0], 0])
  })

  it('is retried exactly after the time of Retry-After', async () => {
    const parts = world()
    const { at, attempt } = failing(parts.clock, busy(10_000), busy(1), busy(777))
    expect(await during(parts.clock, retryRead(parts, neverAborted, attempt), 1)).toBe('answer')
    expect(at).toEqual([0, 10_000, 10_001, 10_778])
  })

  it('rejects with its own error if the circuit opens before the retry', async () => {
    const parts = world()
    const { attempt } = failing(parts.clock, refused, new CircuitOpenError('open', { retryAfterMs: 10 }))
    expect(await during(parts.clock, failureOf(retryRead(parts, neverAborted, attempt)))).toBe(refused)
  })

  it('is not retried any more as soon as the callback returns true', async () => {
    const parts = world()
    const { at, attempt } = failing(parts.clock, refused, refused, refused)
    const reported: unknown[] = []
    const work = retryRead(parts, neverAborted, attempt, (error) => reported.push(error) === 2)
    expect(await during(parts.clock, failureOf(work))).toBe(refused)
    expect([at.length, reported]).toEqual([2, [refused, refused]])
  })

  it('rejects with the reason of an abort during its wait, and leaves neither a timer nor a listener', async () => {
    const parts = world({}, () => 0.5)
    const controller = new AbortController()
    const { at, attempt } = failing(parts.clock, refused, refused)
    const work = failureOf(retryRead(parts, controller.signal, attempt))
    await parts.clock.advance(99)
    expect([at, parts.clock.pendingCount]).toEqual([[0], 1])
    controller.abort('left')
    expect(parts.clock.pendingCount).toBe(0)
    expect(await work).toBe('left')
    await parts.clock.advance(60_000)
    expect(at).toEqual([0])
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })

  it('is not retried if it was aborted during the attempt', async () => {
    const parts = world()
    const controller = new AbortController()
    const attempt = async (): Promise<never> => {
      controller.abort('left')
      throw refused
    }
    expect(await failureOf(retryRead(parts, controller.signal, attempt))).toBe(refused)
    expect(parts.clock.pendingCount).toBe(0)
  })

  it('leaves no listener on a signal that 100 reads share', async () => {
    const parts = world()
    const { signal } = new AbortController()
    for (let call = 0; call < 100; call += 1) {
      await during(parts.clock, retryRead(parts, signal, failing(parts.clock, refused, busy(5)).attempt))
    }
    expect([getEventListeners(signal, 'abort').length, parts.clock.pendingCount]).toEqual([0, 0])
  })
})

describe('a client whose orchestrator fails', () => {
  const EVERY_TIME = { times: Number.POSITIVE_INFINITY }

  it('waits for the list exactly as long as the waitMs of each caller, and leaves no timer afterwards', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { sweepIntervalMs: 0, watch: false, circuitBreaker: false, random: () => 0.999 })
    fake.inject({ kind: 'refused', ...EVERY_TIME })
    const from = clock.now()
    for (const waitMs of [0, 250, 900]) {
      const asked = clock.now()
      const error = await during(clock, failureOf(client.acquireEngine({ waitMs })), 1)
      expect([error, clock.now() - asked]).toMatchObject([{ code: 'CONNECTION' }, waitMs])
    }
    expect(clock.now() - from).toBe(1_150) // all three callers shared one refresh, which goes on without them
    await clock.advance(10_000)
    expect([fake.counters.requests.total, clock.pendingCount]).toEqual([5, 0])
    const patient = client.acquireEngine({ waitMs: 60_000 })
    await clock.advance(100)
    fake.clearFaults()
    await during(clock, patient)
    await client.close()
    expect(clock.pendingCount).toBe(0)
  })

  it('rejects a call that is aborted before its retry, and leaves no timer when it is closed', async () => {
    const { client, fake, clock } = setup(
      {},
      { sweepIntervalMs: 0, dialect: 'unversioned', retry: { baseDelayMs: 5_000 }, random: () => 0.5 },
    )
    fake.inject({ kind: 'status', headers: { 'Retry-After': '9' }, ...EVERY_TIME })
    const controller = new AbortController()
    const calls = [
      client.listStreams({}, { signal: controller.signal }),
      client.listEngines({ signal: controller.signal }),
      client.checkHealth({ signal: controller.signal }),
    ].map(failureOf)
    const other = failureOf(client.listStreams())
    await clock.advance(1_000)
    expect(fake.counters.requests.total).toBe(4)
    controller.abort('left')
    expect(await Promise.all(calls)).toEqual(['left', 'left', 'left'])
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    await client.close()
    expect(await other).toMatchObject({ code: 'CLIENT_CLOSED' })
    await clock.settle()
    expect([fake.counters.requests.total, clock.pendingCount]).toEqual([4, 0])
  })

  it.each([
    ['0 s', '0'],
    ['a past date', 'Thu, 01 Jan 1970 00:00:00 GMT'],
    ['an invalid date', 'Thu, 99 Jan 2026 00:00:12 GMT'],
    ['nonsense', 'soon'],
  ])('pauses between retries even if the orchestrator sends a Retry-After of %s', async (_, value) => {
    const { client, fake, clock } = setup({ engines: 1 }, { circuitBreaker: false, staleIfErrorMs: 600_000 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'status', headers: { 'Retry-After': value }, ...EVERY_TIME })
    const waits: number[] = []
    client.on('delivery:retry', ({ delayMs }) => waits.push(delayMs))
    const ending = stream.end()
    await clock.advance(60_000)
    expect(waits.length).toBeGreaterThan(6)
    expect(waits.length).toBeLessThan(30)
    for (const [index, ms] of waits.entries()) {
      expect(ms).toBeGreaterThan(0)
      expect(ms).toBeLessThan(Math.min(10_000, 200 * 2 ** index))
    }
    fake.clearFaults()
    expect(await during(clock, ending)).toMatchObject({ outcome: 'delivered' })
  })

  it('gives an event up after deliveryTimeoutMs, even if Retry-After asks for a longer wait', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { deliveryTimeoutMs: 90_000, sweepIntervalMs: 0 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ kind: 'status', headers: { 'Retry-After': '99999999999' }, ...EVERY_TIME })
    const from = clock.now()
    // A stalled end verifies its stream before the next attempt, and that request fails too.
    const ended = await during(clock, stream.end())
    expect([ended, clock.now() - from]).toMatchObject([{ outcome: 'undeliverable', attempts: 1 }, 90_000])
    expect(clock.pendingCount).toBe(0)
  })
})
