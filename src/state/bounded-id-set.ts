import type { Retention } from './store.ts'

/** When an id ended, and which life of it; `''` where its life is not known. */
export interface EndedId {
  readonly endedAt: number
  readonly life: string
}

/** Whether these are two lives of one id. Where either is not known they count as one. */
export const isOtherLife = (known: string, life: string): boolean => known !== '' && life !== '' && known !== life

/**
 * The ids of ended streams, remembered by time and by number and forgotten oldest first. Never all at once: the Go client
 * cleared its whole map when it was full, and repeated ends killed other viewers' streams right after.
 *
 * All ids in one instance share one retention: ids that have another one belong in an instance of their own.
 */
export class BoundedIdSet {
  /** Insertion order is order of ending, so the oldest is always first. */
  readonly #ended: Map<string, EndedId>
  readonly #onForgotten: (streamId: string) => void

  /** `known`: those that ended before, oldest first. `onForgotten` hears of each that is beyond the retention. */
  constructor(known: Iterable<readonly [streamId: string, ended: EndedId]> = [], onForgotten: (streamId: string) => void = () => {}) {
    this.#ended = new Map(known)
    this.#onForgotten = onForgotten
  }

  get size(): number {
    return this.#ended.size
  }

  /** Ids, each with when it ended and its life, oldest first. */
  [Symbol.iterator](): IterableIterator<[streamId: string, ended: EndedId]> {
    return this.#ended[Symbol.iterator]()
  }

  has(streamId: string, retention: Retention): boolean {
    return this.lifeOf(streamId, retention) !== undefined
  }

  /** The life that ended under this id, `''` where it is not known; `undefined`: none ended within the retention. */
  lifeOf(streamId: string, { now, retentionMs }: Retention): string | undefined {
    const ended = this.#ended.get(streamId)
    return ended !== undefined && now - ended.endedAt < retentionMs ? ended.life : undefined
  }

  /** Those of the ids that ended within the retention, each with the life that ended. */
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

  claim(streamId: string, retention: Retention, life = ''): boolean {
    if (!this.isFree(streamId, retention, life)) return false
    this.#ended.delete(streamId)
    this.#ended.set(streamId, { endedAt: retention.now, life })
    this.forget(retention)
    return true
  }

  unclaim(streamId: string): void {
    this.#ended.delete(streamId)
  }

  forget({ now, retentionMs, max }: Retention): number {
    let forgotten = 0
    for (const [streamId, { endedAt }] of this.#ended) {
      if (now - endedAt < retentionMs && this.#ended.size <= max) break
      this.#ended.delete(streamId)
      this.#onForgotten(streamId)
      forgotten += 1
    }
    return forgotten
  }
}
