import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import zlib from 'node:zlib'

/** The values of a row in the order of the columns, without the id. */
export type Row = readonly SQLInputValue[]
/** A row as SQLite returns it. */
export type FoundRow = Record<string, SQLOutputValue>

/** The rows of a table in a database, and the statements that change them. */
export interface Contents {
  readonly put: StatementSync
  readonly remove: StatementSync
  rows: FoundRow[]
}

/**
 * Keeps one table of the state file: the rows that it should have, and the rows that are not in the file yet. Remembers only the existing
 * rows and the ids in the file, so memory does not grow while the file cannot be written for days.
 */
export class Table {
  readonly #name: string
  readonly #columns: readonly string[]
  #contents: Contents | undefined
  /** Id -> the row that the file should have. */
  readonly #rows = new Map<string, Row>()
  /** Ids in the file. */
  readonly #stored = new Set<string>()
  /** Ids whose row in the file is not up to date, the longest waiting first. */
  readonly #unsaved = new Set<string>()

  /** @param columns without `stream_id` and `checksum`, which every table has */
  constructor(name: string, columns: readonly string[]) {
    this.#name = name
    this.#columns = columns
  }

  /** Ids that are not saved yet, the longest waiting first. */
  get unsaved(): ReadonlySet<string> {
    return this.#unsaved
  }

  /**
   * Reads the table of a database, in the order in which it was written. Changes nothing.
   *
   * @throws if a row is damaged
   */
  read(database: DatabaseSync): Contents {
    const all = ['stream_id', ...this.#columns, 'checksum']
    const rows = database.prepare(`SELECT ${all.map(withWholeText).join(', ')} FROM ${this.#name} AS t ORDER BY t.position`).all()
    for (const row of rows) {
      for (const column of all) row[column] = textOf(row[column])
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
   * Writes to the database of these contents from now on. All rows that differ there are unsaved.
   *
   * @param keepsFound whether rows with unknown ids are kept. Otherwise the next save deletes them
   * @returns the rows that were kept
   */
  attach(contents: Contents, keepsFound: boolean): FoundRow[] {
    this.detach()
    this.#contents = contents
    const kept: FoundRow[] = []
    for (const row of contents.rows) {
      const [streamId, values] = [idOf(row), this.#valuesOf(row)]
      this.#stored.add(streamId)
      const known = this.#rows.get(streamId)
      if (known !== undefined) {
        if (known.every((value, index) => value === values[index])) this.#unsaved.delete(streamId)
      } else if (keepsFound) {
        this.#rows.set(streamId, values)
        if (row['checksum'] === null) this.#unsaved.add(streamId)
        kept.push(row)
      } else this.#unsaved.add(streamId)
    }
    contents.rows = []
    return kept
  }

  /** Marks all rows as unsaved, because there is no file. */
  detach(): void {
    this.#contents = undefined
    this.#stored.clear()
    this.#unsaved.clear()
    for (const streamId of this.#rows.keys()) this.#unsaved.add(streamId)
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

  /** Writes the row of this id to the database, or deletes it there. Call {@link markSaved} after the commit. */
  write(streamId: string): void {
    const row = this.#rows.get(streamId)
    if (row === undefined) this.#contents?.remove.run(streamId)
    else this.#contents?.put.run(streamId, ...row, checksumOf(streamId, row))
  }

  /** Call it when the write of this id was committed. */
  markSaved(streamId: string): void {
    if (this.#rows.has(streamId)) this.#stored.add(streamId)
    else this.#stored.delete(streamId)
    this.#unsaved.delete(streamId)
  }

  #valuesOf(row: FoundRow): SQLOutputValue[] {
    return this.#columns.map((column) => row[column] ?? null)
  }
}

/** Node 22 reads a text only up to its first NUL character. So a text that has one is read as bytes, see {@link textOf}. */
const withWholeText = (column: string): string =>
  `iif(typeof(${column}) = 'text' AND instr(CAST(${column} AS BLOB), x'00') > 0, CAST(${column} AS BLOB), ${column}) AS ${column}`

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
const textOf = (value: SQLOutputValue = null): SQLOutputValue => (value instanceof Uint8Array ? utf8.decode(value) : value)

const idOf = (row: FoundRow): string => String(row['stream_id'])

const checksumOf = (streamId: string, row: Row): number => zlib.crc32([streamId, ...row].map(String).join('\0'))
