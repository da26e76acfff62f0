import type { EndedIds } from '../engines/list/snapshot.ts'
import type { Sequence } from '../runtime/sequence.ts'

/** Dependencies and options of {@link OverIds}. */
export interface OverIdsParts {
  sequence: Sequence
  /** How many ids are remembered; the oldest is forgotten first. */
  max: number
}

/** The ids of streams that are over, although lists that were requested before their ends were acknowledged may still show them. */
export class OverIds implements EndedIds {
  readonly #sequence: Sequence
  readonly #max: number
  /** The sequence number at which the end of each id was acknowledged; `Infinity` while it is not. */
  readonly #acknowledgedAt = new Map<string, number>()
  readonly #listeners: ((streamId: string) => void)[] = []

  constructor({ sequence, max }: OverIdsParts) {
    this.#sequence = sequence
    this.#max = max
  }

  isOver(streamId: string, requestedAt: number): boolean {
    return (this.#acknowledgedAt.get(streamId) ?? -1) > requestedAt
  }

  forgetBefore(requestedAt: number): void {
    for (const [streamId, acknowledgedAt] of this.#acknowledgedAt) {
      if (acknowledgedAt < requestedAt) this.markNotOver(streamId)
    }
  }

  onChange(listener: (streamId: string) => void): void {
    this.#listeners.push(listener)
  }

  /** Records that a stream of this process is over. No list counts it until its end is acknowledged. */
  markOver(streamId: string): void {
    this.#acknowledgedAt.set(streamId, Number.POSITIVE_INFINITY)
    this.#changed(streamId)
    if (this.#acknowledgedAt.size <= this.#max) return
    const [oldest] = this.#acknowledgedAt.keys()
    if (oldest !== undefined) this.markNotOver(oldest)
  }

  /** Records that the id is live again or was never announced: every list counts it. */
  markNotOver(streamId: string): void {
    if (this.#acknowledgedAt.delete(streamId)) this.#changed(streamId)
  }

  markEnded(streamId: string): void {
    this.markOver(streamId)
    this.acknowledge(streamId)
  }

  /** Records that the end of a stream that is over was acknowledged. For every list that exists the stream stays over. */
  acknowledge(streamId: string): void {
    if (this.#acknowledgedAt.has(streamId)) this.#acknowledgedAt.set(streamId, this.#sequence.next())
  }

  #changed(streamId: string): void {
    for (const listener of this.#listeners) listener(streamId)
  }
}
