import { CapacityError, OrchestratorError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { capWaitMs } from '../../runtime/retry.ts'

/** After a failure, no engine is requested for at least this long, even if the orchestrator advises less. */
const MIN_HOLD_MS = 1_000
/** After a failure without advice, no engine is requested for this long; twice as long after each further failure. */
const DEFAULT_HOLD_MS = 5_000
/** The longest hold without advice. An advised wait is capped by {@link capWaitMs}. */
const MAX_HOLD_MS = 30_000
/** For how long after the hold the failure still explains to callers why there is no engine. */
const EXPLAINS_MS = 30_000

/** A requested engine is not usable by any caller. It starts a backoff, but callers keep waiting: the engine may recover. */
export class UnusableEngineError extends Error {
  override readonly name = 'UnusableEngineError'
}

/**
 * Remembers why the last request for an engine failed, and for how long no other is sent, because that would fail in the same way.
 *
 * | failure | hold |
 * |---|---|
 * | a refusal with `retryAfterMs` | that long, from 1 s to 60 s |
 * | a refusal without advice, or an unusable engine | 5, 10, 20, then 30 s, until a usable engine is listed |
 * | another error that may pass | 5 s |
 * | an error that does not pass, such as a wrong API key | 30 s |
 */
export class ProvisionBackoff {
  readonly #clock: Clock
  #failure: unknown
  #failedAt = 0
  #holdUntil = 0
  /** Failures in a row that came without advice on when to retry. */
  #noAdviceCount = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether no engine is requested now. */
  get isHolding(): boolean {
    return this.#clock.now() < this.#holdUntil
  }

  /** The orchestrator's refusal, while the backoff holds. */
  get refusal(): CapacityError | undefined {
    return this.isHolding && this.#failure instanceof CapacityError ? this.#failure : undefined
  }

  /** The last failure, while it explains why there is no engine: until 30 s after the hold. */
  get failure(): unknown {
    return this.#clock.now() < this.#holdUntil + EXPLAINS_MS ? this.#failure : undefined
  }

  /** Time since the failure, milliseconds. The wait that was advised then is shorter by this time now. */
  get ageMs(): number {
    return this.#clock.now() - this.#failedAt
  }

  /** Starts a hold. Failures without advice that come during one hold count as one. */
  record(failure: unknown): void {
    const hasNoAdvice =
      failure instanceof UnusableEngineError ||
      (failure instanceof CapacityError && !failure.isAdvised && failure.retryAfterMs === undefined)
    if (!hasNoAdvice || this.failure === undefined) this.#noAdviceCount = 0
    if (hasNoAdvice && (!this.isHolding || this.#noAdviceCount === 0)) this.#noAdviceCount += 1
    this.#failure = failure
    this.#failedAt = this.#clock.now()
    this.#holdUntil = this.#failedAt + Math.max(this.#holdMs(failure), MIN_HOLD_MS)
  }

  /** Ends the hold: a request that began at `startedAt` got a usable engine. A request that began before the failure proves nothing. */
  reset(startedAt: number): void {
    if (startedAt < this.#failedAt) return
    this.#failure = undefined
    this.#holdUntil = 0
    this.#noAdviceCount = 0
  }

  /** How long the hold of a failure lasts, as in the table above. */
  #holdMs(failure: unknown): number {
    if (failure instanceof CapacityError && failure.retryAfterMs !== undefined) return capWaitMs(failure.retryAfterMs)
    // 2026-04 starts no engine on any request, and its answers do not show that: retry at growing intervals.
    if (failure instanceof CapacityError || failure instanceof UnusableEngineError)
      return Math.min(DEFAULT_HOLD_MS * 2 ** Math.max(0, this.#noAdviceCount - 1), MAX_HOLD_MS)
    return failure instanceof OrchestratorError && !failure.retryable ? MAX_HOLD_MS : DEFAULT_HOLD_MS
  }
}
