import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { storeError, toStoreError } from './failures.ts'
import { APPLICATION_ID, MIGRATIONS } from './schema.ts'

/**
 * Opens the state file, for this process alone, and brings it to this release's version.
 *
 * The lock is taken before anything is read: two that read first would keep each other from writing. The file is never opened by other
 * means, since closing a file gives up all locks that this process has on it (POSIX).
 *
 * @throws {@link StoreError} where it cannot be used; what it holds is left as it is
 */
export function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    // Absolute, since SQLite takes `file:…` for a URL.
    database = new DatabaseSync(resolve(path))
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE')
    check(database, path)
    migrate(database)
    // Only now, so that our mark is in the file's header from its first byte on, and a file that is not ours keeps its mode.
    database.exec('COMMIT; PRAGMA journal_mode = WAL')
    return database
  } catch (error) {
    closeQuietly(database)
    throw toStoreError(path, error)
  }
}

/** Closes, come what may; what is uncommitted is undone. */
export function closeQuietly(database: DatabaseSync | undefined): void {
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
    const isNew = applicationId === 0 && version === 0 && numberOf(database, 'SELECT count(*) FROM sqlite_schema') === 0
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

/** Whether the last page is incomplete: SQLite takes what is missing for zeros. Where there is a log, it may hold what the file does not yet. */
function isCutOff(database: DatabaseSync, path: string): boolean {
  const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const size = numberOf(database, 'PRAGMA page_count') * numberOf(database, 'PRAGMA page_size')
  return sizeOf(`${path}-wal`) === 0 && sizeOf(path) < size
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
