import { BoundedIdSet, isOtherLife } from '../bounded-id-set.ts'
import type { JournalEntry, Retention } from '../store.ts'
import type { Operation } from './script.ts'

/** An end that Redis does not know yet. */
interface UnreportedEnd {
  readonly life: string
  /** By the clock of the store. */
  readonly claimedAt: number
}

/**
 * While Redis is unavailable, each start withdraws the end of its id. Nearly all of these ids never ended, so the oldest may be forgotten.
 */
const MAX_UNCLAIMED = 10_000
/** Ends in one operation. */
const MAX_ENDS = 300

/**
 * Keeps the ends that this process claimed, and the ends that Redis does not know yet. Does no I/O; {@link encode} makes the operations
 * that the write queue sends.
 */
export class LocalEnds {
  readonly #ended = new BoundedIdSet([], (streamId) => this.#remove(streamId))
  /** When each end was claimed, by the clock of the store, and whether it was delivered. */
  readonly #claims = new Map<string, { claimedAt: number; isDelivered: boolean }>()
  readonly #unreported = new Map<string, UnreportedEnd>()
  /** Ids whose claim Redis must withdraw -> the value of {@link unclaimCount} at the withdrawal. */
  readonly #unclaimed = new Map<string, number>()
  #unclaimCount = 0
  #generation = ''

  /** How many claims were withdrawn so far. */
  get unclaimCount(): number {
    return this.#unclaimCount
  }

  /** Whether Redis does not know all ends and withdrawals yet. */
  get hasUnreported(): boolean {
    return this.#unreported.size > 0 || this.#unclaimed.size > 0
  }

  /** Whether this process claimed the end of this life, and Redis may not know it. */
  isUnreported(streamId: string, retention: Retention, life: string): boolean {
    const end = this.#unreported.get(streamId)
    return end !== undefined && !isOtherLife(end.life, life) && this.#ended.has(streamId, retention)
  }

  /** Returns the ids among these that this process has claimed, each with its life. */
  among(streamIds: readonly string[], retention: Retention): Map<string, string> {
    return this.#ended.livesAmong(streamIds, retention)
  }

