import { type Cache, type Clock, ConnectionError, KyTransport, type Timer, type Transport } from 'acestream-orchestrator-client'
import {
  CACHE_RULES,
  CLOCK_RULES,
  describeCache,
  describeClock,
  describeTransport,
  ManualClock,
  TRANSPORT_RULES,
} from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'

type Run = () => Promise<void>
type Declare = (options: { describe: (name: string, body: () => void) => void; it: (name: string, run: Run) => void }) => void

/** Returns the test that is declared for one rule. */
function testOf(rule: string, declare: Declare): Run | undefined {
  let found: Run | undefined
  const it = (name: string, run: Run): void => {
    if (name.startsWith(`${rule} `)) found = run
  }
  declare({ describe: (_, body) => body(), it })
  return found
}

/** A manual clock with one flaw. */
const flawedClock = (flaw: (clock: ManualClock) => Partial<Clock>) => () => {
  const manual = new ManualClock()
  const clock: Clock = {
    now: () => manual.now(),
    monotonic: () => manual.monotonic(),
    setTimeout: (callback, delayMs) => manual.setTimeout(callback, delayMs),
    ...flaw(manual),
  }
  return { clock, advance: (ms: number) => manual.advance(ms), stepWallClock: (deltaMs: number) => manual.stepWallClock(deltaMs) }
}

const nothing: Timer = { cancel: () => {} }

const CLOCK_FLAWS: [name: string, rule: string, flaw: (clock: ManualClock) => Partial<Clock>][] = [
  ['now() is in seconds', 'C1', (clock) => ({ now: () => clock.now() / 1_000 })],
  ['monotonic() stands still', 'C1', () => ({ monotonic: () => 5 })],
  ['monotonic() is in microseconds', 'C1', (clock) => ({ monotonic: () => clock.monotonic() * 1_000 })],
  ['now() is in microseconds', 'C1', (clock) => ({ now: () => clock.now() * 1_000 })],
  ['now() is no number', 'C1', () => ({ now: () => Number.NaN })],
  [
    'a timer with a delay of 0 fires inside setTimeout',
    'C2',
    (clock) => ({
      setTimeout: (callback, delayMs) => {
        if (delayMs > 0) return clock.setTimeout(callback, delayMs)
        callback()
        return nothing
      },
    }),
  ],
  [
    'a timer that keeps the process alive never fires',
    'C2',
    (clock) => ({ setTimeout: (callback, delayMs, options) => (options?.keepsAlive ? nothing : clock.setTimeout(callback, delayMs)) }),
  ],
  [
    'a timer fires again and again',
    'C2',
    (clock) => ({
      setTimeout: (callback, delayMs) => {
        const again = (): void => {
          callback()
          clock.setTimeout(again, Math.max(1, delayMs))
        }
        return clock.setTimeout(again, delayMs)
      },
    }),
  ],
  ['every delay is 1 ms', 'C3', (clock) => ({ setTimeout: (callback) => clock.setTimeout(callback, 1) })],
  [
    'cancel does nothing',
    'C4',
    (clock) => ({
      setTimeout: (callback, delayMs) => {
        clock.setTimeout(callback, delayMs)
        return nothing
      },
    }),
  ],
  [
    'a delay of more than 24.8 days becomes 1 ms, as on the platform',
    'C5',
    (clock) => ({ setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs > 2_147_483_647 ? 1 : delayMs) }),
  ],
  [
    'a timer that is armed inside a callback never fires',
    'C6',
    (clock) => {
      let isFiring = false
      return {
        setTimeout: (callback, delayMs) =>
          isFiring
            ? nothing
            : clock.setTimeout(() => {
                isFiring = true
                callback()
                isFiring = false
              }, delayMs),
      }
    },
  ],
  ['monotonic() is the wall clock', 'C7', (clock) => ({ monotonic: () => clock.now() })],
]

