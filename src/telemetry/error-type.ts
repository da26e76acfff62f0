import { OrchestratorError } from '../errors.ts'

/** One word for an error, for spans and labels: the `code` of an error of this library, or the name of another error. */
export function errorTypeOf(error: unknown): string {
  if (error instanceof OrchestratorError) return error.code
  return error instanceof Error && error.name !== '' ? error.name : '_OTHER'
}

/** Whether a call ended because its caller aborted it. Such a call rejects with the reason of the signal, which may be anything. */
export function isAbort(error: unknown): boolean {
  return !(error instanceof OrchestratorError)
}
