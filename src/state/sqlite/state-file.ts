import { truncateSync } from 'node:fs'
import { resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { StoreError } from '../../errors.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { EndedIdRecord } from '../bounded-id-set.ts'
import type { JournalEntry } from '../store.ts'
import { SqliteConnection } from './connection.ts'
import { isDamage, toStoreError } from './failures.ts'
import type { Harm } from './file-watch.ts'
import { type FoundRow, Table } from './table.ts'

/** Rows that another process left in a state file. */
export interface Found {
  /** In the order in which the entries were written. */
  readonly journal: readonly JournalEntry[]
  /** Ended ids, oldest first. */
  readonly ended: readonly (readonly [streamId: string, ended: EndedIdRecord])[]
}

/** Dependencies and options of {@link StateFile}. */
export interface StateFileParts {
  readonly path: string
  readonly logger: () => Logger
  /** Called with the rows of the file when it is opened, and with the unknown rows when another file is opened at its path. */
  readonly onFound: (found: Found) => void
}

const HAPPENED: Readonly<Record<Harm, string>> = {
  gone: 'was deleted or moved away while it was open',
  replaced: 'was replaced by another file while it was open',
  changed: 'was overwritten or damaged while it was open',
  'log-gone': 'lost its log (-wal), which was deleted or replaced while it was open',
  'log-changed': 'has a log (-wal) that another program changed while it was open',
  hidden: 'cannot be read any more',
}
const ADVICE = 'Close the store before you move, delete, restore or write its files'

/**
 * Writes the journal and the ended ids to a file. Each change is kept in memory until it is in the file: a write that fails is logged once,
 * and repeated with the next {@link save}. If another program deletes, replaces or overwrites the open file, the next {@link save} that
 * succeeds writes it anew from memory.
 */
export class StateFile {
  readonly #path: string
  readonly #parts: StateFileParts
  readonly #journal = new Table('journal', ['position', 'container_id', 'proxy_id', 'is_over', 'reason', 'life'])
  readonly #ended = new Table('ended', ['position', 'ended_at', 'life'])
  #connection: SqliteConnection | undefined
  /** Whether the last write failed. */
  #isFailing = false
  /** Identifies the last warning about harm, so that it is not repeated. */
  #warned: string | undefined
  /** Grows with each write, see the column of this name. */
  #position = 0

  /** Opens the file. @throws {@link StoreError} if it cannot be used */
  constructor(parts: StateFileParts) {
    // Absolute, because the process may change its working directory.
    this.#path = resolve(parts.path)
    this.#parts = parts
    this.#open(true)
  }

  /** Whether all changes are in the file at the path now. Changes nothing. */
  get isCurrent(): boolean {
    return this.#connection !== undefined && this.#isSaved && this.#connection.harm() === undefined
  }

  putEntry({ streamId, containerId, proxyId, isOver, reason, life }: JournalEntry): void {
    this.#journal.put(streamId, [this.#nextPosition(), containerId ?? null, proxyId, Number(isOver), reason ?? null, life ?? null])
  }

  removeEntry(streamId: string): void {
    this.#journal.remove(streamId)
  }

  putEnded(streamId: string, { endedAt, life }: EndedIdRecord): void {
    this.#ended.put(streamId, [this.#nextPosition(), endedAt, life])
  }

  removeEnded(streamId: string): void {
    this.#ended.remove(streamId)
  }

  /** Writes all unsaved changes, or keeps them for the next call. Writes the file anew if it was harmed. Never throws. */
  save(): void {
    this.#write()
    // The write may have found damage that no other check finds.
    if (this.#connection?.isDamaged === true) this.#write()
    if (this.#warned !== undefined && this.isCurrent) this.#warned = undefined
  }

  /** Closing the last connection merges the log into the file, so that one file is left. */
  close(): void {
    this.save()
    this.#connection?.close()
  }

  get #isSaved(): boolean {
    return this.#journal.unsaved.size === 0 && this.#ended.unsaved.size === 0
  }

  #write(): void {
    const connection = this.#repairedConnection()
    if (connection === undefined || this.#isSaved) return
    try {
      // While the disk is full, one write fails each time, not all unsaved writes.
      if (this.#isFailing) commit(connection.database, this.#unsaved().slice(0, 1))
      commit(connection.database, this.#unsaved())
      this.#noteSaved()
    } catch (error) {
      if (isDamage(error)) connection.markDamaged()
      else this.#warnOfWrite(error)
    } finally {
      connection.noteWrite()
    }
  }

  #unsaved(): [Table, string][] {
    return [this.#journal, this.#ended].flatMap((table) => Array.from(table.unsaved, (streamId): [Table, string] => [table, streamId]))
  }

  #noteSaved(): void {
    if (this.#isFailing)
      this.#parts.logger().info(`State file ${this.#path} is written again: all changes are stored`, { path: this.#path })
    this.#isFailing = false
  }

  #warnOfWrite(error: unknown): void {
    if (this.#isFailing) return
    this.#isFailing = true
    const message = `State file ${this.#path} cannot be written: changes are kept in memory until a write succeeds`
    this.#parts.logger().warn(message, { path: this.#path, reason: toStoreError(this.#path, error).reason, error })
  }

  /** The connection to the file at the path: a new one if the file was harmed, `undefined` if none can be opened now. */
  #repairedConnection(): SqliteConnection | undefined {
    const connection = this.#connection
    const harm = connection?.harm()
    if (harm === undefined && connection !== undefined) return connection
    if (harm === 'hidden') {
      this.#warnOfHarm(harm, 'Make it readable again. State is still written to the open file')
      return connection
    }
    const isMarked = connection?.isMarked === true
    connection?.close()
    this.#connection = undefined
    this.#journal.detach()
    this.#ended.detach()
    try {
      this.#reopen(harm, isMarked)
    } catch (error) {
      this.#isFailing = true
      this.#warnOfHarm(harm, `State is kept in memory until a file can be written there. ${ADVICE}`, toStoreError(this.#path, error))
      return undefined
    }
    if (harm !== undefined) this.#warnOfHarm(harm, `It is written anew from memory. ${ADVICE}`)
    if (this.#isSaved) this.#noteSaved()
    return this.#connection
  }

  /** Empties a damaged file that is this library's, because memory has all of its content. Another application's file stays as it is. */
  #reopen(harm: Harm | undefined, isMarked: boolean): void {
    // If only the log was harmed, unknown rows are this process's own, and were deleted.
    const keepsFound = harm !== 'log-gone' && harm !== 'log-changed'
    try {
      this.#open(keepsFound)
    } catch (error) {
      if (harm !== 'changed' || !isMarked || toStoreError(this.#path, error).reason !== 'corrupt') throw error
      truncateSync(this.#path)
      this.#open(keepsFound)
    }
  }

  #open(keepsFound: boolean): void {
    const connection = new SqliteConnection(this.#path)
    try {
      const contents = [this.#journal.read(connection.database), this.#ended.read(connection.database)] as const
      const journal = this.#journal.attach(contents[0], keepsFound)
      const ended = this.#ended.attach(contents[1], keepsFound)
      this.#position = Math.max(this.#position, positionOf(journal.at(-1)), positionOf(ended.at(-1)))
      this.#parts.onFound({ journal: journal.map(toEntry), ended: ended.map(toEnded) })
    } catch (error) {
      connection.close()
      throw toStoreError(this.#path, error)
    }
    connection.noteWrite()
    this.#connection = connection
  }

  /** Warns once of each harm, and again if the file cannot be written anew for another reason. */
  #warnOfHarm(harm: Harm | undefined, next: string, error?: StoreError): void {
    const key = error?.message ?? String(harm)
    if (key === this.#warned) return
    this.#warned = key
    const happened = harm === undefined ? 'still cannot be written anew' : HAPPENED[harm]
    const fields = error === undefined ? {} : { reason: error.reason, error }
    this.#parts.logger().warn(`State file ${this.#path} ${happened}. ${next}.`, { path: this.#path, ...fields })
  }

  #nextPosition(): number {
    this.#position += 1
    return this.#position
  }
}

/** Writes all rows or none. A single write is a transaction by itself. */
function commit(database: DatabaseSync, writes: readonly [Table, string][]): void {
  if (writes.length === 0) return
  const isSingle = writes.length === 1
  if (!isSingle) database.exec('BEGIN')
  try {
    for (const [table, streamId] of writes) table.write(streamId)
    if (!isSingle) database.exec('COMMIT')
  } catch (error) {
    if (!isSingle) rollBack(database)
    throw error
  }
  for (const [table, streamId] of writes) table.markSaved(streamId)
}

function rollBack(database: DatabaseSync): void {
  try {
    database.exec('ROLLBACK')
  } catch {
    // SQLite has rolled back itself, as it does when the disk is full.
  }
}

const positionOf = (row: FoundRow | undefined): number => Number(row?.['position'] ?? 0)

const toEnded = (row: FoundRow): [streamId: string, ended: EndedIdRecord] => [
  String(row['stream_id']),
  { endedAt: Number(row['ended_at']), life: String(row['life']) },
]

const toEntry = (row: FoundRow): JournalEntry => ({
  streamId: String(row['stream_id']),
  ...(row['container_id'] === null ? {} : { containerId: String(row['container_id']) }),
  proxyId: String(row['proxy_id']),
  isOver: row['is_over'] === 1,
  ...(row['reason'] === null ? {} : { reason: String(row['reason']) }),
  ...(row['life'] === null ? {} : { life: String(row['life']) }),
})
