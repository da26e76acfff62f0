import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { Logger } from '../../runtime/logger.ts'
import type { EndedId } from '../ended-ids.ts'
import type { JournalEntry } from '../store.ts'
import { toStoreError } from './failures.ts'
import { closeQuietly, openDatabase } from './open.ts'
import { Saver } from './saver.ts'
import { Table } from './table.ts'

/** The state file: the journal and the ended ids. Opened by the constructor, which throws a {@link StoreError} where that fails. */
export class StateFile {
  /** What was in the journal when it was opened, in the order in which it was written. */
  readonly journalFound: readonly JournalEntry[]
  /** The ids that had ended when it was opened, when and which life, oldest first. */
  readonly endedFound: readonly (readonly [streamId: string, ended: EndedId])[]
  readonly #database: DatabaseSync
  readonly #journal: Table
  readonly #ended: Table
  readonly #saver: Saver
  #position: number

  constructor(path: string, logger: Logger) {
    const database = openDatabase(path)
    this.#database = database
    try {
      this.#journal = new Table(database, 'journal', ['position', 'container_id', 'proxy_id', 'is_over', 'reason', 'life'])
      this.#ended = new Table(database, 'ended', ['position', 'ended_at', 'life'])
      const [journal, ended] = [this.#journal.load(), this.#ended.load()]
      this.journalFound = journal.map(toEntry)
      this.endedFound = ended.map((row) => [String(row['stream_id']), { endedAt: Number(row['ended_at']), life: String(row['life']) }])
      this.#position = Math.max(positionOf(journal.at(-1)), positionOf(ended.at(-1)))
    } catch (error) {
      closeQuietly(database)
      throw toStoreError(path, error)
    }
    this.#saver = new Saver({ database, tables: [this.#journal, this.#ended], path, logger })
  }

  /** Whether all that was written is stored. */
  get isCurrent(): boolean {
    return this.#saver.isCurrent
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

  /** Stores what was put and removed since, or as soon as it can be. Never throws. */
  save(): void {
    this.#saver.save()
  }

  /** Closing the last connection brings the log into the file, so that one file is left. */
  close(): void {
    this.save()
    closeQuietly(this.#database)
  }

  #nextPosition(): number {
    this.#position += 1
    return this.#position
  }
}

const positionOf = (row: Record<string, SQLOutputValue> | undefined): number => Number(row?.['position'] ?? 0)

const toEntry = (row: Record<string, SQLOutputValue>): JournalEntry => ({
  streamId: String(row['stream_id']),
  ...(row['container_id'] === null ? {} : { containerId: String(row['container_id']) }),
  proxyId: String(row['proxy_id']),
  isOver: row['is_over'] === 1,
  ...(row['reason'] === null ? {} : { reason: String(row['reason']) }),
  ...(row['life'] === null ? {} : { life: String(row['life']) }),
})
