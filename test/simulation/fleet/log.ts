const KEPT = 40

/** The events of a run. The last ones are printed if the run fails. */
export class EventLog {
  readonly #now: () => number
  readonly #startMs: number
  readonly #print: ((line: string) => void) | undefined
  #lines: string[] = []

  constructor(now: () => number, print?: (line: string) => void) {
    this.#now = now
    this.#startMs = now()
    this.#print = print
  }

  add(event: string): void {
    const line = `${((this.#now() - this.#startMs) / 1_000).toFixed(1).padStart(6)} s  ${event}`
    this.#lines.push(line)
    if (this.#lines.length > 4 * KEPT) this.#lines = this.#lines.slice(-KEPT)
    this.#print?.(line)
  }

  get last(): readonly string[] {
    return this.#lines.slice(-KEPT)
  }
}
