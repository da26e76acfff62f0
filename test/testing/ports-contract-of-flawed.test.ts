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

/** The test of one rule. */
function testOf(rule: string, declare: Declare): Run | undefined {
  let found: Run | undefined
  const it = (name: string, run: Run): void => {
    if (name.startsWith(`${rule} `)) found = run
  }
  declare({ describe: (_, body) => body(), it })
  return found
}

/** A manual clock with another behaviour in places. */
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
    'a delay of 0 calls back at once',
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
    'a timer is an interval',
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
  ['all delays are one', 'C3', (clock) => ({ setTimeout: (callback) => clock.setTimeout(callback, 1) })],
  [
    'cancelling does nothing',
    'C4',
    (clock) => ({
      setTimeout: (callback, delayMs) => {
        clock.setTimeout(callback, delayMs)
        return nothing
      },
    }),
  ],
  [
    'delays wrap at 2^31, as those of the platform do',
    'C5',
    (clock) => ({ setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs > 2_147_483_647 ? 1 : delayMs) }),
  ],
  [
    'a timer can only be armed while none fires',
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
  ['an unknown key has a value', 'K1', () => ({ get: () => false })],
  ['keys are fields of an object', 'K1', () => ({ get: (key) => ({})[key as never] })],
  ['values are made text', 'K2', (values) => ({ set: (key, value) => values.set(key, String(value)) })],
  [
    'reading takes the value away',
    'K2',
    (values) => ({
      get: (key) => {
        const value = values.get(key)
        values.delete(key)
        return value
      },
    }),
  ],
  ['no time to live is none to live', 'K3', (values) => ({ set: (key, value, ttlMs) => void (ttlMs && values.set(key, value)) })],
  [
    'the time to live is a timer of the platform',
    'K3',
    (values) => ({ set: (key, value, ttlMs = 0) => void (ttlMs <= 2_147_483_647 && values.set(key, value)) }),
  ],
  [
    'a timer of the platform deletes what is too old',
    'K3',
    (values) => ({
      set: (key, value, ttlMs) => {
        values.set(key, value)
        // As the platform itself shortens a delay that is too long, without its warning.
        if (ttlMs !== undefined) setTimeout(() => values.delete(key), ttlMs > 2_147_483_647 ? 1 : ttlMs).unref()
      },
    }),
  ],
  [
    'values are merged',
    'K4',
    (values) => ({ set: (key, value) => values.set(key, { ...(values.get(key) as object), ...(value as object) }) }),
  ],
  ['the first value stays', 'K4', (values) => ({ set: (key, value) => void (values.has(key) || values.set(key, value)) })],
  ['deleting clears all', 'K5', (values) => ({ delete: () => values.clear() })],
  ['deleting does nothing', 'K5', () => ({ delete: () => false })],
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
  ['headers are left out', 'T1', { request: (request) => ky.request({ ...request, headers: {} }) }],
  ['the body is left out', 'T1', { request: ({ body: _, ...request }) => ky.request(request) }],
  [
    'it rejects for a status, as many do',
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
    'bodies are cut off',
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
  ['it retries', 'T4', { request: twice }],
  [
    'every failure is one to connect',
    'T5',
    {
      request: (request) =>
        ky.request(request).catch(() => {
          throw new ConnectionError('failed', { maybeProcessed: false })
        }),
    },
  ],
  [
    'an abort rejects with an error of its own',
    'T6',
    {
      request: (request) =>
        ky.request(request).catch(() => {
          throw new DOMException('aborted', 'AbortError')
        }),
    },
  ],
  [
    'one request is made at a time',
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
    'a time-out is a broken connection',
    'T8',
    {
      request: (request) =>
        ky.request(request).catch(() => {
          throw new ConnectionError('timed out', { maybeProcessed: true })
        }),
    },
  ],
  [
    'a stream is read to its end first',
    'T9',
    {
      request: (request) => ky.request(request),
      stream: async (request) => ({ ...(await ky.stream(request)), body: (async function* () {})() }),
    },
  ],
]

describe('the contract of ports', () => {
  it.each(CLOCK_FLAWS)('a clock of which %s breaks %s', async (_, rule, flaw) => {
    await expect(testOf(rule, (runner) => describeClock(flawedClock(flaw), runner))?.()).rejects.toThrow(/expected .*, got |expected a/)
  })

  it.each(CACHE_FLAWS)('a cache of which %s breaks %s', async (_, rule, flaw) => {
    await expect(testOf(rule, (runner) => describeCache(flawedCache(flaw), runner))?.()).rejects.toThrow(/expected .*, got /)
  })

  it.each(TRANSPORT_FLAWS)('a transport of which %s breaks %s', async (_, rule, transport) => {
    await expect(testOf(rule, (runner) => describeTransport(() => transport, runner))?.()).rejects.toThrow(/expected .*, got |status 400/)
  })

  it.each([
    ['clocks', CLOCK_RULES, CLOCK_FLAWS],
    ['caches', CACHE_RULES, CACHE_FLAWS],
    ['transports', TRANSPORT_RULES, TRANSPORT_FLAWS],
  ])('has no rule of %s that nothing can break', (_, rules, flaws) => {
    const breakable = new Set(flaws.map(([, rule]) => rule))
    expect(rules.filter(({ id }) => !breakable.has(id))).toEqual([])
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length)
  })

  it.each([
    ['describeClock', describeClock],
    ['describeCache', describeCache],
    ['describeTransport', describeTransport],
  ])('%s says what is wrong with its arguments', (_, declare) => {
    expect(() => declare(undefined as never)).toThrow(expect.objectContaining({ argument: 'factory' }))
    expect(() => declare((() => {}) as never, { names: 'x' } as never)).toThrow('did you mean name?')
    expect(() => declare((() => {}) as never, { describe: () => {}, it: 'it' } as never)).toThrow(
      expect.objectContaining({ argument: 'it' }),
    )
  })
})
