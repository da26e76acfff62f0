import { StoreError, type StoreErrorReason } from '../../errors.ts'

/** SQLite's primary result codes for which an operator can do something: https://www.sqlite.org/rescode.html */
const REASONS: ReadonlyMap<number, StoreErrorReason> = new Map([
  [3, 'unwritable'], // PERM
  [5, 'locked'], // BUSY
  [6, 'locked'], // LOCKED
  [7, 'unwritable'], // NOMEM
  [8, 'unwritable'], // READONLY
  [10, 'unwritable'], // IOERR
  [13, 'unwritable'], // FULL
  [14, 'unwritable'], // CANTOPEN
  [15, 'locked'], // PROTOCOL
  [23, 'unwritable'], // AUTH
])
const CORRUPT = 11
const NOT_A_DATABASE = 26
const PRIMARY_CODE = 0xff

const EXPLANATIONS: Readonly<Record<StoreErrorReason, string>> = {
  locked: 'another store has it open, in this process or in another one; each process needs a file of its own',
  corrupt: 'it is damaged',
  unwritable: 'it cannot be written; check that its directory exists, that it is a file, the free space, and the right to write',
  'newer-version': 'a newer release of this library wrote it',
  unavailable: 'the store is closed; close the client before its store',
}

/** Advice, for reasons whose explanation contains none. */
const ADVICE: Partial<Record<StoreErrorReason, string>> = {
  corrupt: 'Move it away together with its -wal file, or put a backup in its place. Without a file, the store makes a new one',
  'newer-version': 'Use that release, or another path',
}

/**
 * Makes the error of a state file. Its message names the file, the problem, SQLite's own message, and advice.
 *
 * @param options `detail`: the problem, in place of the usual explanation of the reason
 */
export function storeError(path: string, reason: StoreErrorReason, options: { detail?: string; cause?: unknown } = {}): StoreError {
  const { detail = EXPLANATIONS[reason], cause } = options
  const original = cause instanceof Error ? ` (${cause.message})` : ''
  const advice = ADVICE[reason] === undefined ? '' : `. ${ADVICE[reason]}.`
  return new StoreError(`State file ${path}: ${detail}${original}${advice}`, cause === undefined ? { reason } : { reason, cause })
}

/**
 * Turns a failure of SQLite or of the file system into a {@link StoreError}. A failure that an operator cannot cause is damage: a missing
 * table, a value of the wrong type.
 */
export function toStoreError(path: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause
  const isOfSystem = cause instanceof Error && 'syscall' in cause
  return storeError(path, isOfSystem ? 'unwritable' : (REASONS.get(codeOf(cause)) ?? 'corrupt'), { cause })
}

/** Whether SQLite reports that the file itself is damaged. */
export const isDamage = (cause: unknown): boolean => [CORRUPT, NOT_A_DATABASE].includes(codeOf(cause))

/** SQLite's primary result code. 0 if it is another error. */
const codeOf = (cause: unknown): number =>
  cause instanceof Error && 'errcode' in cause && typeof cause.errcode === 'number' ? cause.errcode & PRIMARY_CODE : 0
