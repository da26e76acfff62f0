import type { OrchestratorClientOptions } from './options.ts'
import { expectBoolean } from './validate.ts'

/**
 * Options without effect yet are checked all the same: a host's mistake must not wait for the release that reads them.
 *
 * @throws {@link InvalidArgumentError} naming the option that is wrong
 */
export function checkOptionsToCome({ watch }: OrchestratorClientOptions): void {
  if (watch !== undefined) expectBoolean('watch', watch)
}
