import type { Clock } from '../runtime/clock.ts'

const FAILURES_TO_EJECT = 3
const FIRST_EJECTION_MS = 30_000
const LONGEST_EJECTION_MS = 300_000

interface Entry {
  /** In a row. */
  failures: number
  ejections: number
  ejectedUntil: number
}

/**
 * Which engines failed lately. The orchestrator's health does not see an engine that answers 500 to everything (hazard 20); only the
 * proxy does. Three failures in a row eject an engine for 30 s, doubling up to 5 min. A stream that starts there clears it.
 */
export class FailureBook {
  readonly #entries = new Map<string, Entry>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts a failure. Answers how long the engine is ejected for, milliseconds, or `undefined`. */
  fail(containerId: string): { failures: number; ejectedMs: number } | undefined {
    const entry = this.#entries.get(containerId) ?? { failures: 0, ejections: 0, ejectedUntil: 0 }
    // Viewers who were there when it was ejected fail too; that is the same failure, seen again.
    if (entry.ejectedUntil > this.#clock.now()) return undefined
    this.#entries.set(containerId, entry)
    entry.failures += 1
    if (entry.failures % FAILURES_TO_EJECT !== 0) return undefined
    const ejectedMs = Math.min(FIRST_EJECTION_MS * 2 ** entry.ejections, LONGEST_EJECTION_MS)
    entry.ejections += 1
    entry.ejectedUntil = this.#clock.now() + ejectedMs
    return { failures: entry.failures, ejectedMs }
  }

  succeed(containerId: string): void {
    this.#entries.delete(containerId)
  }

  /** The engines to leave out now: never more than half of those listed, those ejected the longest ahead first. */
  ejectedAmong(containerIds: readonly string[]): ReadonlySet<string> {
    if (this.#entries.size === 0) return new Set()
    const now = this.#clock.now()
    const ejected = containerIds.filter((id) => (this.#entries.get(id)?.ejectedUntil ?? 0) > now)
    const allowed = Math.floor(containerIds.length / 2)
    if (ejected.length <= allowed) return new Set(ejected)
    const until = (id: string): number => this.#entries.get(id)?.ejectedUntil ?? 0
    return new Set(ejected.toSorted((a, b) => until(b) - until(a)).slice(0, allowed))
  }

  /** Forgets engines that are listed no more. */
  retain(containerIds: ReadonlySet<string>): void {
    for (const id of this.#entries.keys()) if (!containerIds.has(id)) this.#entries.delete(id)
  }
}
