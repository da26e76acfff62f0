import type { EndedIds } from '../engines/list/snapshot.ts'
import type { Stream } from '../model/stream.ts'
import type { Clock } from '../runtime/clock.ts'
import { isPromiseLike, type MaybePromise, toPromise, whenAnswered } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { Sequence } from '../runtime/sequence.ts'
import type { JournalEntry, Retention, StateStore } from '../state/store.ts'
import type { ObservedStreams } from './delivery/observation.ts'
import { EndStatuses, type OpenEnd, type OpenStatus, type SettledStatus } from './end-statuses.ts'
import type { Journal } from './journal.ts'
import { isListed, lifeAfterEnd, lifeListed } from './life.ts'
import { OverIds } from './over-ids.ts'

/** Dependencies and options of {@link EndedLedger}. */
export interface EndedLedgerParts {
  store: StateStore
  journal: Journal
  sequence: Sequence
  clock: Clock
  outages: Outages
  /** How long ended ids are remembered. */
  endedRetentionMs: number
  /** How many ids of each status are remembered; the oldest is forgotten first. */
  endedRetentionMax: number
}

/**
 * Status of the end of an id, as far as this process knows it.
 *
 * - `ending`: an end is queued or being sent.
 * - `ended`: this process ended it, and the orchestrator applied the end or knew no such stream. Remembered for the retention.
 * - `unapplied`: its end was given up or rejected. Reconciliation sends it again while the orchestrator lists the stream.
 * - `delegated`: another process claimed its end first and sends it. Its journal entry stays until a list shows that the stream is over.
 * - `never-announced`: its start was rejected or never sent. An end for it would end other viewers' streams (H3). Remembered for the
 *   retention.
 */
export type EndStatus = 'ending' | SettledStatus

const CLAIMING = 'Claiming ends in the store'
const FORGETTING = 'Forgetting ends in the store'
const READING = 'Reading ended streams from the store'

/** Within this time only one process ends a listed stream again. */
const AGAIN_MS = 20_000

/**
 * The one place that knows which ids are over. It records the status of the last end of each id ({@link statusOf}), which lists are too old to
 * show that end ({@link isOver}), and, in the store, which life of an id was ended by any process ({@link claim}, {@link endedAmong}).
 *
 * If the store fails, the failure is logged and the end is sent. A second end does no harm: it names one id, so it ends no other stream.
 */
export class EndedLedger implements EndedIds {
  readonly #parts: EndedLedgerParts
  /** Ends that are queued or being sent, by id. */
  readonly #ending = new Map<string, number>()
  readonly #statuses: EndStatuses
  /** Ids that old lists may still show. */
  readonly #over: OverIds
  #lastClaimAt = Number.NEGATIVE_INFINITY

  constructor(parts: EndedLedgerParts) {
    this.#parts = parts
    const onUnappliedForgotten = (streamId: string, life: string): void => parts.journal.remove(streamId, life)
    this.#statuses = new EndStatuses({ ...parts, onUnappliedForgotten })
    this.#over = new OverIds({ sequence: parts.sequence, max: parts.endedRetentionMax })
  }

  /** Status of the end of this id. `undefined`: the id is not over, as far as this process knows. */
  statusOf(streamId: string): EndStatus | undefined {
    return this.#ending.has(streamId) ? 'ending' : this.#statuses.get(streamId)
  }

