import type { Clock } from '../../runtime/clock.ts'

/** How long shared work takes: one timer for all callers that stop waiting for it after the same time. */
export class Slowness {
  readonly #clock: Clock
  readonly #work: Promise<unknown>
  readonly #startedAt: number
  #slow: Promise<void> | undefined

  constructor(clock: Clock, work: Promise<unknown>) {
    this.#clock = clock
    this.#work = work
    this.#startedAt = clock.now()
  }

  /** Resolves once the work has taken `waitMs`; never, if it is over before. All callers name the same time. */
  after(waitMs: number): Promise<void> {
    this.#slow ??= new Promise((resolve) => {
      const leftMs = this.#startedAt + waitMs - this.#clock.now()
      if (leftMs <= 0) return resolve()
      const timer = this.#clock.setTimeout(resolve, leftMs)
      const stop = (): void => timer.cancel()
      this.#work.then(stop, stop)
    })
    return this.#slow
  }
}
