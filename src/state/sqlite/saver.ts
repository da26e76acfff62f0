import type { DatabaseSync } from 'node:sqlite'
import type { Logger } from '../../runtime/logger.ts'
import { toStoreError } from './failures.ts'
import type { Table } from './table.ts'

/** What a saver is built from. */
export interface SaverParts {
  database: DatabaseSync
  tables: readonly Table[]
  path: string
  logger: Logger
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

  save(): void {
    if (this.isCurrent) return
    try {
      // On a disk that is still full, one write is tried in vain, not all that have piled up.
      if (this.#isFailing) this.#commit(this.#unsaved().slice(0, 1))
      this.#commit(this.#unsaved())
      if (this.#isFailing) this.#parts.logger.info('state is stored again', { path: this.#parts.path })
      this.#isFailing = false
    } catch (error) {
      this.#warn(error)
    }
  }

  #unsaved(): [Table, string][] {
    return this.#parts.tables.flatMap((table) => Array.from(table.unsavedIds(), (streamId): [Table, string] => [table, streamId]))
  }

  /** All or nothing. A single write is a transaction by itself. */
  #commit(writes: readonly [Table, string][]): void {
    if (writes.length === 0) return
    const isSingle = writes.length === 1
    if (!isSingle) this.#parts.database.exec('BEGIN')
    try {
      for (const [table, streamId] of writes) table.write(streamId)
      if (!isSingle) this.#parts.database.exec('COMMIT')
    } catch (error) {
      if (!isSingle) this.#rollBack()
      throw error
    }
    for (const [table, streamId] of writes) table.saved(streamId)
  }

  #rollBack(): void {
    try {
      this.#parts.database.exec('ROLLBACK')
    } catch {
      // SQLite has done so itself, as it does when the disk is full.
    }
  }

  #warn(error: unknown): void {
    if (this.#isFailing) return
    this.#isFailing = true
    const { path, logger } = this.#parts
    const { reason } = toStoreError(path, error)
    logger.warn('state cannot be stored: kept in memory until it can', { path, reason, error })
  }
}
