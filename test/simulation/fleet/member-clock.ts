import type { Clock, Timer } from '../../../src/index.ts'
import type { ManualClock } from '../../../src/testing/index.ts'

/** The clock of one process. While the process is paused, time passes but no timer fires. After its death no timer ever fires. */
export class MemberClock implements Clock {
  readonly #clock: ManualClock
  readonly #due = new Set<{ readonly callback: () => void }>()
  readonly #resumed = new Set<() => void>()
  #state: 'runs' | 'paused' | 'dead' = 'runs'

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const entry = { callback }
    const timer = this.#clock.setTimeout(() => {
      if (this.#state === 'runs') callback()
      else if (this.#state === 'paused') this.#due.add(entry)
    }, delayMs)
    return {
      cancel: () => {
        timer.cancel()
        this.#due.delete(entry)
      },
    }
  }

  /** Resolves at once, or at the end of a pause. Never resolves after the death of the process. */
  running(): Promise<void> {
    if (this.#state === 'runs') return Promise.resolve()
    return new Promise((resolve) => this.#resumed.add(resolve))
  }

  pause(): void {
    if (this.#state === 'runs') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'runs'
    for (const entry of this.#due) {
      // An earlier callback may have cancelled this one.
      if (this.#due.delete(entry)) entry.callback()
    }
    for (const resolve of this.#resumed) resolve()
    this.#resumed.clear()
  }

  die(): void {
    this.#state = 'dead'
    this.#due.clear()
    this.#resumed.clear()
  }
}
