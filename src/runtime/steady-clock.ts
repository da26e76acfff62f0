import { type Clock, SystemClock, type Timer } from './clock.ts'
import { GuardedClock } from './guarded-clock.ts'
import type { Logger } from './logger.ts'

/** One per clock, so that clients and stores that share a clock share its steady time. */
const steadyClocks = new WeakMap<Clock, SteadyClock>()

/**
 * The time of a {@link Clock} without the steps of its wall clock: every interval is measured with it. `now()` begins at the wall clock's
 * time and never goes back. A clock that has only `now()` cannot show how long a step was: a step back counts as no time passed, a step
 * forward as time passed.
 *
 * A timer that fires proves that its delay has passed: `now()` is at least its due time then, also where the timer fired a little early or
 * the wall clock was set back meanwhile.
 */
export class SteadyClock implements Clock {
  readonly #clock: Clock
  #nowMs: number
  #lastReading: number
  /** What a reading lacks to be the steady time. */
  #offsetMs: number

  private constructor(clock: Clock) {
    this.#clock = clock
    this.#nowMs = clock.now()
    this.#lastReading = this.#read()
    this.#offsetMs = this.#nowMs - this.#lastReading
  }

  /** The steady time of a clock; the same object each time. The first failure of a host's own clock is logged to the first `logger` given. */
  static of(clock: Clock, logger?: Logger): SteadyClock {
    if (clock instanceof SteadyClock) return clock
    const steady = steadyClocks.get(clock) ?? new SteadyClock(clock instanceof SystemClock ? clock : new GuardedClock(clock))
    if (steady.#clock instanceof GuardedClock) steady.#clock.logger ??= logger
    steadyClocks.set(clock, steady)
    return steady
  }

  now(): number {
    const reading = this.#read()
    if (reading < this.#lastReading) this.#offsetMs += this.#lastReading - reading
    this.#lastReading = reading
    this.#nowMs = Math.max(this.#nowMs, reading + this.#offsetMs)
    return this.#nowMs
  }

  /** Milliseconds since the epoch, by the wall clock with its steps. For dates only: those of the host, of a header, of another process. */
  wallNow(): number {
    return this.#clock.now()
  }

  setTimeout(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean }): Timer {
    const dueMs = this.now() + delayMs
    const onDue = (): void => {
      this.#passTo(dueMs)
      callback()
    }
    return this.#clock.setTimeout(onDue, delayMs, options)
  }

  #passTo(dueMs: number): void {
    if (!(dueMs > this.now())) return
    this.#nowMs = dueMs
    // Without a monotonic time the wall clock was probably set back: count on from here.
    if (this.#clock.monotonic === undefined) this.#offsetMs = dueMs - this.#lastReading
  }

  #read(): number {
    return this.#clock.monotonic?.() ?? this.#clock.now()
  }
}
