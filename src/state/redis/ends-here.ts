import { type EndedId, EndedIds, isOtherLife, livesAmong } from '../ended-ids.ts'
import type { Retention } from '../store.ts'

/** Ends told to Redis by one renewal. */
const BATCH = 1_000
/** Starts forget ends by the thousand while Redis is away, nearly all of them of ids that nobody ever ended. */
const MOST_UNCLAIMED = 10_000

/** What a renewal asks of the ended ids. */
export interface EndsWork {
  readonly claimed: readonly (readonly [streamId: string, ended: EndedId])[]
  readonly unclaimed: readonly string[]
}

/** The ends claimed by this process, and what Redis has still to be told about them. */
export class EndsHere {
  readonly #ended = new EndedIds()
  readonly #untold = new Map<string, EndedId>()
  readonly #unclaimed = new Set<string>()

  get hasWork(): boolean {
    return this.#untold.size > 0 || this.#unclaimed.size > 0
  }

  /** Whether this process claimed this life while Redis was away, and Redis may not know. */
  isUntold(streamId: string, retention: Retention, life: string): boolean {
    const untold = this.#untold.get(streamId)
    return untold !== undefined && !isOtherLife(untold.life, life) && this.#ended.has(streamId, retention)
  }

  /** Of these ids those that this process has claimed, with their lives. */
  among(streamIds: readonly string[], retention: Retention): Map<string, string> {
    return livesAmong(this.#ended, streamIds, retention)
  }

  /** Of these ids those that Redis may not know to be claimed by this process, with their lives. */
  untoldAmong(streamIds: readonly string[], retention: Retention): Map<string, string> {
    const untold = streamIds.filter((streamId) => this.#untold.has(streamId))
    return this.among(untold, retention)
  }

  /** Redis accepted a claim. */
  claimed(streamId: string, retention: Retention, life: string): void {
    this.#ended.unclaim(streamId)
    this.#ended.claim(streamId, retention, life)
    this.#untold.delete(streamId)
    this.#unclaimed.delete(streamId)
  }

  /** Claims without Redis. */
  claimAlone(streamId: string, retention: Retention, life: string): boolean {
    if (!this.#ended.claim(streamId, retention, life)) return false
    this.#unclaimed.delete(streamId)
    this.#untold.set(streamId, { endedAt: retention.now, life })
    this.#forgetUntold(retention)
    return true
  }

  /** Forgets an end. Answers what is to be called when Redis could not be told. */
  unclaim(streamId: string): () => void {
    this.#ended.unclaim(streamId)
    this.#untold.delete(streamId)
    return () => {
      this.#unclaimed.add(streamId)
      const [oldest] = this.#unclaimed
      if (this.#unclaimed.size > MOST_UNCLAIMED && oldest !== undefined) this.#unclaimed.delete(oldest)
    }
  }

  forget(retention: Retention): number {
    this.#forgetUntold(retention)
    return this.#ended.forget(retention)
  }

  /** Redis lost its memory: all that is known here is to be told again. */
  lost(): void {
    for (const [streamId, ended] of this.#ended) this.#untold.set(streamId, ended)
  }

  /** What a renewal is to tell. Answers what is to be called once it has. */
  work(): { work: EndsWork; done: () => void } {
    const claimed = [...this.#untold].slice(0, BATCH)
    const unclaimed = [...this.#unclaimed].slice(0, BATCH)
    const done = (): void => {
      for (const [streamId, ended] of claimed) if (this.#untold.get(streamId) === ended) this.#untold.delete(streamId)
      for (const streamId of unclaimed) this.#unclaimed.delete(streamId)
    }
    return { work: { claimed, unclaimed }, done }
  }

  #forgetUntold({ now, retentionMs, max }: Retention): void {
    for (const [streamId, { endedAt }] of this.#untold) {
      if (now - endedAt < retentionMs && this.#untold.size <= max) break
      this.#untold.delete(streamId)
    }
  }
}
