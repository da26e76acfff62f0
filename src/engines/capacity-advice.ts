import {
  AuthenticationError,
  CapacityError,
  type CapacityErrorOptions,
  CircuitOpenError,
  OrchestratorError,
  type StoreError,
} from '../errors.ts'
import type { RefusalMemory } from './refusal-memory.ts'

/** What a host is told to wait where nothing better is known. */
export const DEFAULT_RETRY_AFTER_MS: number = 5_000
const MIN_RETRY_AFTER_MS = 1_000

/** What a caller without an engine is told: the orchestrator's own reason where it gave one, and in any case when to come back. */
export function adviceFor(memory: RefusalMemory, hasEngines: boolean): CapacityErrorOptions {
  const cause = memory.failure
  if (cause instanceof CapacityError) {
    const { reason, shouldWait, canRetry, isAdvised } = cause
    return { reason, retryAfterMs: leftOf(cause.retryAfterMs, memory), shouldWait, canRetry, isAdvised, cause }
  }
  if (cause instanceof OrchestratorError && !cause.retryable) {
    // A wrong key, say: no engine will come until somebody mends that, but a slot may still be freed.
    const reason = cause instanceof AuthenticationError ? 'unauthorized' : 'general_error'
    return { reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS, shouldWait: true, canRetry: false, isAdvised: false, cause }
  }
  const reason = hasEngines ? 'full' : 'no_engines'
  // Nothing is sent while the circuit is open: who comes back sooner comes in vain.
  const retryAfterMs = leftOf(cause instanceof CircuitOpenError ? cause.retryAfterMs : undefined, memory)
  const advice = { reason, retryAfterMs, shouldWait: true, canRetry: true, isAdvised: false }
  return cause === undefined ? advice : { ...advice, cause }
}

/** What a caller is told where nobody knows whether there is room, since the store does not say. */
export function adviceWithoutStore(cause: StoreError): CapacityErrorOptions {
  const retryAfterMs = DEFAULT_RETRY_AFTER_MS
  return { reason: 'store_unavailable', retryAfterMs, shouldWait: true, canRetry: true, isAdvised: false, cause }
}

/** What is left of a wait that was told when the request failed. */
function leftOf(toldMs: number | undefined, memory: RefusalMemory): number {
  return toldMs === undefined ? DEFAULT_RETRY_AFTER_MS : Math.max(toldMs - memory.ageMs, MIN_RETRY_AFTER_MS)
}

/** Whether a caller who can wait `leftMs` more should, by the orchestrator's own advice. */
export function isWorthWaiting(memory: RefusalMemory, leftMs: number): boolean {
  const { refusal, ageMs } = memory
  // Without advice the line stays as it is: no engine will come, but a slot may still be freed.
  if (refusal === undefined || !refusal.isAdvised) return true
  // What is left of the wait by now: a viewer who has sat through most of it is not sent away for all of it.
  return refusal.shouldWait && (refusal.retryAfterMs ?? 0) - ageMs <= leftMs
}

/** A refusal as a host gets to see it: with a wait, the orchestrator's or a guess. */
export function withRetryAfter(error: unknown): unknown {
  if (!(error instanceof CapacityError) || error.retryAfterMs !== undefined) return error
  const { message, reason, shouldWait, canRetry, isAdvised, cause } = error
  const options = { reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS, shouldWait, canRetry, isAdvised }
  return new CapacityError(message, cause === undefined ? options : { ...options, cause })
}
