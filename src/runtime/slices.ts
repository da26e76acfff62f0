import { waitOneTurn } from './clock.ts'

/** Divides long work into slices, so that it does not block the event loop: between two slices, all other work of the process runs. */
export class Slices {
  readonly #size: number
  readonly #signal: AbortSignal
  #done = 0

  /**
   * @param size units of work in one slice
   * @param signal ends the work between two slices
   */
  constructor(size: number, signal: AbortSignal) {
    this.#size = size
    this.#signal = signal
  }

  /**
   * Counts work that was done. If the slice is full, returns a promise of the next one: wait for it before any further work. It rejects with
   * the reason of the signal.
   */
  count(units: number): Promise<void> | undefined {
    this.#done += units
    if (this.#done < this.#size) return undefined
    this.#done = 0
    return this.#next()
  }

  async #next(): Promise<void> {
    await waitOneTurn()
    this.#signal.throwIfAborted()
  }
}
