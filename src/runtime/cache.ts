import type { LRUCache } from 'lru-cache'
import { Chunk } from './chunk.ts'
import type { Clock } from './clock.ts'
import type { MaybePromise } from './maybe-promise.ts'

/**
 * Keeps the engine list between calls. A `Keyv` instance is a cache, so several processes can share a list. A cache that fails counts as
 * empty: the client requests a list instead. Test a cache of your own with `describeCache` of `acestream-orchestrator-client/testing`.
 */
export interface Cache {
  /** The value of a key, or `undefined` (or `null`) if there is none. */
  get(key: string): MaybePromise<unknown>
  /**
   * Stores a value. `undefined` or `null` may delete the key.
   *
   * @param ttlMs milliseconds after which the cache may forget the value @default no limit
   */
  set(key: string, value: unknown, ttlMs?: number): MaybePromise<unknown>
  /** Forgets the value of a key. */
  delete(key: string): MaybePromise<unknown>
}

/** A client keeps one list. The other entries are for hosts that share one cache between clients. */
const MAX_ENTRIES = 100

/** The library that keeps the entries. */
const lruChunk: Chunk<typeof import('lru-cache')> = new Chunk('lru-cache', () => import('lru-cache'))

/** The default cache, in this process. It keeps values by reference, so a read copies nothing. Its first read loads `lru-cache`. */
export class MemoryCache implements Cache {
  readonly #clock: Clock
  /** `undefined` while nothing is stored. */
  #entries: LRUCache<string, NonNullable<unknown>> | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(key: string): unknown {
    // A read without a result is followed by a request for the list. Meanwhile the library is loaded, so that the list can be stored at once.
    if (lruChunk.code === undefined) lruChunk.load().catch(() => {})
    return this.#entries?.get(key)
  }

  set(key: string, value: unknown, ttlMs?: number): MaybePromise<void> {
    if (value === undefined || value === null) return this.delete(key)
    const code = lruChunk.code
    if (code === undefined) return lruChunk.load().then(() => this.set(key, value, ttlMs))
    // lru-cache takes a start time of 0 for "no TTL", and a virtual clock may start at 0.
    this.#entries ??= new code.LRUCache({ max: MAX_ENTRIES, ttlResolution: 0, perf: { now: () => this.#clock.now() + 1 } })
    this.#entries.set(key, value, ttlMs === undefined ? {} : { ttl: ttlMs })
  }

  delete(key: string): MaybePromise<void> {
    // After the values that wait for the library.
    if (lruChunk.code === undefined) return lruChunk.load().then(() => this.delete(key))
    this.#entries?.delete(key)
  }
}
