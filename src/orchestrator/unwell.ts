import { ConnectionError, OrchestratorError, RequestTimeoutError, ResponseError } from '../errors.ts'

/** Answers that say "not now"; every 5xx does too. */
const OVERLOADED: ReadonlySet<number> = new Set([408, 425, 429])

/** Whether a failure says that the orchestrator is unwell. A refusal does not: whoever refuses is alive. */
export function saysUnwell(error: unknown): boolean {
  if (error instanceof ResponseError) return error.status >= 500 || OVERLOADED.has(error.status)
  return error instanceof ConnectionError || error instanceof RequestTimeoutError
}

/**
 * Whether a failure leaves an old list, or a fallback engine, better than nothing: it may pass, or the orchestrator cannot be reached, as with
 * a certificate that has expired. A refusal (a wrong key, a wrong path) must show.
 */
export function allowsSubstitute(error: unknown): boolean {
  return error instanceof OrchestratorError && (error.retryable || error instanceof ConnectionError)
}
