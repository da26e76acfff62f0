import type { Logger } from '../../runtime/logger.ts'
import { isDamage, toStoreError } from './failures.ts'
import type { SqliteConnection } from './open.ts'
import type { Table } from './table.ts'

/** What a saver is built from. */
export interface SaverParts {
  tables: readonly Table[]
  path: string
  logger: () => Logger
}

/**
 * Brings what is unsaved into the file. A write that fails harms no viewer: it stays unsaved, is warned of once, and goes along with the
 * next one that succeeds.
 */
export class Saver {
  readonly #parts: SaverParts
  #isFailing = false

  constructor(parts: SaverParts) {
    this.#parts = parts
  }

  /** Whether all is in the file. */
  get isCurrent(): boolean {
    return this.#parts.tables.every((table) => table.unsavedCount === 0)
  }

  /** Reports to the connection where SQLite finds the file damaged. */
  save(connection: SqliteConnection): void {
    if (this.isCurrent) return
    try {
      // On a disk that is still full, one write is tried in vain, not all that have piled up.
      if (this.#isFailing) this.#commit(connection, this.#unsaved().slice(0, 1))
      this.#commit(connection, this.#unsaved())
      this.works()
    } catch (error) {
      if (isDamage(error)) connection.damaged()
      else this.#warn(error)
    } finally {
      connection.written()
    }
  }

  /** There is no file to write to, as its owner has warned. */
  failed(): void {
    this.#isFailing = true
  }

  /** All is in the file. */
  works(): void {
    if (this.#isFailing) this.#parts.logger().info('state is stored again', { path: this.#parts.path })
    this.#isFailing = false
  }

  #unsaved(): [Table, string][] {
    return this.#parts.tables.flatMap((table) => Array.from(table.unsavedIds(), (streamId): [Table, string] => [table, streamId]))
  }

  /** All or nothing. A single write is a transaction by itself. */
  #commit({ database }: SqliteConnection, writes: readonly [Table, string][]): void {
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
    for (const [table, streamId] of writes) table.saved(streamId)
  }

  #warn(error: unknown): void {
    if (this.#isFailing) return
    this.#isFailing = true
    const { path, logger } = this.#parts
    const { reason } = toStoreError(path, error)
    logger().warn('state cannot be stored: kept in memory until it can', { path, reason, error })
  }
}

function rollBack(database: SqliteConnection['database']): void {
  try {
    database.exec('ROLLBACK')
  } catch {
    // SQLite has done so itself, as it does when the disk is full.
  }
}