const CACHE_FLAWS: [name: string, rule: string, flaw: (values: Map<string, unknown>) => Partial<Cache>][] = [
  ['get returns false for an unknown key', 'K1', () => ({ get: () => false })],
  ['get returns inherited fields of an object', 'K1', () => ({ get: (key) => ({})[key as never] })],
  ['values are converted to text', 'K2', (values) => ({ set: (key, value) => values.set(key, String(value)) })],
  [
    'get removes the value',
    'K2',
    (values) => ({
      get: (key) => {
        const value = values.get(key)
        values.delete(key)
        return value
      },
    }),
  ],
  [
    'a value without a time to live is not stored',
    'K3',
    (values) => ({ set: (key, value, ttlMs) => void (ttlMs && values.set(key, value)) }),
  ],
  [
    'a value with a time to live of more than 24.8 days is not stored',
    'K3',
    (values) => ({ set: (key, value, ttlMs = 0) => void (ttlMs <= 2_147_483_647 && values.set(key, value)) }),
  ],
  [
    'a platform timer for more than 24.8 days deletes the value after 1 ms',
    'K3',
    (values) => ({
      set: (key, value, ttlMs) => {
        values.set(key, value)
        // The platform shortens such a delay to 1 ms itself, but with a warning.
        if (ttlMs !== undefined) setTimeout(() => values.delete(key), ttlMs > 2_147_483_647 ? 1 : ttlMs).unref()
      },
    }),
  ],
  [
    'a later value is merged into an earlier one',
    'K4',
    (values) => ({ set: (key, value) => values.set(key, { ...(values.get(key) as object), ...(value as object) }) }),
  ],
  [
    'a later value does not replace the first one',
    'K4',
    (values) => ({ set: (key, value) => void (values.has(key) || values.set(key, value)) }),
  ],
  ['delete clears the whole cache', 'K5', (values) => ({ delete: () => values.clear() })],
  ['delete does nothing', 'K5', () => ({ delete: () => false })],
  [
    'keys ignore case',
    'K6',
    (values) => ({ get: (key) => values.get(key.toLowerCase()), set: (key, value) => values.set(key.toLowerCase(), value) }),
  ],
]

const flawedCache = (flaw: (values: Map<string, unknown>) => Partial<Cache>) => (): Cache => {
  const values = new Map<string, unknown>()
  return {
    get: (key) => values.get(key),
    set: (key, value) => values.set(key, value),
    delete: (key) => values.delete(key),
    ...flaw(values),
  }
}

const ky = new KyTransport()
const twice = async (request: Parameters<Transport['request']>[0]) => {
  const answer = await ky.request(request).catch(() => undefined)
  return answer === undefined || answer.status >= 500 ? ky.request(request) : answer
}

