import type { DatabaseSync } from 'node:sqlite'
import { closeQuietly, openDatabase } from './open.ts'
import { type Harm, Watch } from './watch.ts'

/** The log is brought into the file beyond this size; SQLite's own default is 1,000 pages. */
const LONGEST_LOG_BYTES = 4_000_000

/** A connection to the state file that knows when the file is harmed. Opened by the constructor, which throws where that fails. */
export class Connection {
  readonly database: DatabaseSync
  readonly #watch: Watch
  #isDamaged = false

  constructor(path: string) {
    this.database = openDatabase(path)
    try {
      this.#watch = new Watch(path)
    } catch (error) {
      closeQuietly(this.database)
      throw error
    }
  }

  /** Harm done to the file since it was opened. Changes nothing. */
  harm(): Harm | undefined {
    return this.#isDamaged ? 'changed' : this.#watch.harm()
  }

  /** Whether the file is still marked as ours in its header. */
  get isMarked(): boolean {
    return this.#watch.isMarked
  }

  /** Whether {@link damaged} was called. */
  get isDamaged(): boolean {
    return this.#isDamaged
  }

  /** SQLite has found the file damaged: it counts as harmed from now on. */
  damaged(): void {
    this.#isDamaged = true
  }

  /** Call after each write, also after one that failed. Brings a long log into the file, which {@link harm} must have found whole. */
  written(): void {
    this.#watch.written()
    if (this.#watch.logBytes <= LONGEST_LOG_BYTES) return
    try {
      this.database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // On a disk that is full the log grows on. The next write tries again.
    }
    this.#watch.merged()
  }

  close(): void {
    this.#watch.close(this.harm(), () => closeQuietly(this.database))
  }
}
