import {
  AuthenticationError,
  ClientClosedError,
  ConnectionError,
  MalformedResponseError,
  OrchestratorError,
  ResponseError,
} from '../../errors.ts'
import type { FailureOptions, Outages } from '../../runtime/outages.ts'

/** Statuses that say "not now": nothing was applied. */
const NOT_NOW: ReadonlySet<number> = new Set([425, 429, 503])
/** Statuses after which the request may or may not have been applied. */
const PERHAPS: ReadonlySet<number> = new Set([408])

/**
 * What a failed attempt may have done at the orchestrator. `refused`: nothing, and it never will. `not-processed`: nothing, and it may be sent
 * again. `unknown`: perhaps everything, perhaps later; look before sending again (hazards 4, 5).
 */
export type FailureKind = 'refused' | 'not-processed' | 'unknown'

/** Tells which of the three it was. */
export function classifyFailure(error: OrchestratorError): FailureKind {
  if (error instanceof ConnectionError) return error.maybeProcessed ? 'unknown' : 'not-processed'
  if (error instanceof ResponseError) {
    if (NOT_NOW.has(error.status)) return 'not-processed'
    return error.status >= 400 && error.status < 500 && !PERHAPS.has(error.status) ? 'refused' : 'unknown'
  }
  if (error instanceof MalformedResponseError) return 'unknown'
  return error.code === 'REQUEST_TIMEOUT' ? 'unknown' : error.retryable ? 'not-processed' : 'refused'
}

/** What the wire throws is an `OrchestratorError`, or the reason of the only signal it was given: that the client closed. */
export function asOrchestratorError(thrown: unknown): OrchestratorError {
  return thrown instanceof OrchestratorError ? thrown : new ClientClosedError()
}

const WORK = { started: 'Announcing streams', ended: 'Ending streams' } as const

/** Some streams may be refused while others are not: without a failure for this long, a success ends the trouble. */
const QUIET_MS = 10_000

/** An event of one stream failed for good, or has to be sent again: one line for each cause, however many streams meet it. */
export function eventFailed(
  outages: Outages,
  event: keyof typeof WORK,
  message: string,
  fields: { streamId: string; error?: unknown },
): void {
  outages.failed(WORK[event], message, fields, optionsFor(message, fields.error))
}

/** An event of one stream was delivered. */
export function eventWorks(outages: Outages, event: keyof typeof WORK): void {
  outages.works(WORK[event], QUIET_MS)
}

function optionsFor(message: string, error: unknown): FailureOptions {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const status = error instanceof ResponseError ? error.status : ''
  // A rejected key has an error line of its own.
  const level = error === undefined || error instanceof AuthenticationError ? 'warn' : 'error'
  return { level, cause: `${message} ${code} ${status}` }
}
