import { RecentIds } from './recent-ids.ts'
import type { Retention } from './store.ts'

/** When an id ended, on the clock of {@link Retention}, and the life that ended (`''`: not known). */
export interface EndedIdRecord {
  readonly endedAt: number
  readonly life: string
}

/** Whether these are two lives of one id. If one of them is not known, they count as the same. */
export const isOtherLife = (known: string, life: string): boolean => known !== '' && life !== '' && known !== life

/**
 * Ids of ended streams, bounded by age and by number, forgotten oldest first. They are never forgotten all at once: a client that cleared
 * its whole map when it was full sent repeated ends, which ended other viewers' streams (H1).
 *
 * All calls of one instance must use the same `retentionMs` and `max`.
 */
export class BoundedIdSet {
  /** In the order of the ends, so the oldest is the first. The text of each is its life. */
  readonly #ended = new RecentIds()
  readonly #onForgotten: (streamId: string) => void

  /**
   * @param known ids that ended before, oldest first
   * @param onForgotten called with each id that is beyond the retention and is forgotten
   */
  constructor(known: Iterable<readonly [streamId: string, ended: EndedIdRecord]> = [], onForgotten: (streamId: string) => void = () => {}) {
    for (const [streamId, { endedAt, life }] of known) this.#ended.set(streamId, endedAt, life)
    this.#onForgotten = onForgotten
  }

  get size(): number {
    return this.#ended.size
  }

  /** All ids, oldest first. */
  *[Symbol.iterator](): IterableIterator<[streamId: string, ended: EndedIdRecord]> {
    for (const [streamId, endedAt, life] of this.#ended) yield [streamId, { endedAt, life }]
  }

  has(streamId: string, retention: Retention): boolean {
    return this.lifeOf(streamId, retention) !== undefined
  }

  /** The life that ended under this id (`''`: not known), or `undefined` if none ended within the retention. */
  lifeOf(streamId: string, { now, retentionMs }: Retention): string | undefined {
    const endedAt = this.#ended.timeOf(streamId)
    return endedAt !== undefined && now - endedAt < retentionMs ? this.#ended.textOf(streamId) : undefined
  }

  /** Returns the ids among these that ended within the retention, each with the life that ended. */
  livesAmong(streamIds: readonly string[], retention: Retention): Map<string, string> {
    const lives = new Map<string, string>()
    for (const streamId of streamIds) {
      const life = this.lifeOf(streamId, retention)
      if (life !== undefined) lives.set(streamId, life)
    }
    return lives
  }

  /** Whether a claim of this life would succeed. */
  isFree(streamId: string, retention: Retention, life = ''): boolean {
    const known = this.lifeOf(streamId, retention)
    return known === undefined || isOtherLife(known, life)
  }

  /** Adds the id. `false`: the same life ended within the retention already. */
  claim(streamId: string, retention: Retention, life = ''): boolean {
    if (!this.isFree(streamId, retention, life)) return false
    this.#ended.set(streamId, retention.now, life)
    this.forget(retention)
    return true
  }

  unclaim(streamId: string): void {
    this.#ended.delete(streamId)
  }

  /** Forgets the ids beyond the retention. Returns how many. */
  forget({ now, retentionMs, max }: Retention): number {
    let count = 0
    for (const [streamId, endedAt] of this.#ended) {
      if (now - endedAt < retentionMs && this.#ended.size <= max) break
      this.#ended.delete(streamId)
      this.#onForgotten(streamId)
      count += 1
    }
    return count
  }
}
