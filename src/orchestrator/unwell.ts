import { ConnectionError, RequestTimeoutError, ResponseError } from '../errors.ts'

/** Answers that say "not now"; every 5xx does too. */
const OVERLOADED: ReadonlySet<number> = new Set([408, 425, 429])

/** Whether a failure says that the orchestrator is unwell. A refusal does not: whoever refuses is alive. */
export function saysUnwell(error: unknown): boolean {
  if (error instanceof ResponseError) return error.status >= 500 || OVERLOADED.has(error.status)
  return error instanceof ConnectionError || error instanceof RequestTimeoutError
}
