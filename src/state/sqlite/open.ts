import { realpathSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pagesInLog, storeError, toStoreError } from './failures.ts'
import { FileWatch, type Harm } from './watch.ts'

/**
 * Opens the state file, for this process alone, and brings it to this release's version.
 *
 * The lock is taken before anything is read: two that read first would keep each other from writing. The file is never opened by other
 * means, since closing a file gives up all locks that this process has on it (POSIX).
 *
 * @throws {@link StoreError} where it cannot be used; what it holds is left as it is
 */
function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    if (isEmptied(path)) throw storeError(path, 'corrupt', { detail: 'it is empty, but the log beside it (-wal) is not' })
    // Absolute, since SQLite takes `file:…` for a URL.
    database = new DatabaseSync(resolve(path))
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE')
    check(database, path)
    migrate(database)
    // Only now, so that our mark is in the file's header from its first byte on, and a file that is not ours keeps its mode.
    database.exec('COMMIT; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0')
    // SQLite makes the log with the first look at the database.
    numberOf(database, 'SELECT count(*) FROM sqlite_schema')
    return database
  } catch (error) {
    closeQuietly(database)
    throw toStoreError(path, error)
  }
}

/** Closes, come what may; what is uncommitted is undone. */
function closeQuietly(database: DatabaseSync | undefined): void {
  try {
    database?.close()
  } catch {
    // It is of no use any more; whatever was committed is in the file.
  }
}

function check(database: DatabaseSync, path: string): void {
  const applicationId = numberOf(database, 'PRAGMA application_id')
  const version = numberOf(database, 'PRAGMA user_version')
  if (applicationId !== APPLICATION_ID) {
    // SQLite takes a file of one byte for an empty one.
    const isEmpty = numberOf(database, 'SELECT count(*) FROM sqlite_schema') === 0 && statSync(path).size !== 1
    const isNew = applicationId === 0 && version === 0 && isEmpty
    if (!isNew) throw storeError(path, 'corrupt', { detail: "it is another application's database" })
  }
  if (version > MIGRATIONS.length) {
    const detail = `it is of version ${version}, written by a newer release of this library; this one knows ${MIGRATIONS.length}`
    throw storeError(path, 'newer-version', { detail })
  }
  if (applicationId === APPLICATION_ID && isCutOff(database, path)) throw storeError(path, 'corrupt', { detail: 'its end is missing' })
  const found = Object.values(database.prepare('PRAGMA integrity_check(1)').get() ?? {})[0]
  if (found !== 'ok') throw storeError(path, 'corrupt', { detail: `it is damaged: ${String(found)}` })
}

/**
 * Whether a page at the end is missing or incomplete, and not in the log either: SQLite takes missing bytes for zeros. A crash may leave such
 * a file, but then the log holds its pages.
 */
function isCutOff(database: DatabaseSync, path: string): boolean {
  const pageSize = numberOf(database, 'PRAGMA page_size')
  const pageCount = numberOf(database, 'PRAGMA page_count')
  const wholePages = Math.floor(statSync(path).size / pageSize)
  if (wholePages >= pageCount) return false
  // SQLite has resolved symbolic links.
  const logged = pagesInLog(`${realpathSync(path)}-wal`, pageSize)
  for (let page = wholePages + 1; page <= pageCount; page += 1) if (!logged.has(page)) return true
  return false
}

/** Before SQLite opens the file: it deletes the log of an empty one. */
function isEmptied(path: string): boolean {
  const [main, log] = [path, `${path}-wal`].map((file) => statSync(file, { throwIfNoEntry: false }))
  return main?.isFile() === true && main.size === 0 && (log?.size ?? 0) > 0
}

function migrate(database: DatabaseSync): void {
  const version = numberOf(database, 'PRAGMA user_version')
  if (version === MIGRATIONS.length) return
  for (const migration of MIGRATIONS.slice(version)) database.exec(migration)
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`)
}

/** The only value of the only row. */
function numberOf(database: DatabaseSync, query: string): number {
  return Number(Object.values(database.prepare(query).get() ?? {})[0])
}

/** Marks a file as ours in its header ("aoc1"), so that another application's database is never written to. */
export const APPLICATION_ID = 0x616f6331
/** Where the mark is in the file: https://www.sqlite.org/fileformat.html#application_id */
export const APPLICATION_ID_OFFSET = 68

/**
 * What takes a file from one version to the next: the first makes an empty file one of version 1. Never changed once released; a new
 * version is one more.
 *
 * `position` grows with every write, whatever the clock says: it is the order in which things were written. `checksum` finds damage to the
 * content of a row, which SQLite does not check; it is `NULL` in rows of an earlier version until they are written again.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE journal (
    stream_id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    container_id TEXT,
    proxy_id TEXT NOT NULL,
    is_over INTEGER NOT NULL,
    reason TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE ended (
    stream_id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    ended_at REAL NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE journal ADD COLUMN life TEXT;
  ALTER TABLE ended ADD COLUMN life TEXT NOT NULL DEFAULT '';
  `,
  `
  ALTER TABLE journal ADD COLUMN checksum INTEGER;
  ALTER TABLE ended ADD COLUMN checksum INTEGER;
  `,
]

/** The log is brought into the file beyond this size; SQLite's own default is 1,000 pages. */
const LONGEST_LOG_BYTES = 4_000_000

/** A connection to the state file that knows when the file is harmed. Opened by the constructor, which throws where that fails. */
export class SqliteConnection {
  readonly database: DatabaseSync
  readonly #watch: FileWatch
  #isDamaged = false

  constructor(path: string) {
    this.database = openDatabase(path)
    try {
      this.#watch = new FileWatch(path)
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
