import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'

/** Up to this many failing streams, retries are not limited: a few lost answers are no outage. */
const MAX_UNLIMITED_STREAMS = 50
/** First attempts that pay for one retry. With five, a saved or borrowed token would raise the retries of a minute to 20 %. */
const FIRST_ATTEMPTS_PER_TOKEN = 7
/** Tokens that first attempts can save. With more, many new streams could pay for a storm of retries a minute later. */
const MAX_TOKENS_OF_FIRST_ATTEMPTS = 1
/** Tokens that successful retries can save. */
const MAX_TOKENS_OF_SUCCESSES = 20
/** Tokens that can be borrowed. */
const MAX_DEBT = 1
/** After this time without a retry one is permitted without a token. */
const FORCED_RETRY_INTERVAL_MS = 10_000
/** Tolerance for adding 1/7 seven times in floating point. */
const ROUNDING_ERROR = 1e-9

/** Permission for one repeated attempt. Call at most one of its methods, or none if the attempt failed. */
export interface RetryPermit {
  /** The attempt succeeded: it costs nothing, and one more retry is permitted. */
  succeeded(): void
  /** The attempt was not made: it costs nothing. */
  cancel(): void
}

/**
 * Limits the repeated attempts of all events together, so that an outage causes no storm of retries. While more than 50 streams have a failing
 * event, failed retries stay under 20 % of the first attempts of any minute. Each retry takes a token from a bucket:
 *
 * - A first attempt adds 1/7 of a token; one token can be saved.
 * - A retry that succeeds adds the token that it took and one more, up to 20: the backlog drains as fast as retries succeed.
 * - If no retry was made for 10 s, one is permitted with a borrowed token, so that no event waits for ever if no new events arrive.
 */
export class RetryThrottle {
  readonly #clock: Clock
  /** In the order of the calls of {@link acquire}. Each resolves with the number of tokens that were taken for it. */
  readonly #waiters = new Set<PromiseWithResolvers<number>>()
  #failingCount = 0
  /** Below 0: borrowed. */
  #tokens = 0
  #lastRetryAt = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Events that failed and are not delivered yet. */
  get failingCount(): number {
    return this.#failingCount
  }

  /** Records that the first attempt of an event was made. */
  countFirstAttempt(): void {
    this.#addTokens(1 / FIRST_ATTEMPTS_PER_TOKEN, MAX_TOKENS_OF_FIRST_ATTEMPTS)
  }

  /** Records that an event failed for the first time. Call the returned function once, when its delivery is over. */
  markFailing(): () => void {
    this.#failingCount += 1
    return () => {
      this.#failingCount -= 1
      // The next outage starts without the tokens that were saved in this one.
      if (!this.#isLimiting) this.#tokens = Math.min(this.#tokens, MAX_TOKENS_OF_FIRST_ATTEMPTS)
      this.#serve()
    }
  }

  /**
   * Waits for the permission to repeat an attempt. First come, first served.
   *
   * @throws the signal's reason when it aborts first
   */
  async acquire(signal: AbortSignal): Promise<RetryPermit> {
    signal.throwIfAborted()
    const cost = (this.#waiters.size > 0 ? undefined : this.#takeToken()) ?? (await this.#wait(signal))
    return {
      succeeded: () => this.#addTokens(cost + (this.#isLimiting ? 1 : 0), MAX_TOKENS_OF_SUCCESSES),
      cancel: () => this.#addTokens(cost, MAX_TOKENS_OF_SUCCESSES),
    }
  }

  get #isLimiting(): boolean {
    return this.#failingCount > MAX_UNLIMITED_STREAMS
  }

  async #wait(signal: AbortSignal): Promise<number> {
    const waiter = Promise.withResolvers<number>()
    this.#waiters.add(waiter)
    this.#arm()
    try {
      return await waitUnlessAborted(waiter.promise, signal)
    } catch (error) {
      // If it was served at the moment of the abort, the next waiter gets its token.
      this.#addTokens(this.#waiters.delete(waiter) ? 0 : await waiter.promise, MAX_TOKENS_OF_SUCCESSES)
      throw error
    }
  }

  #addTokens(count: number, max: number): void {
    this.#tokens = Math.max(this.#tokens, Math.min(this.#tokens + count, max))
    this.#serve()
  }

  /** Returns how many tokens one retry costs now, and takes them. `undefined`: no retry is permitted now. */
  #takeToken(): 0 | 1 | undefined {
    if (!this.#isLimiting) return 0
    const now = this.#clock.now()
    if (this.#tokens + ROUNDING_ERROR < 1 && now - this.#lastRetryAt < FORCED_RETRY_INTERVAL_MS) return undefined
    this.#tokens = Math.max(this.#tokens - 1, -MAX_DEBT)
    this.#lastRetryAt = now
    return 1
  }

  #serve(): void {
    for (const waiter of this.#waiters) {
      const cost = this.#takeToken()
      if (cost === undefined) break
      this.#waiters.delete(waiter)
      waiter.resolve(cost)
    }
    if (this.#waiters.size > 0) {
      this.#arm()
    } else {
      this.#timer?.cancel()
      this.#timer = undefined
    }
  }

  /** Arms the timer for the next retry without a token. The timer runs only while an event waits. */
  #arm(): void {
    const delayMs = Math.max(0, this.#lastRetryAt + FORCED_RETRY_INTERVAL_MS - this.#clock.now())
    this.#timer ??= this.#clock.setTimeout(() => {
      this.#timer = undefined
      this.#serve()
    }, delayMs)
  }
}
