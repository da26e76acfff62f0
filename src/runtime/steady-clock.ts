import { type Clock, SystemClock, systemClock, type Timer } from './clock.ts'
import type { Logger } from './logger.ts'
import { ignoreRejection } from './maybe-promise.ts'

/** The steady clock of each clock: clients and stores that share a clock must share its steady time. */
const steadyClocks = new WeakMap<Clock, SteadyClock>()

/**
 * Reads the time of a {@link Clock} without the steps of its wall clock. The client measures every interval with it. `now()` starts at the
 * time of the wall clock and never goes back.
 *
 * A clock that has only `now()` cannot show how long a step was: a step back counts as no time, a step forward as time that passed. A timer
 * that fires proves that its delay has passed: `now()` is then at least the due time, even if the timer fired a little early or the wall
 * clock was set back meanwhile.
 */
export class SteadyClock implements Clock {
  readonly #clock: Clock
  #nowMs: number
  #lastReading: number
  /** The steady time minus the reading. */
  #offsetMs: number

  private constructor(clock: Clock) {
    this.#clock = clock
    this.#nowMs = clock.now()
    this.#lastReading = this.#read()
    this.#offsetMs = this.#nowMs - this.#lastReading
  }

  /**
   * The steady clock of a clock: the same object each time. A clock of the host is guarded: see {@link GuardedClock}.
   *
   * @param logger receives the first failure of the host's clock; later calls do not replace it
   */
  static of(clock: Clock, logger?: Logger): SteadyClock {
    if (clock instanceof SteadyClock) return clock
    const steady = steadyClocks.get(clock) ?? new SteadyClock(clock instanceof SystemClock ? clock : new GuardedClock(clock))
    if (steady.#clock instanceof GuardedClock) steady.#clock.logger ??= logger
    steadyClocks.set(clock, steady)
    return steady
  }

  /** Milliseconds since the epoch: the first reading of the wall clock plus the time that has passed since. Never goes back. */
  now(): number {
    const reading = this.#read()
    if (reading < this.#lastReading) this.#offsetMs += this.#lastReading - reading
    this.#lastReading = reading
    this.#nowMs = Math.max(this.#nowMs, reading + this.#offsetMs)
    return this.#nowMs
  }

  /** The wall clock with its steps: milliseconds since the epoch. Only for dates that a host, a header or another process reads or wrote. */
  wallNow(): number {
    return this.#clock.now()
  }

  setTimeout(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean }): Timer {
    const dueMs = this.now() + delayMs
    const onDue = (): void => {
      this.#advanceTo(dueMs)
      callback()
    }
    return this.#clock.setTimeout(onDue, delayMs, options)
  }

  #advanceTo(dueMs: number): void {
    if (!(dueMs > this.now())) return
    this.#nowMs = dueMs
    // Without a monotonic time, the wall clock was probably set back. Count from its new time.
    if (this.#clock.monotonic === undefined) this.#offsetMs = dueMs - this.#lastReading
  }

  #read(): number {
    return this.#clock.monotonic?.() ?? this.#clock.now()
  }
}

/**
 * Wraps a clock of the host so that its failures have no effect. While a reading throws or is no number, the time continues from the last
 * good reading at the system's pace. If a timer cannot be armed, a timer of the system replaces it. The first failure is logged.
 */
class GuardedClock implements Clock {
  readonly monotonic?: () => number
  /** Receives the first failure. */
  logger: Logger | undefined
  readonly #clock: Clock
  readonly #wall = new GuardedReading(() => this.#clock.now())
  #hasWarned = false

  constructor(clock: Clock) {
    this.#clock = clock
    if (clock.monotonic === undefined) return
    const reading = new GuardedReading(() => this.#clock.monotonic?.())
    this.monotonic = () => reading.read((error) => this.#warn(error))
  }

  now(): number {
    return this.#wall.read((error) => this.#warn(error))
  }

  setTimeout(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean }): Timer {
    let isOver = false
    let isArmed = false
    const fire = (): void => {
      if (isOver) return
      // The clock fires before it returns: the caller does not have its timer yet, and could not cancel it.
      if (!isArmed) {
        queueMicrotask(fire)
        return
      }
      isOver = true
      callback()
    }
    const timer = this.#arm(fire, delayMs, options)
    isArmed = true
    const cancel = (): void => {
      if (isOver) return
      isOver = true
      try {
        timer.cancel()
      } catch (error) {
        this.#warn(error)
      }
    }
    return { cancel }
  }

  #arm(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean }): Timer {
    try {
      const timer: unknown = this.#clock.setTimeout(callback, delayMs, options)
      if (typeof timer === 'object' && timer !== null && 'cancel' in timer && typeof timer.cancel === 'function') return timer as Timer
      this.#warn(toAnswerError('a timer', timer))
    } catch (error) {
      this.#warn(error)
    }
    return systemClock.setTimeout(callback, delayMs, options)
  }

  #warn(error: unknown): void {
    if (this.#hasWarned || this.logger === undefined) return
    this.#hasWarned = true
    this.logger.error('The option clock failed. The time of the system is used until it works again', { error })
  }
}

/** Reads one of a clock's two times, and replaces it while the clock fails. */
class GuardedReading {
  readonly #read: () => unknown
  #lastMs: number | undefined
  /** The system's monotonic time at the first failure in a row. */
  #failingSinceMs: number | undefined

  constructor(read: () => unknown) {
    this.#read = read
  }

  read(onFailure: (error: unknown) => void): number {
    try {
      const time = this.#read()
      if (typeof time === 'number' && Number.isFinite(time)) {
        this.#failingSinceMs = undefined
        this.#lastMs = time
        return time
      }
      onFailure(toAnswerError('a time', time))
    } catch (error) {
      onFailure(error)
    }
    const now = systemClock.monotonic()
    this.#failingSinceMs ??= now
    this.#lastMs ??= systemClock.now()
    return this.#lastMs + now - this.#failingSinceMs
  }
}

/** The error for a wrong answer of a clock. If the answer is a promise, its rejection is handled. */
function toAnswerError(expected: string, answer: unknown): unknown {
  ignoreRejection(answer)
  return new TypeError(`expected ${expected}, got ${typeof answer}`)
}
