import type { Stream } from '../model/stream.ts'
import type { Clock } from '../runtime/clock.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { Sequence } from '../runtime/sequence.ts'
import { BoundedIdSet } from '../state/bounded-id-set.ts'
import type { Retention, StateStore } from '../state/store.ts'
import type { ObservedStreams } from './delivery/observation.ts'
import type { Journal } from './journal.ts'
import { endedOnceMore, isListed, lifeListed } from './life.ts'

/** What end claims are built from. */
export interface EndedLedgerParts {
  store: StateStore
  journal: Journal
  sequence: Sequence
  clock: Clock
  outages: Outages
  endedRetentionMs: number
  endedRetentionMax: number
}

const CLAIMING = 'Claiming ends in the store'
const FORGETTING = 'Forgetting ends in the store'
const ASKING = 'Asking the store for ended streams'

/** How long the others leave a listed start to the process that ends it again. */
const AGAIN_MS = 20_000

/** An end that was given up or refused, or that another process sends. */
interface Unapplied {
  /** `''`: not known. */
  readonly life: string
  /** Sequence number at which it was given up or left to another process: lists requested before prove nothing. */
  readonly sequence: number
}

/** Which ids have been ended, and which have nothing to end. A store that fails is no reason to lose an end. */
export class EndedLedger {
  readonly #parts: EndedLedgerParts
  /** Starts that the orchestrator refused or never got. */
  readonly #neverAnnounced = new BoundedIdSet()
  /** Ended here, and the orchestrator did not apply it. Kept by number alone: until it is applied, or the stream is not listed any more. */
  readonly #unapplied = new Map<string, Unapplied>()
  /** Streams of this process whose end another process claimed first and sends. Until they are not listed any more; limited by number alone. */
  readonly #left = new Map<string, Unapplied>()
  /** Ended by this process, or seen to by it: nobody else's end of one of them is under way. */
  readonly #own = new BoundedIdSet()
  #lastAt = Number.NEGATIVE_INFINITY

  constructor(parts: EndedLedgerParts) {
    this.#parts = parts
  }

  /**
   * `true` for the first claim of this life of an id, and where the store cannot tell: an end is fenced, so one too many harms nobody.
   *
   * @param life `''`: not known
   */
  async claim(streamId: string, life: string): Promise<boolean> {
    this.#lastAt = this.#parts.clock.now()
    this.#own.unclaim(streamId)
    this.#own.claim(streamId, this.#retention())
    try {
      const isFirst = await this.#parts.store.claimEnd(streamId, this.#retention(), life)
      this.#parts.outages.works(CLAIMING)
      return isFirst
    } catch (error) {
      this.#parts.outages.failed(CLAIMING, 'The store did not say whether an end was sent before', { streamId, error })
      return true
    }
  }

  /** The id may be ended again: it starts anew, or its end was not delivered. */
  async unclaim(streamId: string): Promise<void> {
    this.#neverAnnounced.unclaim(streamId)
    this.#unapplied.delete(streamId)
    this.#left.delete(streamId)
    this.#own.unclaim(streamId)
    try {
      await this.#parts.store.unclaimEnd(streamId)
      this.#parts.outages.works(FORGETTING)
    } catch (error) {
      this.#parts.outages.failed(FORGETTING, 'The store did not forget an end', { streamId, error })
    }
  }

