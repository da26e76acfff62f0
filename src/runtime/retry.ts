import { CircuitOpenError, OrchestratorError, ResponseError } from '../errors.ts'
import { pause } from './abort.ts'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

/** The option `retry`, with all its defaults. */
export interface RetryPolicy {
  /** Attempts in all, 1 or more. */
  readonly attempts: number
  /** Milliseconds. The limit of the first delay. */
  readonly baseDelayMs: number
  /** Milliseconds. The limit of every delay. */
  readonly maxDelayMs: number
}

/** Dependencies of {@link retryRead} and {@link drawBackoffMs}. */
export interface RetryParts {
  retry: RetryPolicy
  clock: Clock
  random: Random
}

/**
 * Makes attempts at a read until one succeeds, at most `retry.attempts`, with a pause of {@link drawBackoffMs} between them. Stops earlier
 * after a failure that is not `retryable`, that requires a longer wait than `retry.maxDelayMs`, or that comes from an open circuit.
 *
 * @param signal ends the pauses
 * @param attempt gets the number of the attempt, from 1
 * @param onFailure is called after every failure; `true`: stop retrying
 * @throws the error of the last attempt. If the circuit opened meanwhile: the error before that, which names the cause
 * @throws the signal's reason if it aborts during a pause
 */
export async function retryRead<T>(
  parts: RetryParts,
  signal: AbortSignal,
  attempt: (number: number) => Promise<T>,
  onFailure: (error: unknown) => boolean = () => false,
): Promise<T> {
  let lastError: unknown
  for (let failureCount = 1; ; failureCount += 1) {
    try {
      return await attempt(failureCount)
    } catch (error) {
      if (error instanceof CircuitOpenError && lastError !== undefined) throw lastError
      lastError = error
      const isLast = onFailure(error) || failureCount >= parts.retry.attempts || signal.aborted
      if (isLast || !isWorthRetrying(error, parts.retry)) throw error
      await pause(parts.clock, drawBackoffMs(parts, failureCount, error), signal)
    }
  }
}

function isWorthRetrying(error: unknown, { maxDelayMs }: RetryPolicy): boolean {
  if (!(error instanceof OrchestratorError) || !error.retryable || error instanceof CircuitOpenError) return false
  return !(error instanceof ResponseError) || capWaitMs(error.retryAfterMs ?? 0) <= maxDelayMs
}

/** With a larger exponent the delay would become infinite, and 0 times infinity is `NaN`. */
const MAX_DOUBLINGS = 1_000

/**
 * Milliseconds to wait after failure number `failureCount` (from 1): a random part of an exponentially growing delay ("full jitter"), so
 * that clients that failed together do not retry together (Brooker, "Exponential Backoff and Jitter", AWS 2015).
 *
 * A `Retry-After` of the server replaces it, up to 60 s. A `Retry-After` of 0 does not: a careless header or a slow clock would make the
 * client retry without a pause through a whole outage.
 */
export function drawBackoffMs({ retry, random }: RetryParts, failureCount: number, error: unknown): number {
  const retryAfterMs = error instanceof ResponseError ? error.retryAfterMs : undefined
  if (retryAfterMs !== undefined && retryAfterMs > 0) return capWaitMs(retryAfterMs)
  return random() * Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** Math.min(failureCount - 1, MAX_DOUBLINGS))
}

/**
 * The longest wait that one answer of a server can cause. An orchestrator without VPN requests 60 s, which is right. Its circuit breaker
 * requests 300 s, and a broken header may request a year.
 */
const MAX_WAIT_MS = 60_000

/** Limits the wait that a server requested to 60 s. Milliseconds. */
export function capWaitMs(waitMs: number): number {
  return Math.min(waitMs, MAX_WAIT_MS)
}