  /** Runs `work`, which queues and sends an end. The id is `ending` until it settles. */
  whileEnding<T>(streamId: string, work: () => Promise<T>): Promise<T> {
    this.#ending.set(streamId, (this.#ending.get(streamId) ?? 0) + 1)
    const settle = (): void => {
      const count = (this.#ending.get(streamId) ?? 0) - 1
      if (count > 0) this.#ending.set(streamId, count)
      else this.#ending.delete(streamId)
    }
    const working = work()
    working.then(settle, settle)
    return working
  }

  /** Whether an end of this id was given up or rejected, and was not delivered since. */
  isUnapplied(streamId: string): boolean {
    return this.#statuses.open('unapplied').has(streamId)
  }

  /** Whether this process ended the id, so that it knows which lists are too old to show the end. */
  isOwn(streamId: string): boolean {
    return this.#statuses.isOwn(streamId)
  }

  /** Whether an end is remembered that may have to be sent again. */
  get mayRemember(): boolean {
    const { clock, endedRetentionMs } = this.#parts
    return this.#statuses.hasOpen || clock.now() - this.#lastClaimAt < endedRetentionMs
  }

  // Lists that are too old to show an end.

  isOver(streamId: string, requestedAt: number): boolean {
    return this.#over.isOver(streamId, requestedAt)
  }

  onChange(listener: (streamId: string) => void): void {
    this.#over.onChange(listener)
  }

  forgetBefore(requestedAt: number): void {
    this.#over.forgetBefore(requestedAt)
  }

  /** See {@link OverIds.markOver}. */
  markOver(streamId: string): void {
    this.#over.markOver(streamId)
  }

  /** See {@link OverIds.markNotOver}. */
  markNotOver(streamId: string): void {
    this.#over.markNotOver(streamId)
  }

  markEnded(streamId: string): void {
    this.#over.markEnded(streamId)
  }

  // The outcome of an end.

  /**
   * Claims the end of this life of an id. Returns `true` if no process claimed it before, or the store fails. Returns `false`
   * if a process claimed it, which sends the end or has sent it.
   *
   * @param life `''`: not known
   * @param entry is written to the journal, unless another process claimed the end
   */
  claim(streamId: string, life: string, entry?: JournalEntry): MaybePromise<boolean> {
    const { store, clock, outages, journal } = this.#parts
    this.#lastClaimAt = clock.now()
    const status = this.#statuses.get(streamId)
    // An end stays unapplied until it is delivered. An end stays delegated because the other process may still fail.
    if (status === 'unapplied' || status === 'delegated') this.#statuses.touch(streamId, status)
    else this.#statuses.set(streamId, 'ended')
    let mustWrite = entry !== undefined
    const claim = (): MaybePromise<boolean> =>
      entry === undefined || store.claimEndWith === undefined
        ? store.claimEnd(streamId, this.#retention(), life)
        : store.claimEndWith(entry, this.#retention(), life)
    const onClaimed = (isFirst: boolean): boolean => {
      outages.works(CLAIMING)
      if (store.claimEndWith !== undefined) mustWrite = false
      return isFirst
    }
    const onFailure = (error: unknown): boolean => {
      outages.failed(CLAIMING, 'The store failed to claim an end; the end is sent all the same', { streamId, error })
      return true
    }
    const write = (isFirst: boolean): MaybePromise<boolean> => {
      const written = isFirst && mustWrite && entry !== undefined ? journal.write(entry) : undefined
      return isPromiseLike(written) ? toPromise(written).then(() => isFirst) : isFirst
    }
    const claimed = whenAnswered(claim, onClaimed, onFailure)
    return isPromiseLike(claimed) ? toPromise(claimed).then(write) : write(claimed)
  }

  /** Allows another end of the id: it starts anew, or its end was not delivered. */
  unclaim(streamId: string): MaybePromise<void> {
    const { store, outages } = this.#parts
    this.#statuses.forget(streamId)
    const onFailure = (error: unknown): void => {
      outages.failed(FORGETTING, 'The store failed to forget an end; the next end of the same id may not be sent', { streamId, error })
    }
    const onUnclaimed = (): void => outages.works(FORGETTING)
    return whenAnswered(() => store.unclaimEnd(streamId), onUnclaimed, onFailure)
  }

  /**
   * Claims one more end of a stream that was ended and is listed. Returns the life to end, to the first process that calls this.
   * Returns `undefined` if another process ends the stream again, or the id was started anew since.
   */
  async claimAgain(listed: Stream): Promise<string | undefined> {
    const life = (await this.#livesAmong([listed])).get(listed.id)
    if (life === undefined || isLater(life, listed)) return undefined
    const next = lifeAfterEnd(life, listed, Math.floor(this.#parts.clock.now() / AGAIN_MS))
    return (await this.claim(listed.id, next)) ? next : undefined
  }

  /** Records that the orchestrator knows of no start under this id. If the end of an earlier life is unapplied or delegated, that stays. */
  markNeverAnnounced(streamId: string): void {
    if (['ended', undefined].includes(this.#statuses.get(streamId))) this.#statuses.set(streamId, 'never-announced')
  }

  /** Records that the orchestrator applied the end, or knows no such stream. */
  delivered(streamId: string, life: string): void {
    if (this.isUnapplied(streamId)) this.#statuses.set(streamId, 'ended')
    this.#parts.journal.remove(streamId, life)
    this.#over.acknowledge(streamId)
  }

  /** Records that the end was given up or rejected. */
  async gaveUp(streamId: string, life: string): Promise<void> {
    await this.unclaim(streamId) // so that the host may try again
    this.#statuses.set(streamId, 'unapplied', life)
  }

  /** Records that another process claimed the end first, and sends it. */
  delegated(streamId: string, life: string): void {
    this.#over.acknowledge(streamId)
    if (life !== '') this.#statuses.set(streamId, 'delegated', life)
  }

  /**
   * Finds out which life an unapplied end by id was meant for, in streams that were listed after the host requested the end. Only this life is
   * ended again. If no such stream is listed, there is nothing to end.
   */
  identify(streamId: string, streams: ObservedStreams, reason: string | undefined): MaybePromise<void> {
    const { journal } = this.#parts
    const record = this.#statuses.open('unapplied').get(streamId)
    if (record === undefined || record.life !== '') return
    const listed = streams.live.get(streamId)
    if (listed !== undefined) {
      const life = lifeListed(listed)
      this.#statuses.identify(streamId, life)
      return journal.recordEnd(streamId, reason, life)
    }
    if (streams.mayHide(streamId, undefined)) return
    this.#statuses.forget(streamId)
    journal.remove(streamId, '')
  }

  /**
   * Settles each end that was given up or delegated, if a list requested after that does not show its life any more. The life stays claimed: a
   * late start of it may still be applied.
   *
   * @param sequence the streams were requested after this number
   */
  async settleUnlisted(streams: ObservedStreams, sequence: number): Promise<void> {
    const isGone = (streamId: string, life: string): boolean => {
      const listed = streams.live.get(streamId)
      return listed === undefined ? !streams.mayHide(streamId, undefined) : isLater(life, listed)
    }
    const settleGone = (status: OpenStatus): [string, OpenEnd][] => {
      const gone = [...this.#statuses.open(status)].filter(([id, record]) => record.sequence <= sequence && isGone(id, record.life))
      for (const [streamId, { life }] of gone) {
        this.#statuses.set(streamId, 'ended')
        this.#parts.journal.remove(streamId, life)
      }
      return gone
    }
    settleGone('delegated')
    const unclaimed = settleGone('unapplied')
    await Promise.all(unclaimed.map(([streamId, { life }]) => this.claim(streamId, life)))
  }

  /** Which of these listed streams were ended by any process: the same life, not a later one of the same id. */
  async endedAmong(listed: readonly Stream[]): Promise<readonly Stream[]> {
    if (listed.length === 0) return []
    const lives = await this.#livesAmong(listed)
    return listed.filter((stream) => {
      const life = lives.get(stream.id)
      if (life === undefined) return false
      // An end by id without a known life applies to any stream of this id, until that end is applied.
      return life === '' ? this.isUnapplied(stream.id) : !isLater(life, stream)
    })
  }

  /** Forgets ids beyond the retention. Returns the number of ids that the store has forgotten. */
  forget(): MaybePromise<number> {
    this.#statuses.trim()
    return this.#parts.store.forgetEnded(this.#retention())
  }

  /** The lives that ended under these ids. */
  async #livesAmong(listed: readonly Stream[]): Promise<ReadonlyMap<string, string>> {
    const { store, outages } = this.#parts
    const unapplied = listed.flatMap(({ id }): [string, string][] => {
      const record = this.#statuses.open('unapplied').get(id)
      return record === undefined ? [] : [[id, record.life]]
    })
    try {
      const ids = listed.map(({ id }) => id)
      const ended = await store.endedAmong(ids, this.#retention())
      outages.works(READING)
      return new Map([...ended, ...unapplied])
    } catch (error) {
      outages.failed(READING, 'The store failed to report which streams were ended; the next reconciliation tries again', { error })
      return new Map(unapplied)
    }
  }

  #retention(): Retention {
    const { clock, endedRetentionMs, endedRetentionMax } = this.#parts
    return { now: clock.now(), retentionMs: endedRetentionMs, max: endedRetentionMax }
  }
}

/** Whether the listed stream is a later life of the id than the life that ended. `false` if that is not known. */
const isLater = (life: string, listed: Stream): boolean => life !== '' && !isListed(life, listed)
