import {
  AuthenticationError,
  CapacityError,
  type CapacityErrorOptions,
  CircuitOpenError,
  classifyFailure,
  MalformedResponseError,
  OrchestratorError,
  type StoreError,
} from '../../errors.ts'
import type { Occupancy } from '../placement/slot-taker.ts'
import type { ProvisionBackoff } from './provision-backoff.ts'

/** The wait that a host is advised where nothing better is known, milliseconds. */
export const DEFAULT_RETRY_AFTER_MS: number = 5_000
const MIN_RETRY_AFTER_MS = 1_000

/** All that is known when a caller gets no engine. */
export interface Outlook {
  readonly memory: ProvisionBackoff
  /** Whether a new engine would have been requested for this caller. */
  readonly mayProvision: boolean
  /** `undefined`: no list was read yet. */
  readonly occupancy: Occupancy | undefined
  /** What the engine list fails with since it was last read. */
  readonly listFailure: unknown
  /** Why the store cannot tell whether an engine has room. */
  readonly storeFailure: StoreError | undefined
}

/** The error of a caller who gets no engine: the reason that is true for this caller, in code and in words, and when to retry. */
export function capacityErrorFor(outlook: Outlook, place: { position?: number; waitedMs?: number } = {}): CapacityError {
  const { why, ...options } = adviceFor(outlook)
  const retryAfterS = Math.ceil((options.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) / 1_000)
  const waited = place.position === undefined ? '' : `(Waited ${place.waitedMs} ms, position ${place.position} in the line.)`
  const sentences = [why, describe(outlook.occupancy), `Retry in ${retryAfterS} s.`, waited]
  return new CapacityError(sentences.filter((sentence) => sentence !== '').join(' '), { ...options, ...place })
}

function adviceFor(outlook: Outlook): CapacityErrorOptions & { why: string } {
  const { memory, mayProvision, occupancy, listFailure, storeFailure } = outlook
  // Without advice of the orchestrator's, another engine or slot may come at any time.
  const open = { shouldWait: true, canRetry: true, isAdvised: false }
  if (storeFailure !== undefined) {
    const why = sentence(`The store cannot tell whether an engine has room: ${storeFailure.message}`)
    return { ...open, why, reason: 'store_unavailable', retryAfterMs: DEFAULT_RETRY_AFTER_MS, cause: storeFailure }
  }
  if (isUnreachable(listFailure)) {
    const why = sentence(`The orchestrator cannot be reached: ${listFailure.message}`)
    const toldMs = listFailure instanceof CircuitOpenError ? listFailure.retryAfterMs : DEFAULT_RETRY_AFTER_MS
    return { ...open, why, reason: 'unreachable', retryAfterMs: Math.max(toldMs, MIN_RETRY_AFTER_MS), cause: listFailure }
  }
  const reason = occupancy?.total === 0 ? 'no_engines' : 'full'
  const failure = mayProvision ? memory.failure : undefined
  if (failure === undefined) return { ...open, why: '', reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS }
  if (failure instanceof CapacityError) {
    const why = sentence(failure.message)
    const retryAfterMs = leftOf(failure.retryAfterMs, memory)
    // An answer of 500 without a word, as 2026-04 gives, is no reason: that all are full is.
    if (!failure.isAdvised && failure.reason === 'general_error') return { ...open, why, reason, retryAfterMs, cause: failure }
    const { shouldWait, canRetry, isAdvised } = failure
    return { why, reason: failure.reason, retryAfterMs, shouldWait, canRetry, isAdvised, cause: failure }
  }
  const words = failure instanceof Error ? failure.message : String(failure)
  if (failure instanceof OrchestratorError && !failure.retryable) {
    // A wrong key, say: no engine will come until that is mended, but a slot may still become free.
    const isKey = failure instanceof AuthenticationError
    const why = sentence(isKey ? `The API key was rejected when an engine was requested: ${words}` : `No engine was started: ${words}`)
    return { ...open, why, reason: isKey ? 'unauthorized' : reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS, canRetry: false, cause: failure }
  }
  // Nothing is sent while the circuit is open.
  const retryAfterMs = leftOf(failure instanceof CircuitOpenError ? failure.retryAfterMs : undefined, memory)
  return { ...open, why: sentence(`No engine was started: ${words}`), reason, retryAfterMs, cause: failure }
}

/** Whether reading the list failed because the orchestrator gives no proper answer at all. */
function isUnreachable(failure: unknown): failure is OrchestratorError {
  if (failure instanceof CircuitOpenError || failure instanceof MalformedResponseError) return true
  return failure instanceof OrchestratorError && classifyFailure(failure).breaker === 'counts'
}

/** How many engines there are, and why none of them will do. */
function describe(occupancy: Occupancy | undefined): string {
  if (occupancy === undefined) return 'No engine list was read.'
  const { total, full } = occupancy
  if (total === 0) return 'There is no engine.'
  if (full === total) return total === 1 ? 'The only engine is full.' : `All ${total} engines are full.`
  const states: [number, string][] = [
    [full, 'full'],
    [occupancy.draining, 'draining'],
    [occupancy.unhealthy, 'unhealthy'],
    [occupancy.ejected, 'left out after failures'],
    [occupancy.excluded, 'excluded by the caller'],
    [occupancy.free, 'free'],
  ]
  const counts = states.filter(([count]) => count > 0).map(([count, state]) => `${count} ${count === 1 ? 'is' : 'are'} ${state}`)
  return `Of ${total} ${total === 1 ? 'engine' : 'engines'}, ${counts.join(', ')}.`
}

/** Ends a text with exactly one full stop. */
function sentence(text: string): string {
  return /[.!?]["”]?$/.test(text.trim()) ? text.trim() : `${text.trim()}.`
}

/** The rest of a wait that was advised when the request failed. */
function leftOf(advisedMs: number | undefined, memory: ProvisionBackoff): number {
  return advisedMs === undefined ? DEFAULT_RETRY_AFTER_MS : Math.max(advisedMs - memory.ageMs, MIN_RETRY_AFTER_MS)
}

/** Whether a caller who can wait `leftMs` more should, by the orchestrator's own advice. */
export function isWorthWaiting(memory: ProvisionBackoff, leftMs: number): boolean {
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
