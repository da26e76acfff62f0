import type { Clock } from '../runtime/clock.ts'
import type { Micros, Stamps } from './stamps.ts'

/** States of the orchestrator's own circuit breaker. */
export type BreakerState = 'closed' | 'open' | 'half_open'

/** Failures after which the breaker opens, in all generations. */
export const FAILURE_THRESHOLD = 5
/** Seconds it stays open, in all generations. */
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

  /** Whole seconds until it is half open: it counts down. */
  get remainingS(): number {
    return this.#openUntilMs === undefined ? 0 : Math.max(0, Math.floor((this.#openUntilMs - this.#clock.now()) / 1000))
  }

  /** Opens it, as failures would. */
  open(etaSeconds: number = RECOVERY_TIMEOUT_S): void {
    this.failureCount = Math.max(this.failureCount, FAILURE_THRESHOLD)
    this.lastFailure = this.#stamps.next()
    this.#openUntilMs = this.#clock.now() + etaSeconds * 1000
  }

  /** Counts a failure; enough of them open it. */
  fail(): void {
    this.failureCount++
    this.lastFailure = this.#stamps.next()
    if (this.failureCount >= FAILURE_THRESHOLD) this.#openUntilMs = this.#clock.now() + RECOVERY_TIMEOUT_S * 1000
  }

  /** Notes a success, which closes it. */
  succeed(): void {
    this.reset()
    this.lastSuccess = this.#stamps.next()
  }

  /** Closes it. */
  reset(): void {
    this.failureCount = 0
    this.#openUntilMs = undefined
  }
}
