import { type Cache, type Clock, KyTransport, MemoryStore, type StateStore, type Transport } from 'acestream-orchestrator-client'
import {
  describeCache,
  describeClock,
  describeStateStore,
  describeTransport,
  FakeOrchestrator,
  ManualClock,
} from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../support/setup.ts'

type Run = () => Promise<void>
type Runner = { describe: (name: string, body: () => void) => void; it: (name: string, run: Run) => void }

/** Returns the declared tests by the id of their rule. */
function testsOf(declare: (runner: Runner) => void): Map<string, Run> {
  const tests = new Map<string, Run>()
  declare({ describe: (_, body) => body(), it: (name, run) => void tests.set(name.split(' ')[0] ?? '', run) })
  return tests
}

const run = (rule: string, declare: (runner: Runner) => void): Promise<void> | undefined => testsOf(declare).get(rule)?.()

/** A wrapper around a correct cache. A flawed wrapper returns no value. */
const wrappedCache = (isFlawed: boolean): Cache => {
  const cache = new Map<string, unknown>()
  const get = (key: string): unknown => (isFlawed ? undefined : cache.get(key))
  return Object.assign({ get, set: cache.set.bind(cache), delete: cache.delete.bind(cache) }, { cache })
}

const wrappedClock = (isFlawed: boolean): Clock & { clock: ManualClock } => {
  const clock = new ManualClock()
  const setTimeout: Clock['setTimeout'] = (callback, delayMs) => clock.setTimeout(callback, isFlawed ? delayMs * 1_000 : delayMs)
  return { clock, now: () => clock.now(), setTimeout }
}

const wrappedTransport = (isFlawed: boolean): Transport => {
  const transport = new KyTransport()
  const headers = isFlawed ? { headers: {} } : {}
  const request: Transport['request'] = (wanted) => transport.request({ ...wanted, ...headers })
  return Object.assign({ request }, { transport })
}

class WrappedStore extends MemoryStore {
  readonly store: StateStore = new MemoryStore()
}

class ForgetfulStore extends WrappedStore {
  override take(): string | undefined {
    return undefined
  }
}

describe('a wrapper that keeps the wrapped port in a field with the name of the port', () => {
  it('is checked as a cache, not the cache inside', async () => {
    await expect(run('K2', (runner) => describeCache(() => wrappedCache(true), runner))).rejects.toThrow(/expected .*, got undefined/)
    await expect(run('K2', (runner) => describeCache(() => wrappedCache(false), runner))).resolves.toBeUndefined()
  })

  it('is checked as a clock, not the clock inside', async () => {
    const prove = (isFlawed: boolean) =>
      run('C2', (runner) => {
        const wrapped = wrappedClock(isFlawed)
        describeClock(() => ({ clock: wrapped, advance: (ms) => wrapped.clock.advance(ms) }), runner)
      })
    await expect(prove(true)).rejects.toThrow(/timers that fired: expected/)
    await expect(prove(false)).resolves.toBeUndefined()
    const bare = { ...wrappedClock(false), now: () => Number.NaN }
    await expect(run('C1', (runner) => describeClock(() => bare, runner))).rejects.toThrow(/now\(\): expected finite numbers, got NaN/)
  })

  it('is checked as a transport, not the transport inside', async () => {
    await expect(run('T1', (runner) => describeTransport(() => wrappedTransport(true), runner))).rejects.toThrow(/expected .*, got /)
    await expect(run('T1', (runner) => describeTransport(() => wrappedTransport(false), runner))).resolves.toBeUndefined()
  })

  it('is checked as a store, not the store inside', async () => {
    const failures = async (make: () => StateStore) => {
      const tests = [...testsOf((runner) => describeStateStore(make, runner)).values()]
      return (await Promise.allSettled(tests.map((test) => test()))).filter(({ status }) => status === 'rejected').length
    }
    expect(await failures(() => new WrappedStore())).toBe(0)
    expect(await failures(() => new ForgetfulStore())).toBeGreaterThan(0)
  })
})

it('a cache with a field named cache that holds settings is checked itself', async () => {
  const cache = Object.assign(new Map<string, unknown>(), { cache: { size: 5 } })
  await expect(run('K2', (runner) => describeCache(() => cache, runner))).resolves.toBeUndefined()
})

describe('a factory that returns no valid port', () => {
  const lacking: [name: string, declare: (runner: Runner, make: () => never) => void, expected: string][] = [
    ['cache', (runner, make) => describeCache(make, runner), 'a cache, or { cache }: an object with get, set, delete'],
    ['clock', (runner, make) => describeClock(make, runner), 'a clock, or { clock }: an object with now, setTimeout'],
    ['transport', (runner, make) => describeTransport(make, runner), 'a transport, or { transport }: an object with request'],
    ['store', (runner, make) => describeStateStore(make, runner), 'a store, or { store }: an object with take, '],
  ]
  it.each(lacking)('is rejected, and the error says what the factory of a %s must return', async (name, declare, expected) => {
    for (const made of [undefined, null, 5, 'port', {}, { [name]: undefined }, { [name]: {} }]) {
      const [test] = testsOf((runner) => declare(runner, () => made as never)).values()
      const message = `factory: expected a function that returns ${expected}`
      expect(await failureOf(test?.() ?? Promise.resolve())).toMatchObject({
        code: 'INVALID_ARGUMENT',
        argument: 'factory',
        message: expect.stringContaining(message),
      })
    }
  })

  it('is rejected, and the error names the missing method, even if the port wraps a complete one', async () => {
    const { delete: _, ...half } = wrappedCache(false)
    const failure = await failureOf(run('K1', (runner) => describeCache(() => half as never, runner)) ?? Promise.resolve())
    expect(failure).toMatchObject({ argument: 'factory', message: expect.stringContaining('this cache has no method delete') })
  })
})

it('the fake orchestrator itself passes the tests of a transport', async () => {
  await expect(run('T2', (runner) => describeTransport((fake) => fake, runner))).resolves.toBeUndefined()
  expect(new FakeOrchestrator()).toHaveProperty('request')
})
