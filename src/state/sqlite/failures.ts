import { readFileSync } from 'node:fs'
import { StoreError, type StoreErrorReason } from '../../errors.ts'

/** SQLite's primary result codes that say what an operator can do about it: https://www.sqlite.org/rescode.html */
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
  locked: 'another store has it open, in this process or in another: every process needs a file of its own',
  corrupt: 'it is damaged',
  unwritable: 'it cannot be written: is its directory there, is it a file, is there room and the right to write?',
  'newer-version': 'a newer release of this library wrote it',
  unavailable: 'the store is closed',
}

/** What to do, where the explanation does not say so. */
const ADVICE: Partial<Record<StoreErrorReason, string>> = {
  corrupt: 'Move it away together with its -wal file, or put a backup in its place: without a file a new one is made',
  'newer-version': 'Use that release, or another path',
}

/** Says why, in words that help, what SQLite said included. */
export function storeError(path: string, reason: StoreErrorReason, options: { detail?: string; cause?: unknown } = {}): StoreError {
  const { detail = EXPLANATIONS[reason], cause } = options
  const said = cause instanceof Error ? ` (${cause.message})` : ''
  const advice = ADVICE[reason] === undefined ? '' : `. ${ADVICE[reason]}.`
  return new StoreError(`State file ${path}: ${detail}${said}${advice}`, cause === undefined ? { reason } : { reason, cause })
}

/** What a failure of SQLite's means. What is none of an operator's doing is damage: a table that is missing, a value of the wrong type. */
export function toStoreError(path: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause
  const isOfSystem = cause instanceof Error && 'syscall' in cause
  return storeError(path, isOfSystem ? 'unwritable' : (REASONS.get(codeOf(cause)) ?? 'corrupt'), { cause })
}

/** Whether SQLite says that the file itself is damaged. */
export const isDamage = (cause: unknown): boolean => [CORRUPT, NOT_A_DATABASE].includes(codeOf(cause))

/** SQLite's primary result code; 0 where it is none of SQLite's. */
const codeOf = (cause: unknown): number =>
  cause instanceof Error && 'errcode' in cause && typeof cause.errcode === 'number' ? cause.errcode & PRIMARY_CODE : 0

/** https://www.sqlite.org/fileformat.html#the_write_ahead_log */
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const SALT_OFFSET = 16
const FRAME_SALT_OFFSET = 8
const SALT_BYTES = 8

/** The numbers of the pages that a write-ahead log holds, up to its last commit. Frames of an earlier round, with other salts, do not count. */
export function pagesInLog(path: string, pageSize: number): ReadonlySet<number> {
  const log = readIfThere(path)
  const salt = log.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES)
  const [committed, pending] = [new Set<number>(), new Set<number>()]
  const frameBytes = FRAME_HEADER_BYTES + pageSize
  for (let offset = HEADER_BYTES; offset + frameBytes <= log.length; offset += frameBytes) {
    const frame = log.subarray(offset, offset + FRAME_HEADER_BYTES)
    if (!frame.subarray(FRAME_SALT_OFFSET, FRAME_SALT_OFFSET + SALT_BYTES).equals(salt)) break
    pending.add(frame.readUInt32BE(0))
    const isCommit = frame.readUInt32BE(4) !== 0
    if (!isCommit) continue
    for (const page of pending) committed.add(page)
    pending.clear()
  }
  return committed
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}
