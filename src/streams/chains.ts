/**
 * Runs tasks one after the other for each key, and in parallel across keys. So a stream's end never overtakes its start, whoever
 * asks for either, and a second life of an id waits for the first to be told.
 */
export class Chains {
  readonly #tails = new Map<string, Promise<void>>()
  #pendingCount = 0
  #idle: PromiseWithResolvers<void> | undefined

  /** Tasks that have not settled. */
  get pendingCount(): number {
    return this.#pendingCount
  }

  /** Runs `task` when everything queued for `key` before it has settled. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    this.#pendingCount += 1
    const before = this.#tails.get(key) // never rejects
    const result = before === undefined ? task() : before.then(task)
    const settle = (): void => {
      // Only the last task may take the chain away: with another behind it there would be two chains for one key.
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
      this.#pendingCount -= 1
      if (this.#pendingCount === 0) {
        this.#idle?.resolve()
        this.#idle = undefined
      }
    }
    const tail: Promise<void> = result.then(settle, settle)
    this.#tails.set(key, tail)
    return result
  }

  /** Resolves when nothing is pending, what is added meanwhile included. */
  async idle(): Promise<void> {
    while (this.#pendingCount > 0) {
      this.#idle ??= Promise.withResolvers<void>()
      await this.#idle.promise
    }
  }
}