const TRANSPORT_FLAWS: [name: string, rule: string, flawed: Transport][] = [
  ['the headers are not sent', 'T1', { request: (request) => ky.request({ ...request, headers: {} }) }],
  ['the body is not sent', 'T1', { request: ({ body: _, ...request }) => ky.request(request) }],
  [
    'a status of 400 or more rejects',
    'T2',
    {
      request: async (request) => {
        const answer = await ky.request(request)
        if (answer.status >= 400) throw new Error(`status ${answer.status}`)
        return answer
      },
    },
  ],
  [
    'bodies are cut off after 65,536 characters',
    'T2',
    { request: async (request) => ({ ...(await ky.request(request)), body: (await ky.request(request)).body.slice(0, 65_536) }) },
  ],
  [
    'redirects are followed',
    'T3',
    {
      request: async ({ url, method, headers, body = null, signal = null }) => {
        const answer = await fetch(url, { method, headers, body, signal })
        return { status: answer.status, headers: answer.headers, body: await answer.text() }
      },
    },
  ],
  ['a failed request is retried', 'T4', { request: twice }],
  [
    'every failure claims that the request was not processed',
    'T5',
    {
      request: (request) =>
        ky.request(request).catch(() => {
          throw new ConnectionError('failed', { maybeProcessed: false })
        }),
    },
  ],
  [
    'an abort does not reject with the reason of the signal',
    'T6',
    {
      request: (request) =>
        ky.request(request).catch(() => {
          throw new DOMException('aborted', 'AbortError')
        }),
    },
  ],
  [
    'requests are sent one after the other',
    'T7',
    (() => {
      let last: Promise<unknown> = Promise.resolve()
      return {
        request: (request) => {
          const answer = last.then(() => ky.request({ ...request, timeoutMs: 200 }))
          last = answer.catch(() => undefined)
          return Promise.race([
            answer,
            new Promise<never>((_, reject) => request.signal?.addEventListener('abort', () => reject(request.signal?.reason))),
          ])
        },
      }
    })(),
  ],
  [
    'a time-out rejects with a ConnectionError',
    'T8',
    {
      request: (request) =>
        ky.request(request).catch(() => {
          throw new ConnectionError('timed out', { maybeProcessed: true })
        }),
    },
  ],
  [
    'the body of a stream ends at once',
    'T9',
    {
      request: (request) => ky.request(request),
      stream: async (request) => ({ ...(await ky.stream(request)), body: (async function* () {})() }),
    },
  ],
  [
    'a stream is answered only once its body has ended',
    'T9',
    {
      request: (request) => ky.request(request),
      stream: async (request) => {
        const answer = await ky.stream(request)
        const pieces: (string | Uint8Array)[] = []
        for await (const piece of answer.body) pieces.push(piece)
        return {
          ...answer,
          body: (async function* () {
            yield* pieces
          })(),
        }
      },
    },
  ],
  [
    'an abort does not end the body of a stream',
    'T9',
    {
      request: (request) => ky.request(request),
      stream: async (request) => {
        const { signal: _, ...rest } = request
        return ky.stream(rest)
      },
    },
  ],
]

describe('the contract tests of ports', () => {
  it.each(CLOCK_FLAWS)('describeClock detects that %s (rule %s)', async (_, rule, flaw) => {
    await expect(testOf(rule, (runner) => describeClock(flawedClock(flaw), runner))?.()).rejects.toThrow(/expected .*, got |expected a/)
  })

  it.each(CACHE_FLAWS)('describeCache detects that %s (rule %s)', async (_, rule, flaw) => {
    await expect(testOf(rule, (runner) => describeCache(flawedCache(flaw), runner))?.()).rejects.toThrow(/expected .*, got /)
  })

  it.each(TRANSPORT_FLAWS)('describeTransport detects that %s (rule %s)', async (_, rule, transport) => {
    await expect(testOf(rule, (runner) => describeTransport(() => transport, runner))?.()).rejects.toThrow(/expected .*, got |status 400/)
  })

  it.each([
    ['clocks', CLOCK_RULES, CLOCK_FLAWS],
    ['caches', CACHE_RULES, CACHE_FLAWS],
    ['transports', TRANSPORT_RULES, TRANSPORT_FLAWS],
  ])('have only rules of %s that one of these flaws breaks, and unique rule ids', (_, rules, flaws) => {
    const breakable = new Set(flaws.map(([, rule]) => rule))
    expect(rules.filter(({ id }) => !breakable.has(id))).toEqual([])
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length)
  })

  it.each([
    ['describeClock', describeClock],
    ['describeCache', describeCache],
    ['describeTransport', describeTransport],
  ])('%s names the invalid argument', (_, declare) => {
    expect(() => declare(undefined as never)).toThrow(expect.objectContaining({ argument: 'factory' }))
    expect(() => declare((() => {}) as never, { names: 'x' } as never)).toThrow('did you mean name?')
    expect(() => declare((() => {}) as never, { describe: () => {}, it: 'it' } as never)).toThrow(
      expect.objectContaining({ argument: 'it' }),
    )
  })
})
