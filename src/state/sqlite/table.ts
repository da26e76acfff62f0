import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'

/** A row as it is bound: its columns in order, without the id. */
export type Row = readonly SQLInputValue[]
/** A row as it is read. */
export type FoundRow = Record<string, SQLOutputValue>

/** Rows of one table of a database, and the statements that change them. */
export interface Contents {
  readonly put: StatementSync
  readonly remove: StatementSync
  rows: FoundRow[]
}

/**
 * One table of the state file: which rows it should hold, and which of them are not in the file yet. It keeps no more than the rows that
 * are alive and the ids in the file, so that a file that is away for days costs no memory.
 */
export class Table {
  readonly #name: string
  readonly #columns: readonly string[]
  #contents: Contents | undefined
  /** Id -> the row that it should have. */
  readonly #rows = new Map<string, Row>()
  /** Ids in the file. */
  readonly #stored = new Set<string>()
  /** Ids whose row in the file is not the one that it should have; the longest waiting first. */
  readonly #unsaved = new Set<string>()

  constructor(name: string, columns: readonly string[]) {
    this.#name = name
    this.#columns = columns
  }

  /**
   * Reads the table of this database, in the order in which it was written. Changes nothing here.
   *
   * @throws where a row is damaged
   */
  read(database: DatabaseSync): Contents {
    const all = ['stream_id', ...this.#columns, 'checksum']
    const rows = database.prepare(`SELECT * FROM ${this.#name} ORDER BY position`).all()
    for (const row of rows) {
      const isDamaged = row['checksum'] !== null && row['checksum'] !== checksumOf(idOf(row), this.#valuesOf(row))
      if (isDamaged) throw new Error(`a row of table ${this.#name} does not match its checksum`)
    }
    return {
      put: database.prepare(`INSERT OR REPLACE INTO ${this.#name} (${all.join(', ')}) VALUES (${all.map(() => '?').join(', ')})`),
      remove: database.prepare(`DELETE FROM ${this.#name} WHERE stream_id = ?`),
      rows,
    }
  }

  /**
   * Writes to the database of these contents from now on: all that differs there is unsaved. Answers the rows whose ids were not known.
   * They are kept if `keepsFound`, and otherwise removed with the next save.
   */
  attach(contents: Contents, keepsFound: boolean): FoundRow[] {
    this.detach()
    this.#contents = contents
    const unknown: FoundRow[] = []
    for (const row of contents.rows) {
      const [streamId, values] = [idOf(row), this.#valuesOf(row)]
      this.#stored.add(streamId)
      const known = this.#rows.get(streamId)
      if (known !== undefined) {
        if (known.every((value, index) => value === values[index])) this.#unsaved.delete(streamId)
      } else if (keepsFound) {
        this.#rows.set(streamId, values)
        if (row['checksum'] === null) this.#unsaved.add(streamId)
        unknown.push(row)
      } else this.#unsaved.add(streamId)
    }
    contents.rows = []
    return unknown
  }

  /** The file is away: no id is in it. */
  detach(): void {
    this.#contents = undefined
    this.#stored.clear()
    this.#unsaved.clear()
    for (const streamId of this.#rows.keys()) this.#unsaved.add(streamId)
  }

  get unsavedCount(): number {
    return this.#unsaved.size
  }

  /** The ids that wait to be saved, the longest waiting first. */
  unsavedIds(): Iterable<string> {
    return this.#unsaved.keys()
  }

  put(streamId: string, row: Row): void {
    this.#rows.set(streamId, row)
    this.#unsaved.add(streamId)
  }

  remove(streamId: string): void {
    this.#rows.delete(streamId)
    if (this.#stored.has(streamId)) this.#unsaved.add(streamId)
    else this.#unsaved.delete(streamId)
  }

  /** Writes what an id should have; it counts as saved with {@link saved}. */
  write(streamId: string): void {
    const row = this.#rows.get(streamId)
    if (row === undefined) this.#contents?.remove.run(streamId)
    else this.#contents?.put.run(streamId, ...row, checksumOf(streamId, row))
  }

  /** The write was committed. */
  saved(streamId: string): void {
    if (this.#rows.has(streamId)) this.#stored.add(streamId)
    else this.#stored.delete(streamId)
    this.#unsaved.delete(streamId)
  }

  #valuesOf(row: FoundRow): SQLOutputValue[] {
    return this.#columns.map((column) => row[column] ?? null)
  }
}

const idOf = (row: FoundRow): string => String(row['stream_id'])

const checksumOf = (streamId: string, row: Row): number => crc32([streamId, ...row].map(String).join('\0'))
