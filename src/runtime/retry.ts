import { CircuitOpenError, OrchestratorError, ResponseError } from '../errors.ts'
import { pause } from './abort.ts'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

/** Whether a read that failed so is worth repeating now: it may pass, and soon. */
function isWorthRepeating(error: unknown, { maxDelayMs }: RetryPolicy): boolean {
  if (!(error instanceof OrchestratorError) || !error.retryable || error instanceof CircuitOpenError) return false
  return !(error instanceof ResponseError) || believedWaitMs(error.retryAfterMs ?? 0) <= maxDelayMs
}

/**
 * Repeats a read that fails, up to `retry.attempts` times in all.
 *
 * @param signal ends the waiting
 * @param onFailure hears of every failure; `true` from it: leave it at that
 * @throws what the last attempt failed with
 */
export async function retrying<T>(
  parts: RetryParts,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  onFailure: (error: unknown) => boolean = () => false,
): Promise<T> {
  let cause: unknown
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt()
    } catch (error) {
      // These very failures opened the circuit: they say more than that it is open.
      if (error instanceof CircuitOpenError && cause !== undefined) throw cause
      cause = error
      const isLast = onFailure(error) || failures >= parts.retry.attempts || signal.aborted
      if (isLast || !isWorthRepeating(error, parts.retry)) throw error
      await pause(parts.clock, backoffMs(parts, failures, error), signal)
    }
  }
}

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
