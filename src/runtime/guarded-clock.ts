import { type Clock, systemClock, type Timer } from './clock.ts'
import type { Logger } from './logger.ts'
import { ignoreRejection } from './maybe-promise.ts'

/**
 * A clock of the host's that cannot harm. While it throws or gives no time, time goes on from its last answer at the system's pace, and
 * timers are the system's. The first failure is logged.
 */
export class GuardedClock implements Clock {
  readonly monotonic?: () => number
  /** Where the first failure is logged. */
  logger: Logger | undefined
  readonly #clock: Clock
  readonly #wall = new Reading(() => this.#clock.now())
  #hasWarned = false

  constructor(clock: Clock) {
    this.#clock = clock
    if (clock.monotonic === undefined) return
    const reading = new Reading(() => this.#clock.monotonic?.())
    this.monotonic = () => reading.take((error) => this.#warn(error))
  }

  now(): number {
    return this.#wall.take((error) => this.#warn(error))
  }

  setTimeout(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean }): Timer {
    let isOver = false
    let isArmed = false
    const fire = (): void => {
      if (isOver) return
      // The caller does not have its timer yet.
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
      this.#warn(ignored(timer))
    } catch (error) {
      this.#warn(error)
    }
    return systemClock.setTimeout(callback, delayMs, options)
  }

  #warn(error: unknown): void {
    if (this.#hasWarned || this.logger === undefined) return
    this.#hasWarned = true
    this.logger.error('The clock failed; the time of the system is used as long as it does', { error })
  }
}

/** One of a clock's two times. */
class Reading {
  readonly #read: () => unknown
  #lastMs: number | undefined
  /** The system's time when the clock began to fail. */
  #failingSinceMs: number | undefined

  constructor(read: () => unknown) {
    this.#read = read
  }

  take(onFailed: (error: unknown) => void): number {
    try {
      const time = this.#read()
      if (typeof time === 'number' && Number.isFinite(time)) {
        this.#failingSinceMs = undefined
        this.#lastMs = time
        return time
      }
      onFailed(ignored(time))
    } catch (error) {
      onFailed(error)
    }
    const now = systemClock.monotonic()
    this.#failingSinceMs ??= now
    this.#lastMs ??= systemClock.now()
    return this.#lastMs + now - this.#failingSinceMs
  }
}

/** What stands in for an answer that makes no sense. A promise among them is handled, so that its rejection is. */
function ignored(answer: unknown): unknown {
  ignoreRejection(answer)
  return new TypeError(`expected a time or a timer, got ${typeof answer}`)
}
