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

/** Beyond this 2 to its power is infinite soon, and no base of 0 makes a number of that. */
const MOST_DOUBLINGS = 1_000

/**
 * Milliseconds to wait after the `failures`-th failure: exponential with full jitter, so that those who failed together do not come back
 * together (Brooker, "Exponential Backoff and Jitter", AWS 2015). What the server asked for with `Retry-After` wins, unless that is no wait
 * at all: a clock that is slow, or a careless header, would have events repeated without a pause for as long as an outage lasts.
 */
export function backoffMs({ retry, random }: RetryParts, failures: number, error: unknown): number {
  if (error instanceof ResponseError && error.retryAfterMs !== undefined && error.retryAfterMs > 0) return error.retryAfterMs
  return random() * Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS))
}
