import { CircuitOpenError, OrchestratorError, ResponseError } from '../errors.ts'
import { backoffMs, believedWaitMs, type RetryParts, type RetryPolicy } from './backoff.ts'
import { pause } from './pause.ts'

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
