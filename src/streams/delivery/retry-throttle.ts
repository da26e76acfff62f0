import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'

/** Up to this many streams may be repeated freely: a few lost answers are no outage. */
const FREE_STREAMS = 50
/** First attempts that pay for one repeated one. Not five: what is saved up, or owed, must not take any minute to 20 %. */
const FIRSTS_PER_REPEAT = 7
/** In repeated attempts: what first attempts can save up. More, and a rush could pay for a storm a minute later. */
const MOST_SAVED = 1
/** What successes can save up. */
const MOST_CREDIT = 20
/** What can be owed. */
const MOST_OWED = 1
/** After so long without a repeated attempt one is made on trust, so that nothing waits for ever where nothing new comes in. */
const TRICKLE_MS = 10_000
/** A seventh is no round number. */
const ROUNDING = 1e-9

/** Leave for one repeated attempt. */
export interface RetryPermit {
  /** It was told: the orchestrator is well, so this one was no waste, and another may go. */
  succeeded(): void
  /** It was not even made. */
  unused(): void
}

/**
 * Keeps an outage from being answered with a storm: once more than 50 streams are affected, wasted attempts beyond the first stay under
 * 20 % of the first attempts of any minute; where too few are made for that, one goes every ten seconds. An attempt that succeeded was no waste:
 * it is paid back and earns another, so that a backlog drains as fast as the orchestrator proves to be well.
 */
export class RetryThrottle {
  readonly #clock: Clock
  readonly #parked = new Set<PromiseWithResolvers<number>>()
  #affected = 0
  /** Repeated attempts that may be made now; below 0, what is owed. */
  #balance = 0
  #lastAt = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A first attempt was made. */
  first(): void {
    this.#earn(1 / FIRSTS_PER_REPEAT, MOST_SAVED)
  }

  /** One more stream has an event that failed. Call the answer once it has none any more. */
  affect(): () => void {
    this.#affected += 1
    return () => {
      this.#affected -= 1
      if (!this.#isTight) this.#balance = Math.min(this.#balance, MOST_SAVED)
      this.#wake()
    }
  }

  /** Waits until an attempt beyond the first may be made, in order of asking. @throws the signal's reason when it aborts first */
  async take(signal: AbortSignal): Promise<RetryPermit> {
    signal.throwIfAborted()
    const cost = (this.#parked.size > 0 ? undefined : this.#charge()) ?? (await this.#park(signal))
    return {
      succeeded: () => this.#earn(cost + (this.#isTight ? 1 : 0), MOST_CREDIT),
      unused: () => this.#earn(cost, MOST_CREDIT),
    }
  }

  get #isTight(): boolean {
    return this.#affected > FREE_STREAMS
  }

  async #park(signal: AbortSignal): Promise<number> {
    const turn = Promise.withResolvers<number>()
    this.#parked.add(turn)
    this.#arm()
    try {
      return await waitUnlessAborted(turn.promise, signal)
    } catch (error) {
      // Its turn may have come in the same moment; the next one takes it.
      this.#earn(this.#parked.delete(turn) ? 0 : await turn.promise, MOST_CREDIT)
      throw error
    }
  }

  #earn(attempts: number, most: number): void {
    this.#balance = Math.max(this.#balance, Math.min(this.#balance + attempts, most))
    this.#wake()
  }

  /** Takes one attempt off what is left, if anything is. Answers what that cost. */
  #charge(): number | undefined {
    if (!this.#isTight) return 0
    const now = this.#clock.now()
    if (this.#balance + ROUNDING < 1 && now - this.#lastAt < TRICKLE_MS) return undefined
    this.#balance = Math.max(this.#balance - 1, -MOST_OWED)
    this.#lastAt = now
    return 1
  }

  #wake(): void {
    for (const turn of this.#parked) {
      const cost = this.#charge()
      if (cost === undefined) break
      this.#parked.delete(turn)
      turn.resolve(cost)
    }
    if (this.#parked.size > 0) {
      this.#arm()
    } else {
      this.#timer?.cancel()
      this.#timer = undefined
    }
  }

  /** A timer only while somebody is parked. */
  #arm(): void {
    const delayMs = Math.max(0, this.#lastAt + TRICKLE_MS - this.#clock.now())
    this.#timer ??= this.#clock.setTimeout(() => {
      this.#timer = undefined
      this.#wake()
    }, delayMs)
  }
}
