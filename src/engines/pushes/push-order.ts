import type { PushedLists } from '../../orchestrator/wire-lists.ts'
import type { Sequence } from '../../runtime/sequence.ts'

/** A request of this client that the orchestrator stamped with the time at which it applied it. */
interface Anchor {
  /** The number under which the request was sent. */
  readonly sequence: number
  /** The stamp, nanoseconds since the epoch by the orchestrator's clock. */
  readonly atNs: bigint
}

/** How many anchors are kept between two pushes. If one is dropped, the next push may get a lower number, but never one too high. */
const MAX_ANCHORS = 256

/**
 * Gives each pushed list its number in the client's {@link Sequence}.
 *
 * The invariant: **a list with number n shows all events that were acknowledged before n.** A list that was requested meets it with the
 * number of its request. A pushed list was not requested, and may have been delayed for any time. It gets the highest number that is
 * proven:
 *
 * 1. An event that was acknowledged before number n was applied by the orchestrator before the request with number n was sent.
 * 2. If the orchestrator stamps that request with its own time t, every event acknowledged before n was applied before t. So a list that
 *    was made after t may have the number n. Answers to starts have such a stamp (`started_at`), and so has an answer to a request for the
 *    time.
 * 3. The first list of a connection was made after the connection was requested, so it may have the number of that request.
 * 4. A later list shows at least the events of the list before it, so it may have the same number. A list that is older than the one before
 *    it is ignored.
 * 5. So a number can be too low, but never too high. If it is too low, the client requests one list more than necessary.
 *
 * The clock of this host plays no part. Stamps are compared in nanoseconds, because a start and a push may share their millisecond.
 */
export class PushOrder {
  readonly #sequence: Sequence
  #anchors: Anchor[] = []
  /** The number of the current connection, until its first list has used it. */
  #connectedAt: number | undefined
  /** The highest number that is proven. 0: nothing is proven yet. */
  #proven = 0
  /** When the newest pushed list was made. */
  #newestNs: bigint | undefined

  constructor(sequence: Sequence) {
    this.#sequence = sequence
  }

  /** Call it before a connection is requested. */
  beginConnection(): void {
    this.#connectedAt = this.#sequence.next()
  }

  /**
   * Records that the orchestrator has answered a request of this client and stamped the answer.
   *
   * @param sequence the number that the request got before it was sent
   * @param atNs the stamp, nanoseconds since the epoch. `undefined`: the answer has none, and proves nothing
   */
  addAnchor(sequence: number, atNs: bigint | undefined): void {
    if (atNs === undefined || sequence <= this.#proven) return
    this.#anchors.push({ sequence, atNs })
    if (this.#anchors.length > MAX_ANCHORS) this.#anchors = this.#anchors.filter((_, index) => index % 2 === 1)
  }

  /** The number of a pushed list. `undefined`: ignore the list, because it is older than the list before it or has no stamp. */
  numberFor({ takenAtNs, isInitial }: Pick<PushedLists, 'takenAtNs' | 'isInitial'>): number | undefined {
    if (takenAtNs === undefined) return undefined
    if (isInitial && this.#connectedAt !== undefined) {
      // Accepted with any stamp: the orchestrator's clock may have been set back since the last connection.
      this.#prove(this.#connectedAt)
      this.#connectedAt = undefined
    } else if (this.#newestNs !== undefined && takenAtNs <= this.#newestNs) return undefined
    this.#newestNs = takenAtNs
    for (const { sequence, atNs } of this.#anchors) if (takenAtNs > atNs) this.#prove(sequence)
    this.#anchors = this.#anchors.filter(({ sequence }) => sequence > this.#proven)
    return this.#proven
  }

  #prove(sequence: number): void {
    this.#proven = Math.max(this.#proven, sequence)
  }
}
