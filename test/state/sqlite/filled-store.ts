import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { JournalEntry } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { expect } from 'vitest'
import { copyAsIs, keepingLogger, newPath, open } from './files.ts'
import { start } from './processes.ts'

export const retention = { now: Date.UTC(2026, 0, 1), retentionMs: 60_000, max: 100 }
export const entry = (streamId: string): JournalEntry => ({ streamId, proxyId: 'p', isOver: false, life: `life of ${streamId}` })
export const ids = (entries: readonly JournalEntry[]): string[] => entries.map(({ streamId }) => streamId)

/** The journal and the ended ids that the next process finds if this one is killed now. */
export function atCrash(path: string) {
  const store = new SqliteStore({ path: copyAsIs(path) })
  const found = { journal: ids(store.recover()), ended: [...store.endedAmong(ENDS, retention).keys()] }
  store.close()
  return found
}

/** The ids in the file and its log, as a process that is killed now would leave them. Read without a store. */
export function rowsAtCrash(path: string): { journal: unknown[]; ended: unknown[] } {
  const database = new DatabaseSync(copyAsIs(path))
  const idsOf = (table: string): unknown[] =>
    database
      .prepare(`SELECT stream_id AS id FROM ${table} ORDER BY position`)
      .all()
      .map(({ id }) => id)
  const rows = { journal: idsOf('journal'), ended: idsOf('ended') }
  database.close()
  return rows
}

export const ENDS = ['ended before', 'ended', 'undone']
export const ALL = { journal: ['recovered', 'own', 'open'], ended: ['ended before', 'ended'] }

/** Writes a state file and closes it, as a process did that is dead now. */
export function leaveFile(path: string, streamIds: readonly string[], endedId: string): void {
  const store = new SqliteStore({ path })
  for (const streamId of streamIds) store.append(entry(streamId))
  store.claimEnd(endedId, retention)
  store.close()
}

/** An open store with an entry of each kind (recovered, its own, settled) and with ended ids. */
export function filled(path = newPath()) {
  leaveFile(path, ['recovered', 'settled', 'appended anew'], 'ended before')
  const logger = keepingLogger()
  const store = open(path, { logger })
  store.recover()
  store.append(entry('own'))
  store.settle('settled')
  store.settle('appended anew')
  store.append(entry('open'))
  store.append(entry('short'))
  store.settle('short')
  store.claimEnd('ended', retention)
  store.claimEnd('undone', retention)
  store.unclaimEnd('undone')
  expect(atCrash(path)).toEqual(ALL)
  expect(store.isDurable).toBe(true)
  return { path, store, logger }
}

/** The database of another application, as bytes. */
export function foreignBytes(rows = 1): Buffer {
  const path = newPath()
  const database = new DatabaseSync(path)
  database.exec('PRAGMA application_id = 77; CREATE TABLE theirs (x TEXT)')
  database.exec(
    `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) INSERT INTO theirs SELECT hex(zeroblob(450)) FROM n`,
  )
  database.close()
  return readFileSync(path)
}

export const overwrite = (path: string, bytes: Buffer | string): void => writeFileSync(path, bytes, { flag: 'r+' })
export const moveOver = (path: string, bytes: Buffer | string): void => {
  writeFileSync(`${path}.new`, bytes)
  renameSync(`${path}.new`, path)
}

export function damage(path: string, from: number, length: number): void {
  const bytes = readFileSync(path)
  bytes.fill(0xa5, from, from + length)
  overwrite(path, bytes)
}

/** Opens the file in another process. Returns the ids that this process recovered, `nothing`, or the reason of its error. */
export async function openedElsewhere(path: string): Promise<string> {
  const code = `
    const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
    try {
      const store = new SqliteStore({ path: process.argv[1] })
      console.log(store.recover().map(({ streamId }) => streamId).join() || 'nothing')
      store.append({ streamId: 'theirs', proxyId: 'them', isOver: false })
    } catch (error) {
      console.log(error.reason)
    }
  `
  const [output] = await once(start(code, [path]).stdout, 'data')
  return String(output).trim()
}

export const digestOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')
