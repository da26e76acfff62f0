import type { Clock } from '../runtime/clock.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** A refresh of the engine list that is under way, and shared by all who want one. */
export class Refresh {
  /** Position of its first request among everything that was sent and acknowledged here. */
  readonly sequence: number
  readonly result: Promise<EngineSnapshot>
  readonly #clock: Clock
  readonly #failed = Promise.withResolvers<never>()

  /** `load` tells the function it is given of every attempt that failed. */
  constructor(sequence: number, clock: Clock, load: (failed: (error: unknown) => void) => Promise<EngineSnapshot>) {
    this.sequence = sequence
    this.#clock = clock
    this.#failed.promise.catch(() => {}) // nobody may be in a hurry
    this.result = load(this.#failed.reject)
  }

  /**
   * The result, for a caller who waits `patienceMs` at most while attempts fail; the attempt that is under way is waited for in any case.
   *
   * @throws what the first attempt failed with, when out of patience
   */
  within(patienceMs: number | undefined): Promise<EngineSnapshot> {
    if (patienceMs === undefined) return this.result
    const until = this.#clock.now() + patienceMs
    return new Promise((resolve, reject) => {
      this.result.then(resolve, reject)
      this.#failed.promise.catch((error: unknown) => {
        const leftMs = until - this.#clock.now()
        if (leftMs <= 0) return reject(error)
        const timer = this.#clock.setTimeout(() => reject(error), leftMs)
        const stop = (): void => timer.cancel()
        this.result.then(stop, stop)
      })
    })
  }
}
