/** What a {@link FleetWatch} needs. */
export interface FleetWatchParts {
  /** How long something has to stay unchanged, milliseconds. */
  ttlMs: number
  /** How often it looks. Redis may be away for less than this between two looks, and nobody notices: the dead have so much longer. */
  intervalMs: number
  now: () => number
}

/** What Redis says of another member. */
export interface Peer {
  readonly id: string
  /** Its last batch. */
  readonly last: string
  /** How long it may be silent, milliseconds. */
  readonly ttlMs: number
}

interface Watched {
  readonly value: string
  readonly since: number
}

/** A member that is dead already says so. */
const DEAD = 'x'

/**
 * Which of the others are dead, judged by this process's own monotonic clock alone: those that made no batch for a whole time to live, during
 * which Redis answered here throughout. Every failure, and every pause of this process, gives all of them a full time again.
 */
export class FleetWatch {
  readonly #parts: FleetWatchParts
  #peers: readonly Peer[] = []
  #members = new Map<string, Watched>()
  #opening: Watched | undefined
  #seenAt = Number.NEGATIVE_INFINITY

  constructor(parts: FleetWatchParts) {
    this.#parts = parts
  }

  /** Takes in what Redis says of the others. `opening`: `''` where slots are given out. */
  see(peers: readonly Peer[], opening: string): void {
    const now = this.#parts.now()
    // Half a time without a look: nobody knows what happened meanwhile.
    if (now - this.#seenAt > this.#parts.ttlMs / 2) this.interrupt()
    this.#seenAt = now
    // The server was started anew, or lost data.
    if (opening !== '' && opening !== this.#opening?.value) this.#members.clear()
    this.#peers = peers
    this.#members = new Map(peers.map(({ id, last }) => [id, since(this.#members.get(id), last, now)]))
    this.#opening = opening === '' ? undefined : since(this.#opening, opening, now)
  }

  /** Redis did not answer. */
  interrupt(): void {
    this.#peers = []
    this.#members.clear()
    this.#opening = undefined
    this.#seenAt = Number.NEGATIVE_INFINITY
  }

  /** The dead. */
  get dead(): readonly Peer[] {
    return this.#peers.filter(
      ({ id, last, ttlMs }) =>
        last === DEAD || this.#isDue(this.#members.get(id), Math.max(ttlMs, this.#parts.ttlMs) + this.#parts.intervalMs),
    )
  }

  /** The opening that may end, since everybody had time to report. */
  get overdueOpening(): string | undefined {
    const longestMs = Math.max(...this.#peers.map(({ ttlMs }) => ttlMs))
    return this.#isDue(this.#opening, longestMs) ? this.#opening?.value : undefined
  }

  /** By the last look: what happened since is not known. */
  #isDue(watched: Watched | undefined, afterMs: number): boolean {
    return watched !== undefined && this.#seenAt - watched.since >= Math.max(afterMs, this.#parts.ttlMs)
  }
}

const since = (before: Watched | undefined, value: string, now: number): Watched =>
  before?.value === value ? before : { value, since: now }
