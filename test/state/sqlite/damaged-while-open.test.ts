import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { describe, expect, it, vi } from 'vitest'
import { copyAsIs, newPath, open, temporaryDirectory } from './files.ts'
import { ALL, atCrash, damage, entry, filled, ids, leaveFile, moveOver, openedElsewhere, overwrite, retention } from './filled-store.ts'
import { start } from './processes.ts'

// On the event loop: each call has written the file when it returns.
vi.mock(import('node:worker_threads'), async (original) => (await import('./without-threads.ts')).withoutThreads(original))

const moveAwayAndBack = (path: string): void => {
  renameSync(path, `${path}.old`)
  renameSync(`${path}.old`, path)
}

const HARMS: readonly (readonly [what: string, happened: string, act: (path: string) => void])[] = [
  ['is deleted', 'was deleted or moved away', unlinkSync],
  ['is deleted together with its log', 'was deleted or moved away', (path) => ['-wal', ''].map((suffix) => unlinkSync(path + suffix))],
  ['is moved away', 'was deleted or moved away', (path) => renameSync(path, `${path}.old`)],
  ['is replaced by an empty file', 'was replaced by another file', (path) => moveOver(path, '')],
  [
    'is deleted with its directory, which is then created again',
    'was deleted or moved away',
    (path) => {
      rmSync(dirname(path), { recursive: true })
      mkdirSync(dirname(path))
    },
  ],
  ['is emptied', 'was overwritten or damaged', (path) => truncateSync(path)],
  ['is cut off', 'was overwritten or damaged', (path) => truncateSync(path, 5_000)],
  ['is overwritten with noise after its header', 'was overwritten or damaged', (path) => damage(path, 200, 12_000)],
  ['is damaged in the middle of a row', 'was overwritten or damaged', (path) => damage(path, readFileSync(path).indexOf('recovered'), 1)],
  ['loses its log', 'lost its log (-wal)', (path) => unlinkSync(`${path}-wal`)],
  ['has its log replaced', 'lost its log (-wal)', (path) => moveOver(`${path}-wal`, 'log')],
  ['has its log emptied', 'has a log (-wal) that another program changed', (path) => truncateSync(`${path}-wal`)],
  ['has its log cut off', 'has a log (-wal) that another program changed', (path) => truncateSync(`${path}-wal`, 5_000)],
  ['has its log overwritten', 'has a log (-wal) that another program changed', (path) => writeFileSync(`${path}-wal`, 'log')],
]

