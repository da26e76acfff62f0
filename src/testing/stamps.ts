import type { Clock } from '../runtime/clock.ts'

/** Microseconds since the epoch. */
export type Micros = number

/**
 * Where the fake's timestamps come from: the clock, but no two alike. A clock that stands still would give a start and the push
 * that holds it the same time, and the client asks which was later.
 */
export class Stamps {
  readonly #clock: Clock
  #last: Micros = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Now, and later than any stamp before. */
  next(): Micros {
    this.#last = Math.max(Math.floor(this.#clock.now() * 1000), this.#last + 1)
    return this.#last
  }
}

const toSeconds = (stamp: Micros): string => new Date(Math.floor(stamp / 1000)).toISOString().slice(0, 19)
const toFraction = (stamp: Micros): string => (stamp % 1_000_000 === 0 ? '' : `.${String(stamp % 1_000_000).padStart(6, '0')}`)

/** As Python's models write it: `2026-11-23T15:08:03.000693Z`; whole seconds have no fraction. */
export const pythonTime = (stamp: Micros): string => `${toSeconds(stamp)}${toFraction(stamp)}Z`

/** As Python's own `isoformat()` writes it, in the status: `2026-11-23T15:07:51.809250+00:00`. */
export const pythonIsoTime = (stamp: Micros): string => `${toSeconds(stamp)}${toFraction(stamp)}+00:00`

/** As Go writes it: `2026-11-23T22:07:01.15546312Z`, without trailing zeros. */
export const goTime = (stamp: Micros): string => `${toSeconds(stamp)}${toFraction(stamp).replace(/0+$/, '')}Z`

/** As Go writes it in its circuit breaker: whole seconds, and nothing for never. */
export const goSeconds = (stamp: Micros | null): string => (stamp === null ? '' : `${toSeconds(stamp)}Z`)
