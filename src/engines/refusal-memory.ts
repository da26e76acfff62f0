import { CapacityError, OrchestratorError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'

/** The orchestrator is not asked again sooner than this after a refusal, nor held back longer by one. */
const MIN_HOLD_MS = 1_000
const MAX_HOLD_MS = 30_000
const DEFAULT_HOLD_MS = 5_000
/** How long after it stopped holding a refusal is still the reason that callers are given. */
const EXPLAINS_MS = 30_000

/** Why the last request for an engine failed, and how long that holds: asking again at once would get the same answer. */
export class RefusalMemory {
  readonly #clock: Clock
  #failure: unknown
  #failedAt = 0
  #holdUntil = 0

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

  remember(failure: unknown): void {
    const isFinal = failure instanceof OrchestratorError && !(failure instanceof CapacityError) && !failure.retryable
    const advisedMs = isFinal ? MAX_HOLD_MS : failure instanceof CapacityError ? failure.retryAfterMs : undefined
    this.#failure = failure
    this.#failedAt = this.#clock.now()
    this.#holdUntil = this.#failedAt + Math.min(Math.max(advisedMs ?? DEFAULT_HOLD_MS, MIN_HOLD_MS), MAX_HOLD_MS)
  }

  forget(): void {
    this.#failure = undefined
    this.#holdUntil = 0
  }
}
