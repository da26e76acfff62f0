import { LRUCache } from 'lru-cache'
import type { Clock } from './clock.ts'
import type { MaybePromise } from './maybe-promise.ts'

/**
 * Where the engine list is kept between calls. A `Keyv` instance is one, so a list can be shared between processes. A cache
 * that fails is treated as empty: it costs a request, never an engine. `describeCache` in `acestream-orchestrator-client/testing` proves one.
 */
export interface Cache {
  get(key: string): MaybePromise<unknown>
  /** `ttlMs`: milliseconds after which the value may be forgotten. */
  set(key: string, value: unknown, ttlMs?: number): MaybePromise<unknown>
  delete(key: string): MaybePromise<unknown>
}

/** More than one list per client is never kept; the rest is room for hosts that share one cache between clients. */
const MAX_ENTRIES = 100

/** The default cache: in this process, by reference, so that reading it costs no copy. */
export class MemoryCache implements Cache {
  readonly #entries: LRUCache<string, NonNullable<unknown>>

  constructor(clock: Clock) {
    // lru-cache takes a start time of 0 for "no TTL", and a virtual clock may well stand at 0.
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
