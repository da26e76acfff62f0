import type { Connect } from '../runtime/connect.ts'
import { expectFunction, expectSignal } from '../runtime/validate.ts'
import type { RequestOptions } from './call-options.ts'
import { allowUndefined, type CheckTable, checkOptions } from './resolve.ts'

/** Options of `OrchestratorClient.diagnose`. */
export interface DiagnoseOptions extends RequestOptions {
  /** Opens a TCP connection, to find out whether an engine can be reached from here. @default the sockets of Node, Bun and Deno */
  connect?: Connect | undefined
}

/** Options of `diagnose` after their checks. */
export interface DiagnoseValues {
  readonly signal: AbortSignal | undefined
  readonly connect: Connect | undefined
}

/** Options of `diagnose` and their checks. */
export const DIAGNOSE_OPTIONS: CheckTable<DiagnoseValues> = {
  signal: expectSignal,
  connect: allowUndefined(expectFunction<Connect>),
}

/**
 * Checks the options of `diagnose`.
 *
 * @throws {@link InvalidArgumentError} with the name of an option that is unknown or wrong
 */
export function checkDiagnoseOptions(options: DiagnoseOptions): DiagnoseValues {
  return checkOptions(DIAGNOSE_OPTIONS, options)
}
