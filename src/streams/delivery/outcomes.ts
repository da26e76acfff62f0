import { AuthenticationError, ClientClosedError, OrchestratorError, ResponseError } from '../../errors.ts'
import type { FailureOptions, Outages } from '../../runtime/outages.ts'

/** The error of a request that got only the signal of the client's lifetime: if it is no `OrchestratorError`, the client was closed. */
export function asOrchestratorError(thrown: unknown): OrchestratorError {
  return thrown instanceof OrchestratorError ? thrown : new ClientClosedError()
}

/** How the log calls the delivery of each kind of event. */
const WORK = { started: 'Announcing streams', ended: 'Ending streams' } as const

/** The orchestrator may reject the events of some streams only. A success ends the outage if nothing failed for this long. */
const QUIET_MS = 10_000

/** Logs that an event of one stream was given up, or must be sent again. One line for each cause, however many streams have it. */
export function eventFailed(
  outages: Outages,
  event: keyof typeof WORK,
  message: string,
  fields: { streamId: string; error?: unknown },
): void {
  outages.failed(WORK[event], message, fields, optionsFor(message, fields.error))
}

/** Logs the end of an outage, if an event of one stream was delivered after failures. */
export function eventWorks(outages: Outages, event: keyof typeof WORK): void {
  outages.works(WORK[event], QUIET_MS)
}

function optionsFor(message: string, error: unknown): FailureOptions {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const status = error instanceof ResponseError ? error.status : ''
  // A rejected API key is logged by `KeyCheck`.
  const level = error === undefined || error instanceof AuthenticationError ? 'warn' : 'error'
  return { level, cause: `${message} ${code} ${status}` }
}
