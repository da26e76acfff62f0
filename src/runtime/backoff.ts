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
 * At most this much of a server's wait is believed, wherever it comes from. A lost VPN's own 60 s are; a breaker's 300 s, or a `Retry-After`
 * of a year, are not waited out on one answer's word.
 */
const MAX_BELIEVED_WAIT_MS = 60_000

/** Beyond this 2 to its power is infinite soon, and no base of 0 makes a number of that. */
const MOST_DOUBLINGS = 1_000

/** How long the client itself waits where a server asks for `waitMs`, before it asks again. */
export function believedWaitMs(waitMs: number): number {
  return Math.min(waitMs, MAX_BELIEVED_WAIT_MS)
}

/**
 * Milliseconds to wait after the `failures`-th failure: exponential with full jitter, so that those who failed together do not come back
 * together (Brooker, "Exponential Backoff and Jitter", AWS 2015). What the server asked for with `Retry-After` wins, up to 60 s, unless that is no wait
 * at all: a clock that is slow, or a careless header, would have events repeated without a pause for as long as an outage lasts.
 */
export function backoffMs({ retry, random }: RetryParts, failures: number, error: unknown): number {
  const askedMs = error instanceof ResponseError ? error.retryAfterMs : undefined
  if (askedMs !== undefined && askedMs > 0) return believedWaitMs(askedMs)
  return random() * Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS))
}
