import { LRUCache } from 'lru-cache'
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

/** The default cache, in this process. It keeps values by reference, so a read copies nothing. */
export class MemoryCache implements Cache {
  readonly #entries: LRUCache<string, NonNullable<unknown>>

  constructor(clock: Clock) {
    // lru-cache takes a start time of 0 for "no TTL", and a virtual clock may start at 0.
    this.#entries = new LRUCache({ max: MAX_ENTRIES, ttlResolution: 0, perf: { now: () => clock.now() + 1 } })
  }

  get(key: string): unknown {
    return this.#entries.get(key)
  }

  set(key: string, value: unknown, ttlMs?: number): void {
    if (value === undefined || value === null) this.#entries.delete(key)
    else this.#entries.set(key, value, ttlMs === undefined ? {} : { ttl: ttlMs })
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
