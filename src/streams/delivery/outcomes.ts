import { AuthenticationError, ClientClosedError, OrchestratorError, ResponseError } from '../../errors.ts'
import type { FailureOptions, Outages } from '../../runtime/outages.ts'

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
