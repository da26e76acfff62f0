import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { Recent } from './recent.ts'

/** Up to this many streams may be repeated freely: a few lost answers are no outage. */
const FREE_STREAMS = 50
/** What repeated attempts may come to, as a share of the first ones of the same minute. */
const SHARE = 0.2
/** With more streams affected and nothing new coming in, one attempt in so long, so that nothing waits for ever. */
const TRICKLE_MS = 10_000
/** How many attempts successes can save up for. */
const MOST_CREDIT = 20
const POLL_MS = 1_000

/** Leave for one repeated attempt. */
export interface Receipt {
  /** It was told: the orchestrator is well, so this one was no waste, and another may go. */
  succeeded(): void
  /** It was not even made. */
  unused(): void
}

/**
 * Keeps an outage from being answered with a storm: once more than 50 streams are affected, wasted attempts beyond the first stay under
 * 20 % of the first attempts of the last minute. An attempt that succeeded was no waste: it gives its share back and earns credit for one more, so
 * that a backlog drains as fast as the orchestrator proves to be well.
 */
export class RetryBudget {
  readonly #clock: Clock
  /** The second under way is not over: these reach back less than a minute, and the wasted ones more. */
  readonly #firsts = new Recent(60)
  readonly #wasted = new Recent(61)
  readonly #parked = new Set<PromiseWithResolvers<void>>()
  #affected = 0
  #credit = 0
  #trickledAt = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A first attempt is made. */
  first(): void {
    this.#firsts.add(this.#clock.now(), 1)
  }

  /** One more stream has an event that failed. Call the answer once it has none any more. */
  affect(): () => void {
    this.#affected += 1
    return () => {
      this.#affected -= 1
      if (this.#affected <= FREE_STREAMS) this.#credit = 0
      this.#wake()
    }
  }

  /** Waits until an attempt beyond the first may be made, in order of asking. @throws the signal's reason when it aborts first */
  async take(signal: AbortSignal): Promise<Receipt> {
    signal.throwIfAborted()
    if (this.#parked.size > 0 || !this.#charge()) await this.#park(signal)
    const chargedAt = this.#clock.now()
    const giveBack = (credit: number): void => {
      this.#wasted.add(chargedAt, -1)
      this.#credit = Math.min(this.#credit + credit, MOST_CREDIT)
      this.#wake()
    }
    return { succeeded: () => giveBack(this.#affected > FREE_STREAMS ? 1 : 0), unused: () => giveBack(0) }
  }

  async #park(signal: AbortSignal): Promise<void> {
    const turn = Promise.withResolvers<void>()
    this.#parked.add(turn)
    this.#arm()
    try {
      await waitUnlessAborted(turn.promise, signal)
    } catch (error) {
      // Its turn may have come in the same moment; the next one takes it.
      if (!this.#parked.delete(turn)) this.#wasted.add(this.#clock.now(), -1)
      this.#wake()
      throw error
    }
  }

  /** Takes one attempt off what is left, if anything is. */
  #charge(): boolean {
    const now = this.#clock.now()
    if (this.#affected > FREE_STREAMS && this.#wasted.count(now) + 1 >= this.#firsts.count(now) * SHARE) {
      if (this.#credit > 0) this.#credit -= 1
      else if (now - this.#trickledAt >= TRICKLE_MS) this.#trickledAt = now
      else return false
    }
    this.#wasted.add(now, 1)
    return true
  }

  #wake(): void {
    for (const turn of this.#parked) {
      if (!this.#charge()) break
      this.#parked.delete(turn)
      turn.resolve()
    }
    if (this.#parked.size > 0) {
      this.#arm()
    } else {
      this.#timer?.cancel()
      this.#timer = undefined
    }
  }

  /** The minute moves on; a timer only while somebody is parked. */
  #arm(): void {
    this.#timer ??= this.#clock.setTimeout(() => {
      this.#timer = undefined
      this.#wake()
    }, POLL_MS)
  }
}
