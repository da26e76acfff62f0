import { InvalidArgumentError } from '../../errors.ts'
import { harmless, type Logger } from '../../runtime/logger.ts'
import { expectMethods, expectOptions, expectText, type NamesOf, type Resolved } from '../../runtime/validate.ts'

/** What a {@link SqliteStore} is made of. */
export interface SqliteStoreOptions {
  /**
   * The file; made where there is none, in a directory that has to be there. `':memory:'`: no file. Each process needs one of its own, on a
   * disk of its own machine: locks of network drives cannot be relied on.
   */
  readonly path: string
  /**
   * What becomes of a file that cannot be used (locked, damaged, written by a newer release, not writable): `'throw'` a `StoreError`, or
   * go on in `'memory'`, with a warning; the file is left as it is.
   *
   * @default 'throw'
   */
  readonly onFailure?: 'throw' | 'memory' | undefined
  /**
   * Gets one line when state cannot be stored or the file is harmed, and one when all is stored again.
   *
   * @default the `logger` of the first client that uses the store
   */
  readonly logger?: Logger | undefined
}

const OPTION_NAMES: NamesOf<SqliteStoreOptions> = { path: true, onFailure: true, logger: true }
const LONGEST_PATH = 4_096

/** A store without a logger of its own gets its client's. */
export type ResolvedOptions = Resolved<Omit<SqliteStoreOptions, 'logger'>> & { readonly logger: Logger | undefined }

/** @throws {@link InvalidArgumentError} naming the option that is wrong */
export function resolveOptions(options: SqliteStoreOptions): ResolvedOptions {
  const { path, onFailure = 'throw', logger } = expectOptions(options, OPTION_NAMES) as Partial<SqliteStoreOptions>
  if (expectText('path', path, LONGEST_PATH).includes('\0')) throw new InvalidArgumentError('path', 'a path without null characters')
  if (onFailure !== 'throw' && onFailure !== 'memory') throw new InvalidArgumentError('onFailure', "'throw' or 'memory'")
  if (logger === undefined) return { path: path as string, onFailure, logger: undefined }
  expectMethods('logger', logger, ['debug', 'info', 'warn', 'error'])
  return { path: path as string, onFailure, logger: harmless(logger) }
}
