import type { Retention } from './store.ts'

/**
 * The ids of ended streams, remembered by time and by number and forgotten oldest first. Never all at once: the Go client
 * cleared its whole map when it was full, and repeated ends killed other viewers' streams right after.
 */
export class EndedIds {
  /** Insertion order is order of ending, so the oldest is always first. */
  readonly #endedAt = new Map<string, number>()

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
      forgotten += 1
    }
    return forgotten
  }
}