  /** Returns the ids among these that this process has claimed and Redis may not know, each with its life. */
  unreportedAmong(streamIds: readonly string[], retention: Retention): Map<string, string> {
    const unreported = streamIds.filter((streamId) => this.#unreported.has(streamId))
    return this.among(unreported, retention)
  }

  /**
   * Records a claim that Redis accepted.
   *
   * @param since {@link unclaimCount} when the claim was sent to Redis: a later withdrawal wins
   */
  addAccepted(streamId: string, retention: Retention, life: string, { now, since }: { now: number; since: number }): void {
    if ((this.#unclaimed.get(streamId) ?? 0) > since) return
    this.#ended.unclaim(streamId)
    this.#ended.claim(streamId, retention, life)
    this.#unreported.delete(streamId)
    this.#unclaimed.delete(streamId)
    this.#claims.set(streamId, { claimedAt: now, isDelivered: false })
  }

  /** Claims an end without Redis. `false`: this process has claimed it before. */
  claimWithoutRedis(streamId: string, retention: Retention, life: string, now: number): boolean {
    if (!this.#ended.claim(streamId, retention, life)) return false
    this.#unclaimed.delete(streamId)
    this.#unreported.set(streamId, { life, claimedAt: now })
    this.#claims.set(streamId, { claimedAt: now, isDelivered: false })
    return true
  }

  /** Withdraws a claim. */
  unclaim(streamId: string): void {
    this.#ended.unclaim(streamId)
    this.#remove(streamId)
    this.#unclaimCount += 1
    this.#unclaimed.set(streamId, this.#unclaimCount)
    const [oldest] = this.#unclaimed.keys()
    if (this.#unclaimed.size > MAX_UNCLAIMED && oldest !== undefined) this.#unclaimed.delete(oldest)
  }

  /** Records that the orchestrator applied the end, if this process claimed it. */
  noteDelivered(streamId: string): void {
    const claim = this.#claims.get(streamId)
    if (claim !== undefined) claim.isDelivered = true
  }

  /** Forgets ends beyond the retention. Returns how many. */
  forget(retention: Retention): number {
    return this.#ended.forget(retention)
  }

  /** Compares the generation of the ended ids in Redis with the last one: if it is another, Redis lost them. */
  noteGeneration(generation: string): void {
    const isLost = this.#generation !== '' && this.#generation !== generation
    this.#generation = generation
    if (isLost) this.markAllUnreported()
  }

  /** Marks all ends that this process claimed to be reported again, because Redis may have lost them. */
  markAllUnreported(): void {
    for (const [streamId, { life }] of this.#ended) {
      this.#unreported.set(streamId, { life, claimedAt: this.#claims.get(streamId)?.claimedAt ?? 0 })
    }
  }

  /**
   * Makes the operation that reports the next ends or withdrawals, up to {@link MAX_ENDS}. `undefined`: there are none.
   *
   * @param now by the clock of the store
   * @param time the first argument of the operation, see `nextTime` of the script
   */
  encode(now: number, time: string): Operation | undefined {
    if (this.#unreported.size > 0) return this.#encodeEnds([...this.#unreported].slice(0, MAX_ENDS), now, time)
    const unclaimed = [...this.#unclaimed].slice(0, MAX_ENDS)
    if (unclaimed.length === 0) return undefined
    const onApplied = (): void => {
      for (const [streamId, count] of unclaimed) if (this.#unclaimed.get(streamId) === count) this.#unclaimed.delete(streamId)
    }
    return { call: ['unclaimEnds', String(unclaimed.length), ...unclaimed.map(([streamId]) => streamId)], onApplied }
  }

  #encodeEnds(ends: readonly (readonly [streamId: string, end: UnreportedEnd])[], now: number, time: string): Operation {
    const onApplied = (): void => {
      for (const [streamId, end] of ends) if (this.#unreported.get(streamId) === end) this.#unreported.delete(streamId)
    }
    const args = ends.flatMap(([streamId, { claimedAt, life }]) => {
      const isDelivered = this.#claims.get(streamId)?.isDelivered === true
      return [streamId, String(now - claimedAt), isDelivered ? '1' : '0', life]
    })
    return { call: ['reportEnds', time, String(ends.length), ...args], onApplied }
  }

  #remove(streamId: string): void {
    this.#claims.delete(streamId)
    this.#unreported.delete(streamId)
  }
}

interface LocalEntry {
  /** The entry as JSON, as it is stored. */
  readonly text: string
  readonly life: string
  readonly isOver: boolean
  /** Whether this process wrote it and Redis has not confirmed it. Then it replaces any entry of the same id. */
  isUnconfirmed: boolean
}

interface SettledEntry {
  /** Whether this process wrote the entry or took it over. */
  readonly wasOurs: boolean
  readonly life: string
}

/**
 * Keeps the journal entries of this process, in the order in which they were written, and the settled entries that Redis may still have.
 * Does no I/O; {@link encode} makes the operations that the write queue sends.
 */
export class LocalJournal {
  readonly #entries = new Map<string, LocalEntry>()
  readonly #settled = new Map<string, SettledEntry>()

  get size(): number {
    return this.#entries.size
  }

  /** The streams of all entries. */
  get streamIds(): readonly string[] {
    return [...this.#entries.keys()]
  }

  /** Whether this process has an entry of this stream, or settled one. */
  has(streamId: string): boolean {
    return this.#entries.has(streamId) || this.#settled.has(streamId)
  }

  append(entry: JournalEntry): void {
    this.#settled.delete(entry.streamId)
    this.#entries.set(entry.streamId, localEntryOf(entry, true))
  }

  settle(streamId: string, life: string): void {
    const entry = this.#entries.get(streamId)
    this.#entries.delete(streamId)
    if (entry !== undefined) this.#settled.set(streamId, { wasOurs: true, life: entry.life })
    // A settled entry that this process wrote and that is not confirmed yet stays.
    else if (this.#settled.get(streamId)?.wasOurs !== true) this.#settled.set(streamId, { wasOurs: false, life })
  }

  /** Adds an entry that Redis has as this process's own: a dead process wrote it, or this process wrote it with the claim of the end. */
  adopt(entry: JournalEntry): void {
    this.#entries.set(entry.streamId, localEntryOf(entry, false))
  }

  /** Makes the operation that reports the entry of a stream, or that it is settled. `undefined`: Redis has neither. */
  encode(streamId: string): Operation | undefined {
    const entry = this.#entries.get(streamId)
    if (entry !== undefined) return this.#encodeEntry(streamId, entry)
    const settled = this.#settled.get(streamId)
    if (settled === undefined) return undefined
    const onApplied = (): void => {
      if (this.#settled.get(streamId) === settled) this.#settled.delete(streamId)
    }
    return { call: ['settleEntry', streamId, settled.wasOurs ? '1' : '0', settled.life], onApplied }
  }

  #encodeEntry(streamId: string, entry: LocalEntry): Operation {
    const { text, life, isOver, isUnconfirmed } = entry
    const onApplied = (answer: unknown): void => {
      entry.isUnconfirmed = false
      // Another process has the entry now, or has ended the stream.
      if (Number(answer) === 0 && this.#entries.get(streamId) === entry) this.#entries.delete(streamId)
    }
    return { call: [isUnconfirmed ? 'writeEntry' : 'restoreEntry', streamId, life, isOver ? '1' : '0', text], onApplied }
  }
}

/** The arguments of `writeEntry` for an entry. */
export function argumentsOf(entry: JournalEntry): readonly string[] {
  const { text, life, isOver } = localEntryOf(entry, false)
  return [entry.streamId, life, isOver ? '1' : '0', text]
}

const localEntryOf = (entry: JournalEntry, isUnconfirmed: boolean): LocalEntry => {
  return { text: JSON.stringify(entry), life: entry.life ?? '', isOver: entry.isOver, isUnconfirmed }
}
