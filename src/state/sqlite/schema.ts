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
