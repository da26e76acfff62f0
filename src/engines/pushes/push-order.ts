import type { PushedLists } from '../../orchestrator/schemas.ts'
import type { Sequence } from '../../runtime/sequence.ts'

/** What the orchestrator's clock showed when something that was sent here arrived there. */
interface Anchor {
  /** The number it was sent under. */
  readonly sequence: number
  /** Nanoseconds since the epoch, by the orchestrator's clock. */
  readonly atNs: bigint
}

/** More are not kept between two pushes; dropping one only makes a proof weaker. */
const MOST_ANCHORS = 256

/**
 * Where a pushed list stands among all that was sent and acknowledged here. Everything that orders lists asks for the number under which
 * a list was *requested*: a list of number n holds whatever was acknowledged before n, and may lack what was acknowledged after. A push
 * was never requested, and may have been on its way for any time. So its number is the highest that can be proven:
 *
 * - Something sent under number n that the orchestrator stamped with its own time t proves: whatever was acknowledged before n was
 *   applied before n was sent, and so before t. A push with a timestamp later than t was taken after that, and counts as requested at n.
 *   Acknowledged starts carry such a stamp (`started_at`), and so does the answer to a question for the time.
 * - The message that answers a new connection was taken after the connection was asked for, and counts as requested at that.
 * - Any other push counts as its predecessor does. So what was acknowledged since is not believed to be in it: a stream ended here stays
 *   over though the push still shows it, and whoever needs a list newer than that asks for one.
 *
 * Numbers only err downwards, and local clocks play no part. Stamps are compared in nanoseconds, since a start and a push may well
 * share their millisecond.
 */
export class PushOrder {
  readonly #sequence: Sequence
  #anchors: Anchor[] = []
  /** The number of this connection, while no message on it has used it. */
  #connectedAt: number | undefined
  /** The highest number proven so far; 0, which claims nothing, until one is. */
  #proven = 0
  /** When the newest push so far was taken. */
  #newestNs: bigint | undefined

  constructor(sequence: Sequence) {
    this.#sequence = sequence
  }

  /** A connection is about to be asked for. */
  connecting(): void {
    this.#connectedAt = this.#sequence.next()
  }

  asked(): number {
    return this.#sequence.next()
  }

  acknowledged(sequence: number, atNs: bigint | undefined): void {
    if (atNs === undefined || sequence <= this.#proven) return
    this.#anchors.push({ sequence, atNs })
    if (this.#anchors.length > MOST_ANCHORS) this.#anchors = this.#anchors.filter((_, index) => index % 2 === 1)
  }

  /** The number of a pushed list; `undefined` for one that is older than its predecessor, or does not tell its time. */
  place({ takenAtNs, isInitial }: Pick<PushedLists, 'takenAtNs' | 'isInitial'>): number | undefined {
    if (takenAtNs === undefined) return undefined
    if (isInitial && this.#connectedAt !== undefined) {
      // Whatever its clock shows: an orchestrator that was moved to another machine, or set right, begins anew here.
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
