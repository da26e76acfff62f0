/** Marks a file as ours in its header ("aoc1"), so that another application's database is never written to. */
export const APPLICATION_ID = 0x616f6331

/**
 * What takes a file from one version to the next: the first makes an empty file one of version 1. Never changed once released; a new
 * version is one more.
 *
 * `position` grows with every write, whatever the clock says: it is the order in which things were written.
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
]