describe('an open state file', () => {
  it.each(HARMS)('that %s is rewritten with all entries from memory, after one warning', (_, happened, act) => {
    const { path, store, logger } = filled()
    act(path)
    expect(store.isDurable).toBe(false)
    expect([logger.lines, store.isDurable]).toEqual([[], false])
    store.renew()
    expect(store.isDurable).toBe(true)
    expect(logger.lines).toEqual([expect.stringMatching(/^warn \| State file .* It is written anew from memory\. Close the store before/)])
    expect(logger.lines[0]).toContain(`${path} ${happened}`)
    expect(atCrash(path)).toEqual(ALL)
    store.renew()
    store.append(entry('later'))
    expect(atCrash(path).journal).toEqual([...ALL.journal, 'later'])
    store.close()
    expect([logger.lines.length, readdirSync(dirname(path)).filter((name) => !/\.(old|db)$/.test(name))]).toEqual([1, []])
    expect(ids(open(path).recover())).toEqual([...ALL.journal, 'later'])
  })

  it('that is deleted is rewritten with the streams of a dead process that were not recovered yet, and they are recovered once', () => {
    const path = newPath()
    leaveFile(path, ['orphan', 'settled', 'other orphan'], 'e')
    const store = open(path)
    unlinkSync(path)
    store.settle('settled')
    expect([store.isDurable, atCrash(path).journal]).toEqual([true, ['orphan', 'other orphan']])
    expect([store.recover(), store.recover()]).toEqual([[entry('orphan'), entry('other orphan')], []])
  })

  it.each([
    ['append', (store: SqliteStore) => store.append(entry('now'))],
    ['settle', (store: SqliteStore) => store.settle('own')],
    ['claimEnd', (store: SqliteStore) => void store.claimEnd('now', retention)],
    ['unclaimEnd', (store: SqliteStore) => store.unclaimEnd('ended')],
    ['forgetEnded', (store: SqliteStore) => void store.forgetEnded(retention)],
  ])('that is deleted is rewritten by the next %s()', (_, act) => {
    const { path, store, logger } = filled()
    unlinkSync(path)
    act(store)
    expect([store.isDurable, logger.lines.length]).toEqual([true, 1])
    expect(atCrash(path).journal).toContain('open')
  })

  it('that is deleted is rewritten by close()', () => {
    const { path, store } = filled()
    unlinkSync(path)
    store.close()
    expect(ids(open(path).recover())).toEqual(ALL.journal)
  })

  it('that is deleted three times causes three warnings', () => {
    const { path, store, logger } = filled()
    for (let round = 1; round <= 3; round += 1) {
      unlinkSync(path)
      for (let i = 0; i < 3; i += 1) store.renew()
      expect(logger.lines).toHaveLength(round)
    }
    expect(atCrash(path)).toEqual(ALL)
  })

  it('that was rewritten is locked for other processes and for other stores of this process', async () => {
    const { path, store } = filled()
    unlinkSync(path)
    store.renew()
    expect(await openedElsewhere(path)).toBe('locked')
    expect(() => new SqliteStore({ path })).toThrow(expect.objectContaining({ reason: 'locked' }))
  })

  it.each([
    ['gets a new modification time', (path: string) => utimesSync(path, 1, 1)],
    ['gets a new file mode', (path: string) => chmodSync(path, 0o400)],
    ['gets a hard link', (path: string) => linkSync(path, `${path}.link`)],
    ['is overwritten with its own bytes', (path: string) => overwrite(path, readFileSync(path))],
    ['is moved away and back', moveAwayAndBack],
    ['gets an empty -shm file, which SQLite does not need', (path: string) => writeFileSync(`${path}-shm`, '')],
  ])('that %s stays in use without a warning', (_, act) => {
    const { path, store, logger } = filled()
    act(path)
    expect(store.isDurable).toBe(true)
    store.append(entry('later'))
    expect([store.isDurable, logger.lines]).toEqual([true, []])
    expect(atCrash(path).journal).toEqual([...ALL.journal, 'later'])
  })

  it.each([512, 4_096])('that gets many writes keeps its log below 4.3 MB, without a warning (pages of %i bytes)', (pageBytes) => {
    const path = newPath()
    const database = new DatabaseSync(path)
    database.exec(`PRAGMA page_size = ${pageBytes}; VACUUM`)
    database.close()
    const { store, logger } = filled(path)
    for (let i = 0; i < 50; i += 1) store.append({ ...entry('open'), reason: `${i % 10}`.repeat(100_000) })
    expect(statSync(`${path}-wal`).size).toBeLessThan(4_300_000)
    expect(statSync(path).size).toBeGreaterThan(25_000)
    utimesSync(path, 1, 1)
    expect([store.isDurable, logger.lines]).toEqual([true, []])
    expect(atCrash(path)).toEqual(ALL)
  })
})

