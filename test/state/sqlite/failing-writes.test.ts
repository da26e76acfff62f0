import { unlinkSync } from 'node:fs'
import type { DatabaseSync, DatabaseSyncOptions, SQLInputValue } from 'node:sqlite'
import { type JournalEntry, StoreError } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { copyAsIs, keepingLogger, newPath, open } from './files.ts'

// On the event loop: each call has written the file when it returns.
vi.mock(import('node:worker_threads'), async (original) => (await import('./without-threads.ts')).withoutThreads(original))

/** The real SQLite connections of the stores under test. Tests set limits on them; `errcode` makes every write fail. */
const connections = vi.hoisted(() => ({ opened: [] as DatabaseSync[], options: {} as DatabaseSyncOptions, sqlOnOpen: '', errcode: 0 }))

vi.mock(import('../../../src/state/sqlite/database.ts'), async (original) => {
  const actual = await original()
  class Database extends actual.Database {
    constructor(path: string) {
      super(path, connections.options)
      connections.opened.push(this)
      this.exec(connections.sqlOnOpen)
    }

    override prepare(sql: string) {
      const statement = super.prepare(sql)
      const realRun = statement.run.bind(statement)
      const run = (...values: SQLInputValue[]) => {
        const { errcode } = connections
        if (errcode !== 0) throw Object.assign(new Error('injected'), { errcode })
        return realRun(...values)
      }
      return Object.assign(statement, { run })
    }
  }
  return { Database }
})

beforeEach(() => {
  Object.assign(connections, { opened: [], options: {}, sqlOnOpen: '', errcode: 0 })
})

const NOW = Date.UTC(2026, 0, 1)
const retention = { now: NOW, retentionMs: 60_000, max: 100_000 }
const entry = (streamId: string, length = 0): JournalEntry => ({ streamId, proxyId: 'p', isOver: false, reason: 'r'.repeat(length) })
const ids = (entries: readonly JournalEntry[]): string[] => entries.map(({ streamId }) => streamId)

/** The entries that the next process recovers if this one is killed now. */
const atCrash = (path: string): string[] => ids(open(copyAsIs(path)).recover())

/** A store, its log lines, and functions that make its writes fail and work again. */
function storeWithFaults() {
  const path = newPath()
  const logger = keepingLogger()
  const store = open(path, { logger })
  const connection = connections.opened[0] as DatabaseSync
  const fillDisk = () => connection.exec(`PRAGMA max_page_count = ${Object.values(connection.prepare('PRAGMA page_count').get() ?? {})[0]}`)
  const makeRoom = () => connection.exec('PRAGMA max_page_count = 1000000')
  const breakInserts = (streamId: string) =>
    connection.exec(`CREATE TEMP TRIGGER broken BEFORE INSERT ON main.journal WHEN NEW.stream_id LIKE '${streamId}'
      BEGIN SELECT RAISE(ABORT, 'broken'); END`)
  const repair = () => connection.exec('DROP TRIGGER broken')
  const readOnly = () => connection.exec('PRAGMA query_only = ON')
  return { path, logger, store, fillDisk, makeRoom, breakInserts, repair, readOnly }
}

describe('a state file that cannot be opened for writing', () => {
  it.each([
    ['the file is read-only', { options: { readOnly: true } }],
    ['the disk has no room for its tables', { sqlOnOpen: 'PRAGMA max_page_count = 1' }],
  ])('is refused as unwritable because %s', (_, faults) => {
    const path = newPath()
    new SqliteStore({ path: `${path}` }).close()
    const target = 'sqlOnOpen' in faults ? newPath() : path
    Object.assign(connections, faults)
    expect(() => new SqliteStore({ path: target })).toThrow(StoreError)
    expect(() => new SqliteStore({ path: target })).toThrow(expect.objectContaining({ reason: 'unwritable' }))
    const logger = keepingLogger()
    expect(open(target, { onFailure: 'memory', logger }).isDurable).toBe(false)
    expect(logger.lines).toEqual([
      `warn | State file ${target} cannot be used: all state is kept in memory, and a crash loses it | unwritable`,
    ])
    Object.assign(connections, { options: {}, sqlOnOpen: '' })
    expect(open(target).isDurable).toBe(true)
  })
})

describe('a full disk', () => {
  it('causes one warning, claims still work in memory, and all entries are stored together once there is room', () => {
    const { path, logger, store, fillDisk, makeRoom } = storeWithFaults()
    fillDisk()
    const stored: string[] = []
    const written: string[] = []
    for (let i = 0; i < 60; i += 1) {
      store.append(entry(`${i}`, 1_500))
      written.push(`${i}`)
      if (store.isDurable) stored.splice(0, stored.length, ...written)
    }
    expect(store.isDurable).toBe(false)
    expect(stored.length).toBeLessThan(30)
    expect(atCrash(path)).toEqual(stored)
    expect(store.claimEnd('x', retention)).toBe(true)
    expect([store.claimEnd('x', retention), [...store.endedAmong(['x', 'y'], retention).keys()]]).toEqual([false, ['x']])
    expect(logger.lines).toEqual([
      `warn | State file ${path} cannot be written: changes are kept in memory until a write succeeds | unwritable`,
    ])
    makeRoom()
    store.append(entry('last'))
    expect(store.isDurable).toBe(true)
    expect(atCrash(path)).toEqual([...written, 'last'])
    expect([...open(copyAsIs(path)).endedAmong(['x'], retention).keys()]).toEqual(['x'])
    expect(logger.lines.slice(1)).toEqual([`info | State file ${path} is written again: all changes are stored`])
  })

  it('loses no entry even if the state file is deleted before there is room', () => {
    const { path, logger, store, fillDisk } = storeWithFaults()
    fillDisk()
    let count = 0
    for (; store.isDurable; count += 1) store.append(entry(`${count}`, 1_500))
    Object.assign(connections, { sqlOnOpen: 'PRAGMA max_page_count = 1' })
    unlinkSync(path)
    for (let i = 0; i < 3; i += 1) store.renew()
    expect(store.isDurable).toBe(false)
    Object.assign(connections, { sqlOnOpen: '' })
    store.renew()
    expect([store.isDurable, atCrash(path)]).toEqual([true, Array.from({ length: count }, (_, index) => `${index}`)])
    expect(logger.lines).toEqual([
      `warn | State file ${path} cannot be written: changes are kept in memory until a write succeeds | unwritable`,
      expect.stringMatching(/was deleted or moved away while it was open\. State is kept in memory.* \| unwritable$/),
      `info | State file ${path} is written again: all changes are stored`,
    ])
  })
})

