import type { Clock } from '../../runtime/clock.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** How long a pushed list is fresh, milliseconds. v1 pushes once a second, so up to two pushes may be lost or late. */
export const PUSH_FRESH_MS = 3_000
/** How long callers wait for the first push of a connection instead of requesting a list. */
export const FIRST_PUSH_MS = 1_000

/** Dependencies and options of {@link Freshness}. */
export interface FreshnessParts {
  clock: Clock
  /** Milliseconds. */
  cacheTtlMs: number
  /** Milliseconds. */
  staleIfErrorMs: number
}

/**
 * All rules about the age of an engine list:
 *
 * - A list that was requested is fresh for `cacheTtlMs`, a list that was pushed for 3 s. A fresh list is served without a request.
 * - A list is *covered by pushes* while it is younger than 3 s and was pushed, or a push is expected soon. A covered list is fresh; and a
 *   caller that needs a newer list waits for the next push instead of requesting one.
 * - A list that is no longer fresh is *servable* until `cacheTtlMs` + `staleIfErrorMs`: while a refresh fails or is slow.
 */
export class Freshness {
  readonly #parts: FreshnessParts
  #pushExpectedUntil = Number.NEGATIVE_INFINITY

  constructor(parts: FreshnessParts) {
    this.#parts = parts
  }

  /** Expects a push before `time`, milliseconds by the client's clock. A time in the past: no push is expected any more. */
  expectPush(time: number): void {
    this.#pushExpectedUntil = time
  }

  /** Whether the list is served without a request. */
  isFresh(snapshot: EngineSnapshot): boolean {
    return this.#ageMs(snapshot) < (isPushed(snapshot) ? PUSH_FRESH_MS : this.#parts.cacheTtlMs) || this.isCoveredByPushes(snapshot)
  }

  /** Whether pushes replace this list soon enough, so that no list needs to be requested. */
  isCoveredByPushes(snapshot: EngineSnapshot): boolean {
    return this.coveredForMs(snapshot) > 0
  }

  /** For how long the list stays covered by pushes if no push arrives, milliseconds. */
  coveredForMs(snapshot: EngineSnapshot): number {
    const isExpected = this.#pushExpectedUntil !== Number.NEGATIVE_INFINITY
    if (!isPushed(snapshot) && !isExpected) return 0
    const pushFreshForMs = PUSH_FRESH_MS - this.#ageMs(snapshot)
    if (isPushed(snapshot)) return Math.max(0, pushFreshForMs)
    return Math.max(0, Math.min(pushFreshForMs, this.#pushExpectedUntil - this.#parts.clock.now()))
  }

  /** Whether the list may be served in place of a newer one that fails to arrive. */
  isServable(snapshot: EngineSnapshot): boolean {
    const { cacheTtlMs, staleIfErrorMs } = this.#parts
    return this.#ageMs(snapshot) < cacheTtlMs + staleIfErrorMs
  }

  #ageMs(snapshot: EngineSnapshot): number {
    return this.#parts.clock.now() - snapshot.receivedAt
  }
}

function isPushed({ takenAtNs }: EngineSnapshot): boolean {
  return takenAtNs !== undefined
}