describe('a state file whose directory was removed', () => {
  it('is kept in memory with one warning for each reason, and is rewritten as soon as possible', () => {
    const { path, store, logger } = filled()
    const directory = dirname(path)
    rmSync(directory, { recursive: true })
    for (let i = 0; i < 3; i += 1) {
      store.renew()
      store.append(entry(`${i}`))
      store.settle(`${i}`)
    }
    expect([store.isDurable, existsSync(directory)]).toEqual([false, false])
    expect(logger.lines).toEqual([expect.stringMatching(/was deleted or moved away.* \| unwritable$/)])
    // A new reason causes a new warning.
    writeFileSync(directory, '')
    store.renew()
    rmSync(directory)
    mkdirSync(directory)
    writeFileSync(path, 'hello')
    for (let i = 0; i < 3; i += 1) store.renew()
    expect(logger.lines.slice(-1)).toEqual([expect.stringMatching(/still cannot be written anew.* \| corrupt$/)])
    unlinkSync(path)
    store.renew()
    expect([store.isDurable, atCrash(path), logger.lines.at(-1)]).toEqual([
      true,
      ALL,
      `info | State file ${path} is written again: all changes are stored`,
    ])
  })

  it('is used again, with all entries, when the directory is moved back', () => {
    const { path, store, logger } = filled()
    renameSync(dirname(path), `${dirname(path)}.old`)
    store.renew()
    renameSync(`${dirname(path)}.old`, dirname(path))
    store.renew()
    expect([store.isDurable, logger.lines.slice(1), atCrash(path)]).toEqual([
      true,
      [`info | State file ${path} is written again: all changes are stored`],
      ALL,
    ])
    expect(store.recover()).toEqual([])
  })

  it('lets its store close without an error', () => {
    const { path, store } = filled()
    rmSync(dirname(path), { recursive: true })
    store.close()
    expect([store.isDurable, existsSync(dirname(path))]).toEqual([false, false])
  })

  it('[I7] keeps no entry of a stream that is started and settled meanwhile', () => {
    const { path, store } = filled()
    rmSync(dirname(path), { recursive: true })
    store.renew()
    for (let i = 0; i < 500; i += 1) {
      store.append(entry(`${i}`))
      store.claimEnd(`${i}`, { ...retention, max: 3 })
      store.settle(`${i}`)
    }
    mkdirSync(dirname(path))
    store.renew()
    const database = new DatabaseSync(copyAsIs(path))
    const rows = database.prepare('SELECT stream_id AS id FROM journal UNION ALL SELECT stream_id FROM ended').all()
    database.close()
    expect(rows.map(({ id }) => id).toSorted()).toEqual(['497', '498', '499', 'open', 'own', 'recovered'])
  })
})

describe('a state file behind a symbolic link', () => {
  const linked = () => {
    const directory = temporaryDirectory()
    const [target, path] = [join(directory, 'target.db'), join(directory, 'link.db')]
    writeFileSync(target, '')
    symlinkSync(basename(target), path)
    return { directory, target, ...filled(path) }
  }

  it('has its log beside the target of the link, and is rewritten when that log is deleted', () => {
    const { target, path, store } = linked()
    expect([existsSync(`${target}-wal`), existsSync(`${path}-wal`), store.isDurable]).toEqual([true, false, true])
    unlinkSync(`${target}-wal`)
    expect(store.isDurable).toBe(false)
    store.renew()
    expect([store.isDurable, atCrash(target)]).toEqual([true, ALL])
  })

  it('is rewritten at the new target when the link changes, and the old target keeps all entries', () => {
    const { directory, target, path, store, logger } = linked()
    unlinkSync(path)
    symlinkSync('other.db', path)
    expect(store.isDurable).toBe(false)
    store.renew()
    const other = join(directory, 'other.db')
    expect([store.isDurable, logger.lines.length, atCrash(other)]).toEqual([true, 1, ALL])
    expect([atCrash(target), readdirSync(directory).toSorted()]).toEqual([ALL, ['link.db', 'other.db', 'other.db-wal', 'target.db']])
  })
})

it('a second store on a hard link of an open file is refused as locked', () => {
  const { path } = filled()
  linkSync(path, `${path}.link`)
  expect(() => new SqliteStore({ path: `${path}.link` })).toThrow(expect.objectContaining({ reason: 'locked' }))
})

it('a state file with a relative path is rewritten in its first directory after the process changed its working directory', async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'elsewhere'))
  const code = `
    const { unlinkSync } = await import('node:fs')
    process.chdir(process.argv[1])
    const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
    const store = new SqliteStore({ path: 'state.db' })
    process.chdir('elsewhere')
    store.append({ streamId: 'x', proxyId: 'p', isOver: false })
    console.log(store.isDurable)
    unlinkSync('../state.db')
    store.renew()
    console.log(store.isDurable)
    store.close()
  `
  const child = start(code, [directory])
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  await once(child, 'close')
  expect([output, readdirSync(join(directory, 'elsewhere')), readdirSync(directory)]).toEqual([
    'true\ntrue\n',
    [],
    ['elsewhere', 'state.db'],
  ])
})
