import { AuthenticationError, CapacityError, type CapacityErrorOptions, OrchestratorError } from '../errors.ts'
import type { RefusalMemory } from './refusal-memory.ts'

/** What a host is told to wait where nothing better is known. */
const DEFAULT_RETRY_AFTER_MS = 5_000
const MIN_RETRY_AFTER_MS = 1_000

/** What a caller without an engine is told: the orchestrator's own reason where it gave one, and in any case when to come back. */
export function adviceFor(memory: RefusalMemory, hasEngines: boolean): CapacityErrorOptions {
  const cause = memory.failure
  if (cause instanceof CapacityError) {
    const { reason, shouldWait, canRetry, isAdvised } = cause
    const leftMs = cause.retryAfterMs === undefined ? DEFAULT_RETRY_AFTER_MS : cause.retryAfterMs - memory.ageMs
    return { reason, retryAfterMs: Math.max(leftMs, MIN_RETRY_AFTER_MS), shouldWait, canRetry, isAdvised, cause }
  }
  if (cause instanceof OrchestratorError && !cause.retryable) {
    // A wrong key, say: no engine will come until somebody mends that, but a slot may still be freed.
    const reason = cause instanceof AuthenticationError ? 'unauthorized' : 'general_error'
    return { reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS, shouldWait: true, canRetry: false, isAdvised: false, cause }
  }
  const reason = hasEngines ? 'full' : 'no_engines'
  const advice = { reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS, shouldWait: true, canRetry: true, isAdvised: false }
  return cause === undefined ? advice : { ...advice, cause }
}

/** Whether a caller who can wait `leftMs` more should, by the orchestrator's own advice. */
export function isWorthWaiting(refusal: CapacityError | undefined, leftMs: number): boolean {
  // Without advice the line stays as it is: no engine will come, but a slot may still be freed.
  if (refusal === undefined || !refusal.isAdvised) return true
  return refusal.shouldWait && (refusal.retryAfterMs ?? 0) <= leftMs
}
