import { copyFileSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { describe, expect, it, vi } from 'vitest'
import { newPath, open } from './files.ts'
import { ALL, atCrash, damage, digestOf, ENDS, entry, filled, foreignBytes, ids, leaveFile, moveOver, retention } from './filled-store.ts'

// On the event loop: each call has written the file when it returns.
vi.mock(import('node:worker_threads'), async (original) => (await import('./without-threads.ts')).withoutThreads(original))

describe('a foreign file that replaces the open state file', () => {
  it.each([
    ['a database, renamed over it', moveOver, () => foreignBytes()],
    ['a database, copied over it', writeFileSync, () => foreignBytes()],
    ['a larger database, copied over it', writeFileSync, () => foreignBytes(200)],
    ['text, renamed over it', moveOver, () => 'hello'],
    ['text, copied over it', writeFileSync, () => 'hello'],
    ['one byte, copied over it', writeFileSync, () => 'x'],
  ])('(%s) stays unchanged, and the store logs one warning and continues in memory', (_, act, bytes) => {
    const { path, store, logger } = filled()
    act(path, bytes())
    const before = digestOf(path)
    for (let i = 0; i < 3; i += 1) {
      store.renew()
      store.append(entry(`${i}`))
      expect([store.isDurable, store.claimEnd(`${i}`, retention), store.claimEnd(`${i}`, retention)]).toEqual([false, true, false])
    }
    expect(digestOf(path)).toBe(before)
    expect(logger.lines).toEqual([expect.stringMatching(/^warn \| State file .* State is kept in memory .* \| corrupt$/)])
    expect(readdirSync(dirname(path))).toEqual(['state.db'])
    unlinkSync(path)
    store.renew()
    expect([store.isDurable, logger.lines.slice(1)]).toEqual([true, [`info | State file ${path} is written again: all changes are stored`]])
    expect(atCrash(path).journal).toEqual([...ALL.journal, '0', '1', '2'])
  })

  it('stays unchanged when the store is closed', () => {
    const { path, store } = filled()
    writeFileSync(path, foreignBytes(200))
    const before = digestOf(path)
    store.close()
    expect([digestOf(path), readdirSync(dirname(path))]).toEqual([before, ['state.db']])
  })

  it('stays unchanged if it is a damaged state file of another process', () => {
    const { path, store, logger } = filled()
    const other = newPath()
    leaveFile(other, ['theirs'], 'e')
    damage(other, readFileSync(other).indexOf('theirs'), 1)
    renameSync(other, path)
    const before = digestOf(path)
    store.renew()
    expect([store.isDurable, digestOf(path)]).toEqual([false, before])
    expect(logger.lines).toEqual([expect.stringMatching(/was replaced by another file.* \| corrupt$/)])
  })
})

it('a state file without a table that replaces the open one causes one warning and stays unchanged, and the store continues in memory', () => {
  const { path, store, logger } = filled()
  const other = newPath()
  leaveFile(other, ['theirs'], 'e')
  const database = new DatabaseSync(other)
  database.exec('DROP TABLE ended')
  database.close()
  renameSync(other, path)
  const digest = digestOf(path)
  for (let i = 0; i < 3; i += 1) store.renew()
  store.append(entry('in memory'))
  expect([store.isDurable, logger.lines, store.recover()]).toEqual([
    false,
    [expect.stringMatching(/was replaced by another file.* \| corrupt$/)],
    [],
  ])
  expect(digestOf(path)).toBe(digest)
})

describe('a state file of a dead process that replaces the open one', () => {
  it.each([
    ['renamed over it', renameSync],
    ['copied over it', copyFileSync],
  ])('(%s) gets all entries of the store, and its own entries are recovered', (_, act) => {
    const { path, store, logger } = filled()
    const other = newPath()
    leaveFile(other, ['theirs', 'open', 'their other'], 'undone')
    act(other, path)
    store.renew()
    expect([store.isDurable, logger.lines.length]).toEqual([true, 1])
    // Both files have an entry `open`: the one of this store wins.
    expect(ids(store.recover())).toEqual(['theirs', 'their other'])
    expect([...store.endedAmong(ENDS, retention).keys()]).toEqual([...ENDS])
    const { journal, ended } = atCrash(path)
    expect([new Set(journal), ended]).toEqual([new Set([...ALL.journal, 'theirs', 'their other']), ENDS])
    store.settle('theirs')
    expect(atCrash(path).journal).not.toContain('theirs')
  })
})

describe('a deleted state file whose path another store opens', () => {
  it('belongs to the other store until that store closes, and is then taken over', () => {
    const { path, store, logger } = filled()
    unlinkSync(path)
    const second = open(path)
    expect(ids(second.recover())).toEqual([])
    second.append(entry('theirs'))
    for (let i = 0; i < 3; i += 1) store.renew()
    expect([store.isDurable, second.isDurable]).toEqual([false, true])
    expect(logger.lines).toEqual([expect.stringMatching(/was deleted or moved away|was replaced/)])
    expect(logger.lines[0]).toMatch(/another store has it open.* \| locked$|State is kept in memory.* \| locked$/)
    expect([second.isDurable, atCrash(path).journal]).toEqual([true, ['theirs']])
    second.close()
    store.append(entry('later'))
    expect([store.isDurable, ids(store.recover()), logger.lines.slice(1)]).toEqual([
      true,
      ['theirs'],
      [`info | State file ${path} is written again: all changes are stored`],
    ])
    expect(new Set(atCrash(path).journal)).toEqual(new Set([...ALL.journal, 'later', 'theirs']))
  })

  it('is locked for the other store if the first store has rewritten it', () => {
    const { path, store } = filled()
    unlinkSync(path)
    store.renew()
    expect(() => new SqliteStore({ path })).toThrow(expect.objectContaining({ reason: 'locked' }))
    expect(store.isDurable).toBe(true)
  })
})
