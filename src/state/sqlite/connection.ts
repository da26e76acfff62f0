import { readFileSync, realpathSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { Database } from './database.ts'
import { storeError, toStoreError } from './failures.ts'
import { APPLICATION_ID, FileWatch, type Harm } from './file-watch.ts'

/**
 * The statements that take a file from one version to the next. The first makes version 1 of an empty file. A released statement never
 * changes; a new version adds one.
 *
 * `position` grows with each write, independent of the clock, and so keeps the order of writes. `checksum` detects damage to the content of
 * a row, which SQLite does not check. It is `NULL` in rows of an earlier version until they are written again.
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

/** A longer log is merged into the file. SQLite's own default is 1,000 pages. */
const MAX_LOG_BYTES = 4_000_000

/** A connection to the state file. Only this process has the file open. Detects harm that another program does to the file. */
export class SqliteConnection {
  readonly database: DatabaseSync
  readonly #watch: FileWatch
  #isDamaged = false

  /**
   * Opens the file, makes it if there is none, and brings it to the current version.
   *
   * @throws {@link StoreError} if the file cannot be used. Its content is then unchanged
   */
  constructor(path: string) {
    this.database = openDatabase(path)
    try {
      this.#watch = new FileWatch(path)
    } catch (error) {
      closeQuietly(this.database)
      throw error
    }
  }

  /** Returns the harm that was done to the file since it was opened, or `undefined`. Changes nothing. */
  harm(): Harm | undefined {
    return this.#isDamaged ? 'changed' : this.#watch.harm()
  }

  /** Whether the header of the file still says that the file is this library's. */
  get isMarked(): boolean {
    return this.#watch.isMarked
  }

  /** Whether {@link markDamaged} was called. */
  get isDamaged(): boolean {
    return this.#isDamaged
  }

  /** Call it when SQLite has reported damage: the file counts as harmed from now on. */
  markDamaged(): void {
    this.#isDamaged = true
  }

  /** Call it after each write, even after a failed one. Merges a long log into the file. {@link harm} must have found none before. */
  noteWrite(): void {
    this.#watch.noteWrite()
    if (this.#watch.logBytes <= MAX_LOG_BYTES) return
    try {
      this.database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // The disk is full, and the log grows. The next write tries again.
    }
    this.#watch.noteMerge()
  }

  close(): void {
    this.#watch.close(this.harm(), () => closeQuietly(this.database))
  }
}

/**
 * Locks the file before it reads: two processes that read first would prevent each other from writing. No other code in this process may
 * open it, because closing any descriptor of it releases all locks of the process (POSIX).
 */
function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    if (isEmptied(path)) throw storeError(path, 'corrupt', { detail: 'it is empty, but the log beside it (-wal) is not' })
    // Absolute, because SQLite reads `file:…` as a URL.
    database = new Database(resolve(path))
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE')
    expectUsable(database, path)
    migrate(database)
    // Switch to WAL only now: then the header of a new file has our mark from the first write on, and a foreign file keeps its mode.
    database.exec('COMMIT; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0')
    // SQLite makes the log with the first read.
    numberOf(database, 'SELECT count(*) FROM sqlite_schema')
    return database
  } catch (error) {
    closeQuietly(database)
    throw toStoreError(path, error)
  }
}

/** Uncommitted changes are undone. */
function closeQuietly(database: DatabaseSync | undefined): void {
  try {
    database?.close()
  } catch {
    // All that was committed is in the file.
  }
}

function expectUsable(database: DatabaseSync, path: string): void {
  const applicationId = numberOf(database, 'PRAGMA application_id')
  const version = numberOf(database, 'PRAGMA user_version')
  if (applicationId !== APPLICATION_ID) {
    // SQLite treats a file of one byte as an empty one.
    const isEmpty = numberOf(database, 'SELECT count(*) FROM sqlite_schema') === 0 && statSync(path).size !== 1
    const isNew = applicationId === 0 && version === 0 && isEmpty
    if (!isNew) throw storeError(path, 'corrupt', { detail: "it is another application's database" })
  }
  if (version > MIGRATIONS.length) {
    const detail = `it has version ${version}, written by a newer release of this library; this release knows version ${MIGRATIONS.length}`
    throw storeError(path, 'newer-version', { detail })
  }
  if (applicationId === APPLICATION_ID && isCutOff(database, path)) throw storeError(path, 'corrupt', { detail: 'its end is missing' })
  const found = Object.values(database.prepare('PRAGMA integrity_check(1)').get() ?? {})[0]
  if (found !== 'ok') throw storeError(path, 'corrupt', { detail: `it is damaged: ${String(found)}` })
}

/**
 * Whether a page at the end is missing or incomplete, and is not in the log either. SQLite reads missing bytes as zeros. After a crash the
 * end of a file may be missing, but then the log has its pages.
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

/** Must be checked before SQLite opens the file: it deletes the log of an empty file. */
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

/** Sizes and offsets of the log: https://www.sqlite.org/fileformat.html#the_write_ahead_log */
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const SALT_OFFSET = 16
const FRAME_SALT_OFFSET = 8
const SALT_BYTES = 8

/** Returns the numbers of the pages in a log, up to its last commit. A frame with another salt is left from before the last checkpoint. */
function pagesInLog(path: string, pageSize: number): ReadonlySet<number> {
  const log = readIfReadable(path)
  const salt = log.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES)
  const [committed, pending] = [new Set<number>(), new Set<number>()]
  const frameBytes = FRAME_HEADER_BYTES + pageSize
  for (let offset = HEADER_BYTES; offset + frameBytes <= log.length; offset += frameBytes) {
    const frame = log.subarray(offset, offset + FRAME_HEADER_BYTES)
    if (!frame.subarray(FRAME_SALT_OFFSET, FRAME_SALT_OFFSET + SALT_BYTES).equals(salt)) break
    pending.add(frame.readUInt32BE(0))
    const isCommit = frame.readUInt32BE(4) !== 0
    if (!isCommit) continue
    for (const page of pending) committed.add(page)
    pending.clear()
  }
  return committed
}

function readIfReadable(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}
