import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'
import { EndedIds } from '../state/ended-ids.ts'
import type { Retention, StateStore } from '../state/store.ts'

/** What end claims are built from. */
export interface EndClaimsParts {
  store: StateStore
  clock: Clock
  logger: Logger
  endedRetentionMs: number
  endedRetentionMax: number
}

/** How long the others leave a stream to the one who ends it again. */
const AGAIN_MS = 20_000

/** What the claim to end a stream again goes by. */
const again = (streamId: string): string => `again\n${streamId}`

/** Which ids have been ended, and which have nothing to end. A store that fails is no reason to lose an end. */
export class EndClaims {
  readonly #parts: EndClaimsParts
  /** Starts that the orchestrator refused or never got. */
  readonly #neverAnnounced = new EndedIds()
  /** Ended here, and the orchestrator was not told: given up. */
  readonly #untold = new EndedIds()
  /** Ended by this process, or seen to by it: nobody else's end of one of them is under way. */
  readonly #own = new EndedIds()
  #lastAt = Number.NEGATIVE_INFINITY

  constructor(parts: EndClaimsParts) {
    this.#parts = parts
  }

  /** `true` for the first claim of an id, and where the store cannot tell: an end is fenced, so one too many harms nobody. */
  async claim(streamId: string): Promise<boolean> {
    this.#lastAt = this.#parts.clock.now()
    this.#own.unclaim(streamId)
    this.#own.claim(streamId, this.#retention())
    try {
      return await this.#parts.store.claimEnd(streamId, this.#retention())
    } catch (error) {
      this.#parts.logger.warn('The store did not say whether an end was sent before', { streamId, error })
      return true
    }
  }

  /** The id may be ended again: it starts anew, or its end was not delivered. */
  async unclaim(streamId: string): Promise<void> {
    this.#neverAnnounced.unclaim(streamId)
    this.#untold.unclaim(streamId)
    this.#own.unclaim(streamId)
    try {
      await this.#parts.store.unclaimEnd(streamId)
    } catch (error) {
      this.#parts.logger.warn('The store did not forget an end', { streamId, error })
    }
  }

  /** `true` for the first of all processes that finds an ended stream listed: it ends it again. */
  async claimAgain(streamId: string): Promise<boolean> {
    try {
      return await this.#parts.store.claimEnd(again(streamId), { ...this.#retention(), retentionMs: AGAIN_MS })
    } catch {
      return true
    }
  }

  /** The stream could not be ended again, and anybody may try. */
  async unclaimAgain(streamId: string): Promise<void> {
    try {
      await this.#parts.store.unclaimEnd(again(streamId))
    } catch {
      // It runs out by itself.
    }
  }

  /** Whether this process ended it: then it knows which lists are too old to show that. */
  isOwn(streamId: string): boolean {
    return this.#own.has(streamId, this.#retention()) || this.isUntold(streamId)
  }

  /** The orchestrator knows of no start under this id: an end for it killed other viewers' streams (hazard 3). */
  denounce(streamId: string): void {
    this.#neverAnnounced.claim(streamId, this.#retention())
  }

  /** Whether there is nothing to end. */
  isUnknownThere(streamId: string): boolean {
    return this.#neverAnnounced.has(streamId, this.#retention())
  }

  /** Telling this end was given up. It stays to be told, should the orchestrator ever list the stream. */
  gaveUp(streamId: string): void {
    this.#untold.claim(streamId, this.#retention())
  }

  /** The orchestrator was told. */
  delivered(streamId: string): void {
    this.#untold.unclaim(streamId)
  }

  /** Whether telling its end was given up. */
  isUntold(streamId: string): boolean {
    return this.#untold.has(streamId, this.#retention())
  }

  /** Whether an end is remembered that may have to be told again. */
  get mayRemember(): boolean {
    return this.#parts.clock.now() - this.#lastAt < this.#parts.endedRetentionMs
  }

  /** Which of these ids were ended here. */
  async endedAmong(streamIds: readonly string[]): Promise<readonly string[]> {
    if (streamIds.length === 0) return []
    const untold = streamIds.filter((streamId) => this.isUntold(streamId))
    try {
      return [...untold, ...(await this.#parts.store.endedAmong(streamIds, this.#retention()))]
    } catch (error) {
      this.#parts.logger.warn('The store did not say which streams were ended', { error })
      return untold
    }
  }

  /** Forgets what is beyond the retention. Answers how many ended ids. */
  forget(): MaybePromise<number> {
    this.#neverAnnounced.forget(this.#retention())
    this.#untold.forget(this.#retention())
    this.#own.forget(this.#retention())
    return this.#parts.store.forgetEnded(this.#retention())
  }

  #retention(): Retention {
    const { clock, endedRetentionMs, endedRetentionMax } = this.#parts
    return { now: clock.now(), retentionMs: endedRetentionMs, max: endedRetentionMax }
  }
}
