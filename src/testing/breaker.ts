import type { Clock } from '../runtime/clock.ts'
import type { Micros, Stamps } from './stamps.ts'

/** State of the orchestrator's circuit breaker. */
export type BreakerState = 'closed' | 'open' | 'half_open'

/** Number of failures that open the breaker, in all generations. */
export const FAILURE_THRESHOLD = 5
/** Seconds for which the breaker stays open, in all generations. */
export const RECOVERY_TIMEOUT_S = 300

/** The orchestrator's circuit breaker around provisioning. */
export class Breaker {
  failureCount = 0
  lastFailure: Micros | null = null
  lastSuccess: Micros | null = null
  readonly #clock: Clock
  readonly #stamps: Stamps
  #openUntilMs: number | undefined

  constructor(clock: Clock, stamps: Stamps) {
    this.#clock = clock
    this.#stamps = stamps
  }

  get state(): BreakerState {
    if (this.#openUntilMs === undefined) return 'closed'
    return this.#clock.now() < this.#openUntilMs ? 'open' : 'half_open'
  }

  /** Whole seconds until the breaker is half open. */
  get remainingS(): number {
    return this.#openUntilMs === undefined ? 0 : Math.max(0, Math.floor((this.#openUntilMs - this.#clock.now()) / 1000))
  }

  /** Opens the breaker, as enough failures would. */
  open(etaSeconds: number = RECOVERY_TIMEOUT_S): void {
    this.failureCount = Math.max(this.failureCount, FAILURE_THRESHOLD)
    this.lastFailure = this.#stamps.next()
    this.#openUntilMs = this.#clock.now() + etaSeconds * 1000
  }

  /** Counts a failure. The fifth in a row opens the breaker. */
  fail(): void {
    this.failureCount++
    this.lastFailure = this.#stamps.next()
    if (this.failureCount >= FAILURE_THRESHOLD) this.#openUntilMs = this.#clock.now() + RECOVERY_TIMEOUT_S * 1000
  }

  /** Records a success and closes the breaker. */
  succeed(): void {
    this.reset()
    this.lastSuccess = this.#stamps.next()
  }

  /** Closes the breaker. */
  reset(): void {
    this.failureCount = 0
    this.#openUntilMs = undefined
  }
}
