import { truncateSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Logger } from '../../runtime/logger.ts'
import type { EndedId } from '../bounded-id-set.ts'
import type { JournalEntry } from '../store.ts'
import { toStoreError } from './failures.ts'
import { SqliteConnection } from './open.ts'
import { Saver } from './saver.ts'
import { type FoundRow, Table } from './table.ts'
import type { Harm } from './watch.ts'

/** Rows that an earlier process left in a state file. */
export interface Found {
  /** In the order in which it was written. */
  readonly journal: readonly JournalEntry[]
  /** The ids that had ended, when and which life, oldest first. */
  readonly ended: readonly (readonly [streamId: string, ended: EndedId])[]
}

/** Options of a state file. */
export interface StateFileParts {
  readonly path: string
  readonly logger: () => Logger
  /** Called with the rows of the file when it is opened, and with unknown rows when another file is opened at its path. */
  readonly onFound: (found: Found) => void
}

const HAPPENED: Readonly<Record<Harm, string>> = {
  gone: 'was deleted or moved away while it was open',
  replaced: 'was replaced by another file while it was open',
  changed: 'was overwritten or damaged while it was open',
  'log-gone': 'lost its log (-wal), which was deleted or replaced while it was open',
  'log-changed': 'has a log (-wal) that another program changed while it was open',
  hidden: 'cannot be looked at any more',
}
const ADVICE = 'Close the store before anything moves, deletes, restores or writes its files'

/**
 * The state file: the journal and the ended ids. Opened by the constructor, which throws a {@link StoreError} where that fails. A file
 * that something else deletes, replaces or overwrites while it is open is written anew from memory with the next {@link save} that can.
 */
export class StateFile {
  readonly #path: string
  readonly #parts: StateFileParts
  readonly #journal = new Table('journal', ['position', 'container_id', 'proxy_id', 'is_over', 'reason', 'life'])
  readonly #ended = new Table('ended', ['position', 'ended_at', 'life'])
  readonly #saver: Saver
  #connection: SqliteConnection | undefined
  /** Identifies the last warning, so that it is not repeated. */
  #warned: string | undefined
  #position = 0

  constructor(parts: StateFileParts) {
    // Once and for all: the process may change its working directory.
    this.#path = resolve(parts.path)
    this.#parts = parts
    this.#saver = new Saver({ tables: [this.#journal, this.#ended], path: this.#path, logger: parts.logger })
    this.#open(true)
  }

  /** Whether all that was written is in the file at the path. Changes nothing. */
  get isCurrent(): boolean {
    return this.#connection !== undefined && this.#saver.isCurrent && this.#connection.harm() === undefined
  }

  putEntry({ streamId, containerId, proxyId, isOver, reason, life }: JournalEntry): void {
    this.#journal.put(streamId, [this.#nextPosition(), containerId ?? null, proxyId, Number(isOver), reason ?? null, life ?? null])
  }

  removeEntry(streamId: string): void {
    this.#journal.remove(streamId)
  }

  putEnded(streamId: string, { endedAt, life }: EndedId): void {
    this.#ended.put(streamId, [this.#nextPosition(), endedAt, life])
  }

  removeEnded(streamId: string): void {
    this.#ended.remove(streamId)
  }

  /** Writes all unsaved changes, or keeps them for the next call. Writes the file anew if it was harmed. Never throws. */
  save(): void {
    this.#saveTo(this.#mended())
    // SQLite may find damage that nothing else shows.
    if (this.#connection?.isDamaged === true) this.#saveTo(this.#mended())
    if (this.#warned !== undefined && this.isCurrent) this.#warned = undefined
  }

  /** Closing the last connection brings the log into the file, so that one file is left. */
  close(): void {
    this.save()
    this.#connection?.close()
  }

  #saveTo(connection: SqliteConnection | undefined): void {
    if (connection !== undefined) this.#saver.save(connection)
  }

  /** The connection to the file at the path; a new one where the file was harmed. `undefined`: none can be opened now. */
  #mended(): SqliteConnection | undefined {
    const connection = this.#connection
    const harm = connection?.harm()
    if (harm === undefined && connection !== undefined) return connection
    if (harm === 'hidden') {
      this.#warn(harm, 'Make it readable again. State is still written to the open file')
      return connection
    }
    const isMarked = connection?.isMarked === true
    connection?.close()
    this.#detach()
    try {
      this.#reopen(harm, isMarked)
    } catch (error) {
      this.#saver.failed()
      this.#warn(harm, `State is kept in memory until a file can be written there. ${ADVICE}`, toStoreError(this.#path, error))
      return undefined
    }
    if (harm !== undefined) this.#warn(harm, `It is written anew from memory. ${ADVICE}`)
    if (this.#saver.isCurrent) this.#saver.works()
    return this.#connection
  }

  /** Empties a file that is ours and damaged, since all that it held is in memory. Another program's file is left as it is. */
  #reopen(harm: Harm | undefined, isMarked: boolean): void {
    // Only the log was harmed: rows that are not known here are ours, and over.
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
    connection.written()
    this.#connection = connection
  }

  #detach(): void {
    this.#connection = undefined
    this.#journal.detach()
    this.#ended.detach()
  }

  /** Once for each thing that happened, and again when the reason why nothing can be done about it is another. */
  #warn(harm: Harm | undefined, next: string, error?: ReturnType<typeof toStoreError>): void {
    const key = error?.message ?? String(harm)
    if (key === this.#warned) return
    this.#warned = key
    const happened = harm === undefined ? 'still cannot be written anew' : HAPPENED[harm]
    this.#parts.logger().warn(`State file ${this.#path} ${happened}. ${next}.`, {
      path: this.#path,
      ...(error === undefined ? {} : { reason: error.reason, error }),
    })
  }

  #nextPosition(): number {
    this.#position += 1
    return this.#position
  }
}

const positionOf = (row: FoundRow | undefined): number => Number(row?.['position'] ?? 0)

const toEnded = (row: FoundRow): [streamId: string, ended: EndedId] => [
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
