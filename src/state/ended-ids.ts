import type { Retention } from './store.ts'

/**
 * The ids of ended streams, remembered by time and by number and forgotten oldest first. Never all at once: the Go client
 * cleared its whole map when it was full, and repeated ends killed other viewers' streams right after.
 */
export class EndedIds {
  /** Insertion order is order of ending, so the oldest is always first. */
  readonly #endedAt: Map<string, number>
  readonly #onForgotten: (streamId: string) => void

  /** `known`: those that ended before, oldest first. `onForgotten` hears of each that is beyond the retention. */
  constructor(known: Iterable<readonly [streamId: string, endedAt: number]> = [], onForgotten: (streamId: string) => void = () => {}) {
    this.#endedAt = new Map(known)
    this.#onForgotten = onForgotten
  }

  get size(): number {
    return this.#endedAt.size
  }

  /** Ids, each with when it ended, oldest first. */
  [Symbol.iterator](): IterableIterator<[streamId: string, endedAt: number]> {
    return this.#endedAt[Symbol.iterator]()
  }

  has(streamId: string, { now, retentionMs }: Retention): boolean {
    const endedAt = this.#endedAt.get(streamId)
    return endedAt !== undefined && now - endedAt < retentionMs
  }

  claim(streamId: string, retention: Retention): boolean {
    if (this.has(streamId, retention)) return false
    this.#endedAt.delete(streamId)
    this.#endedAt.set(streamId, retention.now)
    this.forget(retention)
    return true
  }

  unclaim(streamId: string): void {
    this.#endedAt.delete(streamId)
  }

  forget({ now, retentionMs, max }: Retention): number {
    let forgotten = 0
    for (const [streamId, endedAt] of this.#endedAt) {
      if (now - endedAt < retentionMs && this.#endedAt.size <= max) break
      this.#endedAt.delete(streamId)
      this.#onForgotten(streamId)
      forgotten += 1
    }
    return forgotten
  }
}
