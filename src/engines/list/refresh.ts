import type { Clock } from '../../runtime/clock.ts'
import { Slowness } from './slowness.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** A refresh of the engine list that is under way, and shared by all callers that want one. */
export class Refresh {
  /** Position of its last request among everything that was sent and acknowledged here. */
  sequence: number
  /** Whether a caller can use no older list. Then failed requests are retried although an old list could be served. */
  isNeeded: boolean
  readonly result: Promise<EngineSnapshot>
  readonly slowness: Slowness
  readonly #clock: Clock
  readonly #failed = Promise.withResolvers<never>()

  /** `load` calls `failed` for each request that failed. */
  constructor(sequence: number, clock: Clock, isNeeded: boolean, load: (refresh: Refresh) => Promise<EngineSnapshot>) {
    this.sequence = sequence
    this.isNeeded = isNeeded
    this.#clock = clock
    this.#failed.promise.catch(() => {}) // every caller may be patient
    this.result = load(this)
    this.slowness = new Slowness(clock, this.result)
  }

  /** A request failed; the next has this number. */
  failed(error: unknown, sequence: number): void {
    this.sequence = sequence
    this.#failed.reject(error)
  }

  /**
   * The result, for one caller.
   *
   * @param patienceMs how long this caller waits while requests fail; it waits for the first request in any case. `undefined`: to the end
   * @param hasSpare whether this caller can be served an old list instead; its patience is over with the first failure then
   * @throws the error of the first request, when out of patience
   */
  within(patienceMs: number | undefined, hasSpare: () => boolean = () => false): Promise<EngineSnapshot> {
    const since = this.#clock.now()
    return new Promise((resolve, reject) => {
      this.result.then(resolve, reject)
      this.#failed.promise.catch((error: unknown) => {
        const leftMs = (patienceMs ?? Number.POSITIVE_INFINITY) - (this.#clock.now() - since)
        if (leftMs <= 0 || hasSpare()) return reject(error)
        if (leftMs === Number.POSITIVE_INFINITY) return
        const timer = this.#clock.setTimeout(() => reject(error), leftMs)
        const stop = (): void => timer.cancel()
        this.result.then(stop, stop)
      })
    })
  }
}
