import { BoundedIdSet, isOtherLife, livesAmong } from '../bounded-id-set.ts'
import type { Retention } from '../store.ts'
import type { Operation } from './write-queue.ts'

/** An end that Redis has still to be told of. */
interface Untold {
  readonly life: string
  /** By the store's clock. */
  readonly claimedAt: number
}

/** Starts forget ends by the thousand while Redis is away, nearly all of them of ids that nobody ever ended. */
const MOST_UNCLAIMED = 10_000
/** Ends reported by one operation. */
const MOST_AT_ONCE = 300

/** The ends claimed by this process, and what Redis has still to be told about them. */
export class LocalEnds {
  readonly #ended = new BoundedIdSet([], (streamId) => this.#forgotten(streamId))
  readonly #untold = new Map<string, Untold>()
  /** Id -> the number of this change. */
  readonly #unclaimed = new Map<string, number>()
  #changeCount = 0
  /** Ends that were delivered. */
  readonly #delivered = new Set<string>()
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

  /** How often an end was taken back so far. */
  get changeCount(): number {
    return this.#changeCount
  }

  /** Redis accepted a claim, which was asked for when so many ends had been taken back. */
  claimed(streamId: string, retention: Retention, life: string, { now, since }: { now: number; since: number }): void {
    if ((this.#unclaimed.get(streamId) ?? 0) > since) return
    this.#ended.unclaim(streamId)
    this.#ended.claim(streamId, retention, life)
    this.#untold.delete(streamId)
    this.#unclaimed.delete(streamId)
    this.#claimedAt.set(streamId, now)
    this.#delivered.delete(streamId)
  }

  /** Claims without Redis. */
  claimAlone(streamId: string, retention: Retention, life: string, now: number): boolean {
    if (!this.#ended.claim(streamId, retention, life)) return false
    this.#unclaimed.delete(streamId)
    this.#untold.set(streamId, { life, claimedAt: now })
    this.#claimedAt.set(streamId, now)
    this.#delivered.delete(streamId)
    return true
  }

  unclaim(streamId: string): void {
    this.#ended.unclaim(streamId)
    this.#untold.delete(streamId)
    this.#claimedAt.delete(streamId)
    this.#delivered.delete(streamId)
    this.#changeCount += 1
    this.#unclaimed.set(streamId, this.#changeCount)
    const [oldest] = this.#unclaimed.keys()
    if (this.#unclaimed.size > MOST_UNCLAIMED && oldest !== undefined) this.#unclaimed.delete(oldest)
  }

  /** The end was delivered, if this process claimed it. */
  delivered(streamId: string): void {
    if (this.#claimedAt.has(streamId)) this.#delivered.add(streamId)
  }

  forget(retention: Retention): number {
    return this.#ended.forget(retention)
  }

  /** Which state of the ended ids Redis has: where it is another one than before, Redis lost them. */
  see(generation: string): void {
    const isLost = this.#generation !== '' && this.#generation !== generation
    this.#generation = generation
    if (isLost) this.lost()
  }

  /** Redis may have lost ended ids: all that this process claimed are to be reported. */
  lost(): void {
    for (const [streamId, { life }] of this.#ended) this.#untold.set(streamId, { life, claimedAt: this.#claimedAt.get(streamId) ?? 0 })
  }

  /** Redis has still to be told of ends. */
  get hasUntold(): boolean {
    return this.#untold.size > 0 || this.#unclaimed.size > 0
  }

  /** What reports ends, a number of them at once. `time`: by whose time it goes. */
  encode(now: number, time: string): Operation | undefined {
    if (this.#untold.size > 0) return this.#report([...this.#untold].slice(0, MOST_AT_ONCE), now, time)
    const ids = [...this.#unclaimed].slice(0, MOST_AT_ONCE)
    if (ids.length === 0) return undefined
    const applied = (): void => {
      for (const [streamId, number] of ids) if (this.#unclaimed.get(streamId) === number) this.#unclaimed.delete(streamId)
    }
    return { args: ['U', String(ids.length), ...ids.map(([streamId]) => streamId)], applied }
  }

  #report(ends: readonly (readonly [streamId: string, end: Untold])[], now: number, time: string): Operation {
    const applied = (): void => {
      for (const [streamId, end] of ends) if (this.#untold.get(streamId) === end) this.#untold.delete(streamId)
    }
    const listed = ends.flatMap(([streamId, { claimedAt, life }]) => [
      streamId,
      String(now - claimedAt),
      this.#delivered.has(streamId) ? '1' : '0',
      life,
    ])
    return { args: ['T', time, String(ends.length), ...listed], applied }
  }

  #forgotten(streamId: string): void {
    this.#claimedAt.delete(streamId)
    this.#delivered.delete(streamId)
    this.#untold.delete(streamId)
  }
}
