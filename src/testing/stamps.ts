import type { Clock } from '../runtime/clock.ts'

/** Microseconds since the epoch. */
export type Micros = number

/**
 * Makes the timestamps of the fake. They come from the clock, but no two are equal: on a clock that stands still, a start and the push that
 * contains it would get the same time, and the client compares them.
 */
export class Stamps {
  readonly #clock: Clock
  #last: Micros = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns the present time, or 1 µs after the last stamp if that is later. */
  next(): Micros {
    this.#last = Math.max(Math.floor(this.#clock.now() * 1000), this.#last + 1)
    return this.#last
  }
}

const toSeconds = (stamp: Micros): string => new Date(Math.floor(stamp / 1000)).toISOString().slice(0, 19)
const toFraction = (stamp: Micros): string => (stamp % 1_000_000 === 0 ? '' : `.${String(stamp % 1_000_000).padStart(6, '0')}`)

/** Formats a time as Python's models do: `2026-11-23T15:08:03.000693Z`. Whole seconds have no fraction. */
export const pythonTime = (stamp: Micros): string => `${toSeconds(stamp)}${toFraction(stamp)}Z`

/** Formats a time as Python's `isoformat()` does, which the status uses: `2026-11-23T15:07:51.809250+00:00`. */
export const pythonIsoTime = (stamp: Micros): string => `${toSeconds(stamp)}${toFraction(stamp)}+00:00`

/** Formats a time as Go does: `2026-11-23T22:07:01.15546312Z`, without trailing zeros. */
export const goTime = (stamp: Micros): string => `${toSeconds(stamp)}${toFraction(stamp).replace(/0+$/, '')}Z`

/** Formats a time as Go's circuit breaker does: in whole seconds, and empty for never. */
export const goSeconds = (stamp: Micros | null): string => (stamp === null ? '' : `${toSeconds(stamp)}Z`)
