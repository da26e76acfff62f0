/**
 * The ends under way, by engine. A slot is free before the orchestrator has heard of the end that freed it; a start that takes the slot
 * waits for the ends that came before it, so that the orchestrator, and every proxy that reads its list, never sees the engine above its
 * limit.
 */
export class Departures {
  readonly #leaving = new Map<string, Set<Promise<unknown>>>()

  /** `ended` must not reject. Where the engine is not known, nothing waits. */
  add(containerId: string | undefined, ended: Promise<unknown>): void {
    if (containerId === undefined) return
    const leaving = this.#leaving.get(containerId) ?? new Set()
    this.#leaving.set(containerId, leaving.add(ended))
    void ended.then(() => {
      leaving.delete(ended)
      if (leaving.size === 0 && this.#leaving.get(containerId) === leaving) this.#leaving.delete(containerId)
    })
  }

  /** Resolves when those that are leaving the engine now have left. Later ones are not waited for, so no two wait for each other. */
  async from(containerId: string | undefined): Promise<void> {
    await Promise.all(this.#leaving.get(containerId ?? '') ?? [])
  }
}
