import { CapacityError, OrchestratorError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { believedWaitMs } from '../../runtime/retry.ts'

/** The orchestrator is not asked again sooner than this after a refusal, nor held back longer by one that told no wait. */
const MIN_HOLD_MS = 1_000
const MAX_HOLD_MS = 30_000
const DEFAULT_HOLD_MS = 5_000
/** How long after it stopped holding a refusal is still the reason that callers are given. */
const EXPLAINS_MS = 30_000

/** A new engine came, and no caller can use it. To the backoff that is a failure; it is no refusal, since the engine may recover. */
export class UnusableEngineError extends Error {
  override readonly name = 'UnusableEngineError'
}

/** Why the last request for an engine failed, and how long that holds: asking again at once would get the same answer. */
export class ProvisionBackoff {
  readonly #clock: Clock
  #failure: unknown
  #failedAt = 0
  #holdUntil = 0
  /** Failures in a row that came with no word about when to ask again. */
  #wordlessCount = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether asking again makes no sense yet. */
  get holds(): boolean {
    return this.#clock.now() < this.#holdUntil
  }

  /** The refusal that holds. */
  get refusal(): CapacityError | undefined {
    return this.holds && this.#failure instanceof CapacityError ? this.#failure : undefined
  }

  /** What the last request failed with, as long as that explains why there is no engine. */
  get failure(): unknown {
    return this.#clock.now() < this.#holdUntil + EXPLAINS_MS ? this.#failure : undefined
  }

  /** Milliseconds since the failure: what a refusal said about waiting counts down. */
  get ageMs(): number {
    return this.#clock.now() - this.#failedAt
  }

  /** Remembers why a request failed. Several that failed together count as one. */
  remember(failure: unknown): void {
    const isWordless =
      failure instanceof UnusableEngineError ||
      (failure instanceof CapacityError && !failure.isAdvised && failure.retryAfterMs === undefined)
    if (!isWordless || this.failure === undefined) this.#wordlessCount = 0
    if (isWordless && (!this.holds || this.#wordlessCount === 0)) this.#wordlessCount += 1
    this.#failure = failure
    this.#failedAt = this.#clock.now()
    this.#holdUntil = this.#failedAt + Math.max(this.#holdMs(failure), MIN_HOLD_MS)
  }

  /** A request made at `askedAt` brought an engine. One that was made before the failure says nothing of what the next would meet. */
  disprove(askedAt: number): void {
    if (askedAt < this.#failedAt) return
    this.#failure = undefined
    this.#holdUntil = 0
    this.#wordlessCount = 0
  }

  #holdMs(failure: unknown): number {
    if (failure instanceof CapacityError && failure.retryAfterMs !== undefined) return believedWaitMs(failure.retryAfterMs)
    // 2026-04 fails each time, and never says that it always will.
    if (failure instanceof CapacityError || failure instanceof UnusableEngineError)
      return Math.min(DEFAULT_HOLD_MS * 2 ** Math.max(0, this.#wordlessCount - 1), MAX_HOLD_MS)
    return failure instanceof OrchestratorError && !failure.retryable ? MAX_HOLD_MS : DEFAULT_HOLD_MS
  }
}
