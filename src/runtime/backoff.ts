import { ResponseError } from '../errors.ts'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

/** How failed requests are repeated. */
export interface RetryPolicy {
  /** Attempts in all. */
  readonly attempts: number
  /** Milliseconds. */
  readonly baseDelayMs: number
  /** Milliseconds. */
  readonly maxDelayMs: number
}

/** What repeating takes. */
export interface RetryParts {
  retry: RetryPolicy
  clock: Clock
  random: Random
}

/**
 * Milliseconds to wait after the `failures`-th failure: exponential with full jitter, so that those who failed together do not come back
 * together (Brooker, "Exponential Backoff and Jitter", AWS 2015). What the server asked for with `Retry-After` wins.
 */
export function backoffMs({ retry, random }: RetryParts, failures: number, error: unknown): number {
  if (error instanceof ResponseError && error.retryAfterMs !== undefined) return error.retryAfterMs
  return random() * Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** (failures - 1))
}
