import type { Cache } from '../../runtime/cache.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { expectFunction, expectOptions, type NamesOf } from '../../runtime/validate.ts'
import { expectSame } from '../state-store/expect.ts'
import { waitRealTime } from './clock.ts'
import { type DescribePortOptions, declareRules, type PortRule, type ProvablePortRule, toRules, toUnderTest } from './contract.ts'

/** A cache to check. */
export interface CacheUnderTest {
  /** The cache. It is empty. */
  readonly cache: Cache
  /** Closes the cache. Called once, after the rule was checked. */
  readonly close?: (() => MaybePromise<unknown>) | undefined
}

/** Makes the cache for one rule; called once for each rule. */
export type CacheFactory = () => MaybePromise<Cache | CacheUnderTest>

const METHODS: readonly (keyof Cache)[] = ['get', 'set', 'delete']
const AFTER_OVERFLOW_MS = 5
const HOUR_MS = 3_600_000
/** A value like those that the client stores: JSON can represent it. */
const VALUE = { version: 1, engines: [{ host: 'größe', port: 6_878, labels: { 'a:b': '' }, streamIds: ['📺', '0'] }], at: 1.5, none: null }
const NAMES: readonly string[] = [
  'a',
  'A',
  'a:b',
  'a:b:c',
  'a b',
  '__proto__',
  'constructor',
  'größe',
  '📺',
  'http://host:8000/?a=b#c',
  'x'.repeat(300),
]

/** Reads a key. A cache may return `undefined` or `null` for a key without a value. */
const read = async (cache: Cache, key: string): Promise<unknown> => (await cache.get(key)) ?? undefined

const RULES: readonly ProvablePortRule<Cache>[] = [
  {
    id: 'K1',
    text: 'get returns undefined or null for a key that was never set',
    async prove(cache) {
      for (const name of NAMES) expectSame(`the value of ${name}`, await read(cache, name), undefined)
    },
  },
  {
    id: 'K2',
    text: 'get returns a JSON value unchanged, however often it is called',
    async prove(cache) {
      await cache.set('key', VALUE, HOUR_MS)
      for (const time of ['first', 'second']) expectSame(`the value read the ${time} time`, await read(cache, 'key'), VALUE)
    },
  },
  {
    id: 'K3',
    text: 'the time to live is in milliseconds, and a value without one does not expire',
    async prove(cache) {
      await cache.set('for ever', VALUE)
      await cache.set('for an hour', VALUE, HOUR_MS)
      await cache.set('for 30 days', VALUE, 30 * 24 * HOUR_MS)
      const keys = ['for ever', 'for an hour', 'for 30 days']
      for (const key of keys) expectSame(`the value kept ${key}`, await read(cache, key), VALUE)
      // A platform timer of more than 24.8 days fires after 1 ms, which is within this wait.
      await waitRealTime(AFTER_OVERFLOW_MS)
      for (const key of keys) expectSame(`the value kept ${key}, a moment later`, await read(cache, key), VALUE)
    },
  },
  {
    id: 'K4',
    text: 'a later value replaces an earlier one',
    async prove(cache) {
      await cache.set('key', { old: true, both: 1 }, HOUR_MS)
      await cache.set('key', { both: 2 }, HOUR_MS)
      expectSame('the value', await read(cache, 'key'), { both: 2 })
    },
  },
  {
    id: 'K5',
    text: 'a deleted key has no value, and it is no error to delete a key that was never set',
    async prove(cache) {
      for (const key of ['kept', 'deleted']) await cache.set(key, VALUE, HOUR_MS)
      await cache.delete('deleted')
      await cache.delete('never set')
      expectSame('the deleted value', await read(cache, 'deleted'), undefined)
      expectSame('the other value', await read(cache, 'kept'), VALUE)
    },
  },
  {
    id: 'K6',
    text: 'keys may have any characters, and no two are confused',
    async prove(cache) {
      for (const name of NAMES) await cache.set(name, { name }, HOUR_MS)
      for (const name of NAMES) expectSame(`the value of ${name}`, await read(cache, name), { name })
    },
  },
]

/** The rules that `describeCache` checks. */
export const CACHE_RULES: readonly PortRule[] = toRules(RULES)

const OPTION_NAMES: NamesOf<DescribePortOptions> = { name: true, describe: true, it: true }

/**
 * Declares one test for every rule that a {@link Cache} must keep. Works with every test runner that has `describe` and `it`.
 *
 * @param factory makes an empty cache; called once for each rule
 * @throws {@link InvalidArgumentError} if `describe` or `it` is neither passed nor global
 *
 * @example
 * import { describe, it } from 'node:test'
 * import { describeCache } from 'acestream-orchestrator-client/testing'
 * import Keyv from 'keyv'
 *
 * describeCache(() => new Keyv(), { name: 'the shared cache', describe, it })
 */
export function describeCache(factory: CacheFactory, options: DescribePortOptions = {}): void {
  expectFunction('factory', factory)
  expectOptions(options, OPTION_NAMES)
  declareRules({ ...options, name: options.name ?? 'a cache' }, RULES, async () => {
    const { cache, close = () => {} } = toUnderTest<CacheUnderTest>('cache', METHODS, await factory())
    return { subject: cache, close }
  })
}