describe('a state file that rejects inserts', () => {
  it('causes a second warning when it rejects them a second time', () => {
    const { path, logger, store, breakInserts, repair } = storeWithFaults()
    for (let round = 0; round < 2; round += 1) {
      breakInserts('%')
      for (let i = 0; i < 3; i += 1) store.append(entry(`${round}-${i}`))
      repair()
      store.settle('0-0')
    }
    const warning = `warn | State file ${path} cannot be written: changes are kept in memory until a write succeeds | corrupt`
    const recovered = `info | State file ${path} is written again: all changes are stored`
    expect(logger.lines).toEqual([warning, recovered, warning, recovered])
  })

  it.each([
    ['renew', (store: SqliteStore) => store.renew()],
    ['close', (store: SqliteStore) => store.close()],
    ['forgetEnded', (store: SqliteStore) => void store.forgetEnded(retention)],
  ])('and then accepts them again lets %s() store the entries that could not be stored before', (_, act) => {
    const { path, store, breakInserts, repair } = storeWithFaults()
    breakInserts('%')
    for (const streamId of ['x', 'y']) store.append(entry(streamId))
    repair()
    expect(atCrash(path)).toEqual([])
    act(store)
    expect(atCrash(path)).toEqual(['x', 'y'])
  })

  it('lets close() succeed, and entries that were stored before stay stored', () => {
    const { path, store, breakInserts } = storeWithFaults()
    store.append(entry('stored'))
    breakInserts('%')
    store.append(entry('not stored'))
    store.close()
    expect(atCrash(path)).toEqual(['stored'])
  })
})

describe('a state file that SQLite reports as damaged', () => {
  it.each([
    ['SQLITE_CORRUPT', 11],
    ['SQLITE_CORRUPT_INDEX', 779],
    ['SQLITE_NOTADB', 26],
  ])('(%s) is rewritten with all entries from memory, after one warning', (_, errcode) => {
    const { path, logger, store } = storeWithFaults()
    store.append(entry('stored'))
    Object.assign(connections, { errcode })
    store.append(entry('not stored'))
    expect([store.isDurable, connections.opened.length]).toEqual([false, 2])
    Object.assign(connections, { errcode: 0 })
    store.renew()
    expect([store.isDurable, atCrash(path)]).toEqual([true, ['stored', 'not stored']])
    expect(logger.lines).toHaveLength(1)
    expect(logger.lines[0]).toMatch(/was overwritten or damaged while it was open/)
  })
})

describe('failed writes', () => {
  it('are retried in one transaction, which stores all of them or none', () => {
    const { path, store, breakInserts, repair } = storeWithFaults()
    store.append(entry('kept'))
    breakInserts('%')
    for (const streamId of ['1', '2', 'stuck', '3']) store.append(entry(streamId))
    store.settle('kept')
    repair()
    breakInserts('stuck')
    store.renew()
    // The first write is retried alone, to test whether writing works. The others follow in one transaction.
    expect(atCrash(path)).toEqual(['kept', '1'])
    repair()
    store.renew()
    expect(atCrash(path)).toEqual(['1', '2', 'stuck', '3'])
  })

  it('are reduced to the latest entry of each stream, and are stored in the order of these latest writes', () => {
    const { path, store, breakInserts, repair } = storeWithFaults()
    for (const streamId of ['old', 'gone', 'again']) store.append(entry(streamId))
    breakInserts('%')
    store.append({ ...entry('old'), isOver: true })
    store.append(entry('new'))
    store.append(entry('short'))
    store.settle('short')
    store.settle('gone')
    store.settle('again')
    store.append(entry('again'))
    store.claimEnd('ended', retention)
    store.claimEnd('undone', retention)
    store.unclaimEnd('undone')
    repair()
    store.renew()
    const next = open(copyAsIs(path))
    expect(next.recover()).toEqual([{ ...entry('old'), isOver: true }, entry('new'), entry('again')])
    expect([...next.endedAmong(['ended', 'undone'], retention).keys()]).toEqual(['ended'])
  })

  it('[I7] of streams that were settled meanwhile are dropped, so they use no memory', () => {
    const { store, readOnly } = storeWithFaults()
    store.append(entry('stored before'))
    store.settle('stored before')
    readOnly()
    for (const streamId of ['stored before', ...Array.from({ length: 500 }, (_, index) => `${index}`)]) {
      store.append(entry(streamId))
      expect(store.isDurable).toBe(false)
      store.settle(streamId)
      // The entry never reached the file, and the settled stream needs none.
      expect(store.isDurable).toBe(true)
    }
  })
})
