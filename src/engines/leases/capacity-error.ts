import {
  AuthenticationError,
  CapacityError,
  type CapacityErrorOptions,
  CircuitOpenError,
  classifyFailure,
  DEFAULT_RETRY_AFTER_MS,
  MalformedResponseError,
  OrchestratorError,
  type StoreError,
} from '../../errors.ts'
import type { Occupancy } from '../placement/occupancy.ts'
import type { ProvisionBackoff } from '../provisioning/provision-backoff.ts'

/** Shortest wait that a host is advised, milliseconds. */
const MIN_RETRY_AFTER_MS = 1_000

/** The facts from which the error of a caller without an engine is made. */
export interface CapacityFacts {
  /** Why the last request for a new engine failed. */
  readonly backoff: ProvisionBackoff
  /** Whether a new engine would have been requested for this caller. */
  readonly mayProvision: boolean
  /** Why this caller cannot use the listed engines; `undefined`: no list was read yet. */
  readonly occupancy: Occupancy | undefined
  /** The error of the engine list, if it could not be read since the last list. */
  readonly listFailure: unknown
  /** The error of the store, if it could not tell whether an engine has room. */
  readonly storeFailure: StoreError | undefined
}

/**
 * Makes the error of a caller that gets no engine. Its message says why, how many engines there are and why none can be used, when to retry,
 * and how long the caller has waited.
 *
 * @param place position in the wait queue and milliseconds waited, if the caller was in the queue
 */
export function capacityErrorFor(facts: CapacityFacts, place: { position?: number; waitedMs?: number } = {}): CapacityError {
  const { why, ...options } = reasonFor(facts)
  const retryAfterS = Math.ceil((options.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) / 1_000)
  const waited = place.position === undefined ? '' : `(Waited ${place.waitedMs} ms, position ${place.position} in the wait queue.)`
  const sentences = [why, describe(facts.occupancy), `Retry in ${retryAfterS} s.`, waited]
  return new CapacityError(sentences.filter((text) => text !== '').join(' '), { ...options, ...place })
}

/**
 * Whether a caller that can wait `leftMs` longer should do so, by the advice of the orchestrator's last refusal. True without advice: no new
 * engine will be started, but a slot may become free.
 */
export function isWorthWaiting({ refusal, ageMs }: ProvisionBackoff, leftMs: number): boolean {
  if (refusal === undefined || !refusal.isAdvised) return true
  // The advised wait counts down: a caller that has waited for most of it stays.
  return refusal.shouldWait && (refusal.retryAfterMs ?? 0) - ageMs <= leftMs
}

/** The first reason that applies: the store, the orchestrator, the failed request for a new engine, or that all engines are full. */
function reasonFor(facts: CapacityFacts): CapacityErrorOptions & { why: string } {
  const { backoff, mayProvision, occupancy, listFailure, storeFailure } = facts
  // The orchestrator advised nothing: an engine may be started or a slot may become free at any time.
  const unadvised = { shouldWait: true, canRetry: true, isAdvised: false }
  if (storeFailure !== undefined) {
    const why = sentence(`The store cannot tell whether an engine has room: ${storeFailure.message}`)
    return { ...unadvised, why, reason: 'store_unavailable', retryAfterMs: DEFAULT_RETRY_AFTER_MS, cause: storeFailure }
  }
  if (isOrchestratorDown(listFailure)) {
    const why = sentence(`The orchestrator cannot be reached: ${listFailure.message}`)
    const waitMs = listFailure instanceof CircuitOpenError ? listFailure.retryAfterMs : DEFAULT_RETRY_AFTER_MS
    return { ...unadvised, why, reason: 'unreachable', retryAfterMs: Math.max(waitMs, MIN_RETRY_AFTER_MS), cause: listFailure }
  }
  const reason = occupancy?.total === 0 ? 'no_engines' : 'full'
  const cause = mayProvision ? backoff.failure : undefined
  if (cause === undefined) return { ...unadvised, why: '', reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS }
  if (cause instanceof CapacityError) {
    const why = sentence(cause.message)
    const retryAfterMs = remainingMs(cause.retryAfterMs, backoff)
    // A 500 without details, as 2026-04 answers, gives no reason. The reason is that all engines are full.
    if (!cause.isAdvised && cause.reason === 'general_error') return { ...unadvised, why, reason, retryAfterMs, cause }
    const { shouldWait, canRetry, isAdvised } = cause
    return { why, reason: cause.reason, retryAfterMs, shouldWait, canRetry, isAdvised, cause }
  }
  const message = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof OrchestratorError && !cause.retryable) {
    // For example a wrong API key: no engine can be started until the key is corrected, but a slot may become free. A proxy may reject it too.
    const isKey = cause instanceof AuthenticationError
    const why = sentence(isKey ? `The request for an engine was not authorized: ${message}` : `No usable engine was started: ${message}`)
    return { ...unadvised, why, reason: isKey ? 'unauthorized' : reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS, canRetry: false, cause }
  }
  // While the circuit breaker is open, nothing is sent.
  const retryAfterMs = remainingMs(cause instanceof CircuitOpenError ? cause.retryAfterMs : undefined, backoff)
  return { ...unadvised, why: sentence(`No usable engine was started: ${message}`), reason, retryAfterMs, cause }
}

/** Whether the list could not be read because the orchestrator does not answer, or its answers cannot be read. */
function isOrchestratorDown(failure: unknown): failure is OrchestratorError {
  if (failure instanceof CircuitOpenError || failure instanceof MalformedResponseError) return true
  return failure instanceof OrchestratorError && classifyFailure(failure).breaker === 'counts'
}

/** A sentence about how many engines there are, and why this caller cannot use them. */
function describe(occupancy: Occupancy | undefined): string {
  if (occupancy === undefined) return 'No engine list has been read yet.'
  const { total, full } = occupancy
  if (total === 0) return 'There is no engine.'
  if (full === total) return total === 1 ? 'The only engine is full.' : `All ${total} engines are full.`
  const states: [number, string][] = [
    [full, 'full'],
    [occupancy.draining, 'draining'],
    [occupancy.unhealthy, 'unhealthy'],
    [occupancy.ejected, 'ejected after failures'],
    [occupancy.excluded, 'excluded by this call'],
    [occupancy.free, 'free'],
  ]
  const counts = states.filter(([count]) => count > 0).map(([count, state]) => `${count} ${count === 1 ? 'is' : 'are'} ${state}`)
  return `Of ${total} ${total === 1 ? 'engine' : 'engines'}, ${counts.join(', ')}.`
}

/** The text, ended with exactly one full stop. */
function sentence(text: string): string {
  return /[.!?]["”]?$/.test(text.trim()) ? text.trim() : `${text.trim()}.`
}

/** The rest of the wait that was advised when the last request failed; without advice {@link DEFAULT_RETRY_AFTER_MS}. */
function remainingMs(advisedMs: number | undefined, backoff: ProvisionBackoff): number {
  return advisedMs === undefined ? DEFAULT_RETRY_AFTER_MS : Math.max(advisedMs - backoff.ageMs, MIN_RETRY_AFTER_MS)
}
