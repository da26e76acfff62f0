import type { Clock } from '../../runtime/clock.ts'
import { PUSH_FRESH_MS } from '../pushes/push-intake.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** Which list is fresh enough not to be asked for again. */
export class Freshness {
  readonly #clock: Clock
  readonly #cacheTtlMs: number
  #pushDueBy = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, cacheTtlMs: number) {
    this.#clock = clock
    this.#cacheTtlMs = cacheTtlMs
  }

  /** A push is expected until then, by the client's clock; any other list serves on that long, instead of being asked for twice. */
  set pushDueBy(time: number) {
    this.#pushDueBy = time
  }

  /** A list that was asked for: for `cacheTtlMs`. One that was pushed: for 3 s, whatever that is. */
  isFresh(snapshot: EngineSnapshot): boolean {
    const ttlMs = snapshot.takenAtNs === undefined ? this.#cacheTtlMs : PUSH_FRESH_MS
    return this.#isYounger(snapshot, ttlMs)
  }

  /** Whether pushes make it unnecessary to look any further. */
  isHeld(snapshot: EngineSnapshot): boolean {
    const isPushed = snapshot.takenAtNs !== undefined
    return (isPushed || this.#clock.now() < this.#pushDueBy) && this.#isYounger(snapshot, PUSH_FRESH_MS)
  }

  /** How long a list that is held now stays so at most, milliseconds. */
  heldForMs(snapshot: EngineSnapshot): number {
    const until = snapshot.receivedAt + PUSH_FRESH_MS
    return Math.max(0, (snapshot.takenAtNs === undefined ? Math.min(until, this.#pushDueBy) : until) - this.#clock.now())
  }

  #isYounger(snapshot: EngineSnapshot, ttlMs: number): boolean {
    return this.#clock.now() - snapshot.receivedAt < ttlMs
  }
}
