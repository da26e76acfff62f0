import { AuthenticationError, ClientClosedError, OrchestratorError, ResponseError } from '../../errors.ts'
import type { FailureOptions, Outages } from '../../runtime/outages.ts'

/** The error of a request that only the client's lifetime can abort: any error but an `OrchestratorError` means that the client was closed. */
export function asOrchestratorError(thrown: unknown): OrchestratorError {
  return thrown instanceof OrchestratorError ? thrown : new ClientClosedError()
}

/** Names of the work in log lines. */
const WORK = { started: 'Announcing streams', ended: 'Ending streams' } as const

/** A success ends the outage if nothing failed for this long. The orchestrator may reject the events of some streams only. */
const QUIET_MS = 10_000

/** Logs that an event of one stream was given up, or must be sent again. Logs one line for each cause, however many streams have it. */
export function logEventFailure(
  outages: Outages,
  event: keyof typeof WORK,
  message: string,
  fields: { streamId: string; error?: unknown },
): void {
  outages.failed(WORK[event], message, fields, optionsFor(message, fields.error))
}

/** Logs the end of an outage, if an event of one stream was delivered after failures. */
export function logEventSuccess(outages: Outages, event: keyof typeof WORK): void {
  outages.works(WORK[event], QUIET_MS)
}

function optionsFor(message: string, error: unknown): FailureOptions {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const status = error instanceof ResponseError ? error.status : ''
  // A rejected API key is logged by `KeyCheck`.
  const level = error === undefined || error instanceof AuthenticationError ? 'warn' : 'error'
  return { level, cause: `${message} ${code} ${status}` }
}