  /**
   * Claims one more end of a stream that was ended and is listed: the life to end, for the first of all processes that asks. `undefined`:
   * it was ended again already, or the id was started anew since.
   */
  async claimAgain(listed: Stream): Promise<string | undefined> {
    const { clock } = this.#parts
    const life = (await this.#livesAmong([listed])).get(listed.id)
    if (life === undefined || isLater(life, listed)) return undefined
    const next = endedOnceMore(life, listed, Math.floor(clock.now() / AGAIN_MS))
    return (await this.claim(listed.id, next)) ? next : undefined
  }

  /** Whether this process ended it: then it knows which lists are too old to show that. */
  isOwn(streamId: string): boolean {
    return this.#own.has(streamId, this.#retention()) || this.isUnapplied(streamId)
  }

  /** The orchestrator knows of no start under this id: an end for it killed other viewers' streams (hazard 3). */
  markNeverAnnounced(streamId: string): void {
    this.#neverAnnounced.claim(streamId, this.#retention())
  }

  /** Whether there is nothing to end. */
  isUnknownThere(streamId: string): boolean {
    return this.#neverAnnounced.has(streamId, this.#retention())
  }

  /** This end was given up, or the orchestrator refused it. It is sent again as long as the orchestrator lists the stream. */
  async gaveUp(streamId: string, life: string): Promise<void> {
    await this.unclaim(streamId) // so that the host may try again
    const oldest = this.#remember(this.#unapplied, streamId, life)
    if (oldest !== undefined) this.#parts.journal.settled(...oldest)
  }

  /**
   * Another process claimed the end of a stream of this process first, and sends it. Until the list shows that it did, the entry in the
   * journal stays: that process may die before.
   */
  leave(streamId: string, life: string): void {
    this.#remember(this.#left, streamId, life)
  }

  /**
   * An end by id was refused or given up, and these streams were listed after the host asked for it. Only the life that they show is ended
   * again; without one, nothing is left to end.
   */
  identify(streamId: string, streams: ObservedStreams, reason: string | undefined): MaybePromise<void> {
    const end = this.#unapplied.get(streamId)
    if (end === undefined || end.life !== '') return
    const listed = streams.live.get(streamId)
    if (listed !== undefined) {
      const life = lifeListed(listed)
      this.#unapplied.set(streamId, { ...end, life })
      return this.#parts.journal.over(streamId, reason, life)
    }
    if (streams.mayHide(streamId, undefined)) return
    this.#unapplied.delete(streamId)
    this.#parts.journal.settled(streamId, '')
  }

  /** The orchestrator applied the end. */
  delivered(streamId: string): void {
    this.#unapplied.delete(streamId)
  }

  /** Whether its end was given up or refused. */
  isUnapplied(streamId: string): boolean {
    return this.#unapplied.has(streamId)
  }

  /**
   * Nothing is left to end of a life that is not in a list requested after its end was given up or left to another process. It stays
   * claimed: a start of it may still be applied late.
   */
  async settleUnlisted(streams: ObservedStreams, sequence: number): Promise<void> {
    const isGone = (streamId: string, life: string): boolean => {
      const listed = streams.live.get(streamId)
      return listed === undefined ? !streams.mayHide(streamId, undefined) : isLater(life, listed)
    }
    const goneOf = (ends: Map<string, Unapplied>): [string, Unapplied][] => {
      const gone = [...ends].filter(([id, end]) => end.sequence <= sequence && isGone(id, end.life))
      for (const [streamId, { life }] of gone) {
        ends.delete(streamId)
        this.#parts.journal.settled(streamId, life)
      }
      return gone
    }
    goneOf(this.#left)
    const gone = goneOf(this.#unapplied)
    await Promise.all(gone.map(([streamId, { life }]) => this.claim(streamId, life)))
  }

  /** Whether an end is remembered that may have to be told again. */
  get mayRemember(): boolean {
    return this.#unapplied.size > 0 || this.#left.size > 0 || this.#parts.clock.now() - this.#lastAt < this.#parts.endedRetentionMs
  }

  /** Which of these listed streams were ended here: the same life, not a later one of the same id. */
  async endedAmong(listed: readonly Stream[]): Promise<readonly Stream[]> {
    if (listed.length === 0) return []
    const lives = await this.#livesAmong(listed)
    return listed.filter((stream) => {
      const life = lives.get(stream.id)
      if (life === undefined) return false
      // An id that was ended without its life being known: whatever is listed under it, until that end is applied.
      return life === '' ? this.isUnapplied(stream.id) : !isLater(life, stream)
    })
  }

  /** Forgets what is beyond the retention. Answers how many ended ids. */
  forget(): MaybePromise<number> {
    this.#neverAnnounced.forget(this.#retention())
    this.#own.forget(this.#retention())
    return this.#parts.store.forgetEnded(this.#retention())
  }

  /** Answers the oldest one, with its life, where it had to make room. */
  #remember(ends: Map<string, Unapplied>, streamId: string, life: string): [streamId: string, life: string] | undefined {
    const { sequence, endedRetentionMax } = this.#parts
    ends.set(streamId, { life, sequence: sequence.current })
    const [oldest] = ends
    if (ends.size <= endedRetentionMax || oldest === undefined) return undefined
    ends.delete(oldest[0])
    return [oldest[0], oldest[1].life]
  }

  /** The lives that ended under these ids. */
  async #livesAmong(listed: readonly Stream[]): Promise<ReadonlyMap<string, string>> {
    const unapplied = listed.flatMap(({ id }): [string, string][] => {
      const known = this.#unapplied.get(id)
      return known === undefined ? [] : [[id, known.life]]
    })
    try {
      const ids = listed.map(({ id }) => id)
      const ended = await this.#parts.store.endedAmong(ids, this.#retention())
      this.#parts.outages.works(ASKING)
      return new Map([...ended, ...unapplied])
    } catch (error) {
      this.#parts.outages.failed(ASKING, 'The store did not say which streams were ended', { error })
      return new Map(unapplied)
    }
  }

  #retention(): Retention {
    const { clock, endedRetentionMs, endedRetentionMax } = this.#parts
    return { now: clock.now(), retentionMs: endedRetentionMs, max: endedRetentionMax }
  }
}

/** Whether another life is listed under the id than the one that ended, as far as that is known. */
const isLater = (life: string, listed: Stream): boolean => life !== '' && !isListed(life, listed)
