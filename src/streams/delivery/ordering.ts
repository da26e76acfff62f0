/**
 * Runs tasks one after the other for each key, and in parallel across keys. So a stream's end never overtakes its start, whoever
 * asks for either, and a second life of an id waits for the first to be told.
 */
export class Chains {
  readonly #tails = new Map<string, Promise<void>>()

  /** Runs `task` when everything queued for `key` before it has settled. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) // never rejects
    const result = before === undefined ? task() : before.then(task)
    const settle = (): void => {
      // Only the last task may take the chain away: with another behind it there would be two chains for one key.
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    const tail: Promise<void> = result.then(settle, settle)
    this.#tails.set(key, tail)
    return result
  }
}
