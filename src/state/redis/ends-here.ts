import { EndedIds, isOtherLife, livesAmong } from '../ended-ids.ts'
import type { Retention } from '../store.ts'
import type { Operation } from './outbox.ts'

/** An end that Redis has still to be told of. */
interface Untold {
  readonly life: string
  /** By the store's clock. */
  readonly claimedAt: number
}

/** Starts forget ends by the thousand while Redis is away, nearly all of them of ids that nobody ever ended. */
const MOST_UNCLAIMED = 10_000

/** The ends claimed by this process, and what Redis has still to be told about them. */
export class EndsHere {
  readonly #ended = new EndedIds([], (streamId) => this.#forgotten(streamId))
  readonly #untold = new Map<string, Untold>()
  readonly #unclaimed = new Set<string>()
  /** When each end was claimed, by the store's clock. */
  readonly #claimedAt = new Map<string, number>()
  #generation = ''

  /** Whether this process claimed this life, and Redis may not know. */
  isUntold(streamId: string, retention: Retention, life: string): boolean {
    const untold = this.#untold.get(streamId)
    return untold !== undefined && !isOtherLife(untold.life, life) && this.#ended.has(streamId, retention)
  }

  /** Whether this process claimed this life. */
  isKnown(streamId: string, retention: Retention, life: string): boolean {
    return !this.#ended.isFree(streamId, retention, life)
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
  claimed(streamId: string, retention: Retention, life: string, now: number): void {
    this.#ended.unclaim(streamId)
    this.#ended.claim(streamId, retention, life)
    this.#untold.delete(streamId)
    this.#unclaimed.delete(streamId)
    this.#claimedAt.set(streamId, now)
  }

  /** Claims without Redis. */
  claimAlone(streamId: string, retention: Retention, life: string, now: number): boolean {
    if (!this.#ended.claim(streamId, retention, life)) return false
    this.#unclaimed.delete(streamId)
    this.#untold.set(streamId, { life, claimedAt: now })
    this.#claimedAt.set(streamId, now)
    return true
  }

  unclaim(streamId: string): void {
    this.#ended.unclaim(streamId)
    this.#untold.delete(streamId)
    this.#claimedAt.delete(streamId)
    this.#unclaimed.add(streamId)
    const [oldest] = this.#unclaimed
    if (this.#unclaimed.size > MOST_UNCLAIMED && oldest !== undefined) this.#unclaimed.delete(oldest)
  }

  forget(retention: Retention): number {
    return this.#ended.forget(retention)
  }

  /**
   * Which state of the ended ids Redis has. Where it is another one than before, Redis lost them: answers the ids to be reported.
   */
  see(generation: string): readonly string[] {
    const isLost = this.#generation !== '' && this.#generation !== generation
    this.#generation = generation
    return isLost ? this.lost() : []
  }

  /** Redis may have lost ended ids: answers those to be reported. */
  lost(): readonly string[] {
    for (const [streamId, { life }] of this.#ended) this.#untold.set(streamId, { life, claimedAt: this.#claimedAt.get(streamId) ?? 0 })
    return [...this.#untold.keys()]
  }

  /** What tells Redis of an end. `time`: by whose time it goes. */
  encode(streamId: string, now: number, time: string): Operation | undefined {
    const untold = this.#untold.get(streamId)
    if (untold !== undefined) {
      const applied = (): void => {
        if (this.#untold.get(streamId) === untold) this.#untold.delete(streamId)
      }
      return { args: ['T', time, streamId, String(now - untold.claimedAt), untold.life], applied }
    }
    if (!this.#unclaimed.has(streamId)) return undefined
    return { args: ['U', streamId], applied: () => void this.#unclaimed.delete(streamId) }
  }

  #forgotten(streamId: string): void {
    this.#claimedAt.delete(streamId)
    this.#untold.delete(streamId)
  }
}
