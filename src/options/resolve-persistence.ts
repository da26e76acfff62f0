import type { RetryPolicy } from '../runtime/backoff.ts'
import { expectCount, expectDuration, expectOptions, expectPositiveDuration, type Resolved } from '../runtime/validate.ts'
import {
  CIRCUIT_BREAKER_OPTION_NAMES,
  type CircuitBreakerOptions,
  DEFAULTS,
  type OrchestratorClientOptions,
  RETRY_OPTION_NAMES,
} from './options.ts'

/** How persistent the client is where the orchestrator fails, with every default in place. */
export interface Persistence {
  readonly retry: RetryPolicy
  /** `undefined`: none. */
  readonly circuitBreaker: Resolved<CircuitBreakerOptions> | undefined
  readonly deliveryTimeoutMs: number
  readonly maxPendingEvents: number
}

/** @throws {@link InvalidArgumentError} naming the option that is wrong */
export function resolvePersistence(options: OrchestratorClientOptions): Persistence {
  const { deliveryTimeoutMs = DEFAULTS.deliveryTimeoutMs, maxPendingEvents = DEFAULTS.maxPendingEvents } = options
  return {
    retry: resolveRetry(options.retry),
    circuitBreaker: resolveCircuitBreaker(options.circuitBreaker),
    deliveryTimeoutMs: expectDuration('deliveryTimeoutMs', deliveryTimeoutMs),
    maxPendingEvents: expectCount('maxPendingEvents', maxPendingEvents),
  }
}

function resolveRetry(retry: OrchestratorClientOptions['retry'] = {}): RetryPolicy {
  expectOptions(retry, RETRY_OPTION_NAMES, { name: 'retry', prefix: 'retry.' })
  const { attempts = DEFAULTS.retry.attempts, baseDelayMs = DEFAULTS.retry.baseDelayMs, maxDelayMs = DEFAULTS.retry.maxDelayMs } = retry
  return {
    attempts: expectCount('retry.attempts', attempts),
    baseDelayMs: expectDuration('retry.baseDelayMs', baseDelayMs),
    maxDelayMs: expectDuration('retry.maxDelayMs', maxDelayMs),
  }
}

function resolveCircuitBreaker(breaker: OrchestratorClientOptions['circuitBreaker'] = {}): Persistence['circuitBreaker'] {
  if (breaker === false) return undefined
  expectOptions(breaker, CIRCUIT_BREAKER_OPTION_NAMES, { name: 'circuitBreaker', prefix: 'circuitBreaker.' })
  const { failureThreshold = DEFAULTS.circuitBreaker.failureThreshold, resetAfterMs = DEFAULTS.circuitBreaker.resetAfterMs } = breaker
  return {
    failureThreshold: expectCount('circuitBreaker.failureThreshold', failureThreshold),
    resetAfterMs: expectPositiveDuration('circuitBreaker.resetAfterMs', resetAfterMs),
  }
}
