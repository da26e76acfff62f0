import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'

/** A row as it is bound: the id first, then its columns in order. */
export type Row = readonly SQLInputValue[]

/**
 * One table of the state file: which ids it holds, and what it should hold and does not yet. Only the latest wish for an id is kept, and
 * none where the file has no such id anyway, so that a disk that is full for days costs no more memory than what is alive.
 */
export class Table {
  readonly #database: DatabaseSync
  readonly #name: string
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #stored = new Set<string>()
  /** Id -> the row it should have, or `undefined` where it should have none. */
  readonly #unsaved = new Map<string, Row | undefined>()

  constructor(database: DatabaseSync, name: string, columns: readonly string[]) {
    this.#database = database
    this.#name = name
    const all = ['stream_id', ...columns]
    this.#put = database.prepare(`INSERT OR REPLACE INTO ${name} (${all.join(', ')}) VALUES (${all.map(() => '?').join(', ')})`)
    this.#remove = database.prepare(`DELETE FROM ${name} WHERE stream_id = ?`)
  }

  /** What the file holds, in the order in which it was written. */
  load(): Record<string, SQLOutputValue>[] {
    const rows = this.#database.prepare(`SELECT * FROM ${this.#name} ORDER BY position`).all()
    for (const row of rows) this.#stored.add(String(row['stream_id']))
    return rows
  }

  get unsavedCount(): number {
    return this.#unsaved.size
  }

  /** The ids that wait to be saved, the longest waiting first. */
  unsavedIds(): Iterable<string> {
    return this.#unsaved.keys()
  }

  put(streamId: string, row: Row): void {
    this.#unsaved.set(streamId, row)
  }

  remove(streamId: string): void {
    if (this.#stored.has(streamId)) this.#unsaved.set(streamId, undefined)
    else this.#unsaved.delete(streamId)
  }

  /** Writes what an id should have; it counts as saved with {@link saved}. */
  write(streamId: string): void {
    const row = this.#unsaved.get(streamId)
    if (row === undefined) this.#remove.run(streamId)
    else this.#put.run(streamId, ...row)
  }

  /** The write was committed. */
  saved(streamId: string): void {
    if (this.#unsaved.get(streamId) === undefined) this.#stored.delete(streamId)
    else this.#stored.add(streamId)
    this.#unsaved.delete(streamId)
  }
}
