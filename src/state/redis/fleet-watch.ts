/** What a {@link FleetWatch} needs. */
export interface FleetWatchParts {
  /** How long something has to stay unchanged, milliseconds. */
  ttlMs: number
  now: () => number
}

interface Watched {
  readonly value: string
  readonly since: number
}

/** A member that is dead already says so. */
const DEAD = 'x'

/**
 * Who of the others is dead, judged by this process's own monotonic clock alone: who has made no batch for a whole time to live, during which Redis
 * answered here throughout. Every failure, and every pause of this process, gives all of them a full time again.
 */
export class FleetWatch {
  readonly #parts: FleetWatchParts
  #members = new Map<string, Watched>()
  #opening: Watched | undefined
  #seenAt = Number.NEGATIVE_INFINITY

  constructor(parts: FleetWatchParts) {
    this.#parts = parts
  }

  /**
   * Takes in what Redis says of the others.
   *
   * @param opening `''`: slots are given out. `vouchedMs`: for how long the server says that it has lost nothing
   */
  see(members: readonly (readonly [id: string, last: string])[], opening: string, vouchedMs: number): void {
    const now = this.#parts.now()
    // Half a time without a look: nobody knows what happened meanwhile.
    if (now - this.#seenAt > this.#parts.ttlMs / 2) this.interrupt()
    this.#seenAt = now
    // The server was started anew, or lost data.
    if (opening !== '' && opening !== this.#opening?.value) this.#members.clear()
    this.#members = new Map(members.map(([id, last]) => [id, since(this.#members.get(id), last, now)]))
    const opened = opening === '' ? undefined : since(this.#opening, opening, now)
    this.#opening = opened && { value: opening, since: Math.min(opened.since, now - vouchedMs) }
  }

  /** Redis did not answer. */
  interrupt(): void {
    this.#members.clear()
    this.#opening = undefined
    this.#seenAt = Number.NEGATIVE_INFINITY
  }

  /** The dead, each with its last batch. */
  get dead(): readonly (readonly [id: string, last: string])[] {
    const dead = [...this.#members].filter(([, watched]) => watched.value === DEAD || this.#isDue(watched))
    return dead.map(([id, { value }]) => [id, value])
  }

  /** The opening that may end, since everybody had time to report. */
  get overdueOpening(): string | undefined {
    return this.#opening !== undefined && this.#isDue(this.#opening) ? this.#opening.value : undefined
  }

  #isDue({ since: from }: Watched): boolean {
    return this.#parts.now() - from >= this.#parts.ttlMs
  }
}

const since = (before: Watched | undefined, value: string, now: number): Watched =>
  before?.value === value ? before : { value, since: now }
