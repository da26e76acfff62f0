import type { MessagePort } from 'node:worker_threads'
import { StoreError, type StoreErrorReason } from '../../errors.ts'
import type { EndedIdRecord } from '../bounded-id-set.ts'
import type { JournalEntry } from '../store.ts'
import type { Found, StateFile } from './state-file.ts'

/** A method of {@link StateFile} that changes a row, and its arguments. */
export type Change =
  | readonly ['putEntry', JournalEntry]
  | readonly ['removeEntry', string]
  | readonly ['putEnded', string, EndedIdRecord]
  | readonly ['removeEnded', string]

/** A message to the thread, which handles one after the other. */
export type ToThread =
  /** Write these changes in one transaction. */
  | { readonly kind: 'write'; readonly changes: readonly Change[] }
  /** `check`: answer whether all changes are in the file. `close`: write all changes and close the file. */
  | { readonly kind: 'check' | 'close'; readonly question: number }

/** A message from the thread. */
export type FromThread =
  | { readonly kind: 'opened'; readonly found: Found }
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** Another file was opened at the path, and had these unknown rows. */
  | { readonly kind: 'found'; readonly found: Found }
  | { readonly kind: 'line'; readonly level: 'info' | 'warn'; readonly message: string; readonly failure?: Failure }
  /** The oldest `write` without an answer is done: its changes are in the file, or are kept until a later write succeeds. */
  | { readonly kind: 'saved' }
  | { readonly kind: 'current'; readonly isCurrent: boolean }

/** What the thread gets when it starts. */
export interface ThreadData {
  readonly moduleUrl: string
  readonly path: string
  readonly port: MessagePort
  readonly signal: Int32Array
}

/** Cells of the shared array `signal`. */
export const PHASE = 0
/** The number of the last question that the thread answered. The first is whether it could open the file. */
export const ANSWERED = 1
/** Values of the cell {@link PHASE}. Exactly one of `RUNNING` and `ABANDONED` replaces `STARTING`. */
export const STARTING = 0
export const RUNNING = 1
/** The thread must not open the file: its module could not be loaded, or the store no longer waits for it. */
export const ABANDONED = 2

/** A {@link StoreError} as a message: copying an error between threads drops its own fields. */
export interface Failure {
  readonly reason: StoreErrorReason
  readonly message: string
  readonly cause?: Error
  /** Fields of the cause, such as `code` and `errcode`. */
  readonly fields: Readonly<Record<string, unknown>>
}

export function toFailure({ reason, message, cause }: StoreError): Failure {
  if (!(cause instanceof Error)) return { reason, message, fields: {} }
  const isPlain = ([, value]: [string, unknown]): boolean => ['string', 'number'].includes(typeof value)
  return { reason, message, cause, fields: Object.fromEntries(Object.entries(cause).filter(isPlain)) }
}

export function toError({ reason, message, cause, fields }: Failure): StoreError {
  return new StoreError(message, cause === undefined ? { reason } : { reason, cause: Object.assign(cause, fields) })
}

export function applyChange(file: StateFile, change: Change): void {
  if (change[0] === 'putEntry') file.putEntry(change[1])
  else if (change[0] === 'removeEntry') file.removeEntry(change[1])
  else if (change[0] === 'putEnded') file.putEnded(change[1], change[2])
  else file.removeEnded(change[1])
}
