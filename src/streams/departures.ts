import type { Underway } from './pending-events.ts'

interface Departure {
  readonly underway: Underway
  readonly ended: Promise<unknown>
}

/**
 * The ends under way, by engine. A slot is free before the orchestrator has heard of the end that freed it; a start that takes the slot
 * waits for the ends that came before it, so that the orchestrator, and every proxy that reads its list, never sees the engine above its
 * limit.
 */
export class Departures {
  readonly #leaving = new Map<string, Set<Departure>>()

  /** `ended` must not reject. Where the engine is not known, nothing waits. */
  add(containerId: string | undefined, underway: Underway, ended: Promise<unknown>): void {
    if (containerId === undefined) return
    const departure = { underway, ended }
    const leaving = this.#leaving.get(containerId) ?? new Set()
    this.#leaving.set(containerId, leaving.add(departure))
    void ended.then(() => {
      leaving.delete(departure)
      if (leaving.size === 0 && this.#leaving.get(containerId) === leaving) this.#leaving.delete(containerId)
    })
  }

  /** Those that are leaving the engine now. Later ones are not waited for, so no two wait for each other. */
  from(containerId: string | undefined): readonly Departure[] {
    return [...(this.#leaving.get(containerId ?? '') ?? [])]
  }
}
