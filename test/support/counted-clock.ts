import type { Clock, Timer } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'

/** Counts the timers of one client only: the fake orchestrator uses the same manual clock. */
export class CountedClock implements Clock {
  readonly armed = new Set<{ readonly delayMs: number }>()
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const id = { delayMs }
    this.armed.add(id)
    const timer = this.#clock.setTimeout(() => {
      this.armed.delete(id)
      callback()
    }, delayMs)
    return {
      cancel: () => {
        this.armed.delete(id)
        timer.cancel()
      },
    }
  }
}
