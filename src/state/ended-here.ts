import type { Sequence } from '../runtime/sequence.ts'

/**
 * Streams that are over here but may still be in a list: one requested before the orchestrator acknowledged the end. Such an id is
 * no load. In a list requested later it is, since then the orchestrator means it.
 */
export class EndedHere {
  /** Stream id -> sequence at which its end was acknowledged, or Infinity while it is not. */
  readonly #acknowledgedAt = new Map<string, number>()
  readonly #sequence: Sequence
  readonly #max: number

  constructor(sequence: Sequence, max: number) {
    this.#sequence = sequence
    this.#max = max
  }

  get size(): number {
    return this.#acknowledgedAt.size
  }

  end(streamId: string): void {
    this.#acknowledgedAt.set(streamId, Number.POSITIVE_INFINITY)
    if (this.#acknowledgedAt.size <= this.#max) return
    const [oldest] = this.#acknowledgedAt.keys()
    if (oldest !== undefined) this.#acknowledgedAt.delete(oldest)
  }

  acknowledge(streamId: string): void {
    if (this.#acknowledgedAt.has(streamId)) this.#acknowledgedAt.set(streamId, this.#sequence.next())
  }

  /** The id lives again, or was never there. */
  forget(streamId: string): void {
    this.#acknowledgedAt.delete(streamId)
  }

  /** Whether a list requested at `requestedAt` may show this id although the stream is over. */
  isOver(streamId: string, requestedAt: number): boolean {
    return (this.#acknowledgedAt.get(streamId) ?? -1) > requestedAt
  }

  /** No list requested before `requestedAt` will be used any more. */
  forgetBefore(requestedAt: number): void {
    for (const [streamId, acknowledgedAt] of this.#acknowledgedAt) {
      if (acknowledgedAt < requestedAt) this.#acknowledgedAt.delete(streamId)
    }
  }
}
