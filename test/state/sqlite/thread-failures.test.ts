import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Worker, WorkerOptions } from 'node:worker_threads'
import { StoreError } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { setup } from '../../support/setup.ts'
import { keepingLogger, newPath, open } from './files.ts'
import { damage, entry, foreignBytes, ids, leaveFile, moveOver, openedElsewhere, retention, rowsAtCrash } from './filled-store.ts'

/** The threads that the stores under test have started, and what is wrong with the next ones. */
const threads = vi.hoisted(() => ({
  started: [] as Worker[],
  moduleUrl: undefined as string | undefined,
  isAllowed: true,
  areSilent: false,
}))

vi.mock(import('node:worker_threads'), async (original) => {
  const actual = await original()
  class Worker extends actual.Worker {
    constructor(code: string, { workerData, ...options }: WorkerOptions) {
      if (!threads.isAllowed) throw new Error('threads are not allowed here')
      const { moduleUrl = workerData.moduleUrl } = threads
      super(code, { ...options, workerData: { ...workerData, moduleUrl } })
      threads.started.push(this)
    }
  }
  const receiveMessageOnPort: typeof actual.receiveMessageOnPort = (port) =>
    threads.areSilent ? undefined : actual.receiveMessageOnPort(port)
  return { ...actual, Worker, receiveMessageOnPort }
})

beforeEach(() => {
  Object.assign(threads, { started: [], moduleUrl: undefined, isAllowed: true, areSilent: false })
})

const realWait = Atomics.wait.bind(Atomics)

/** Ends the thread of the only store, as a lack of memory would. */
const endThread = async (): Promise<void> => void (await threads.started.at(-1)?.terminate())

/** Creates a file that rejects each entry whose id begins with `stuck`, as a full disk would. */
function rejectingFile(): string {
  const path = newPath()
  new SqliteStore({ path }).close()
  const database = new DatabaseSync(path)
  database.exec(`CREATE TRIGGER full BEFORE INSERT ON journal WHEN NEW.stream_id LIKE 'stuck%' BEGIN SELECT RAISE(ABORT, 'full'); END`)
  database.close()
  return path
}

describe('a state file that cannot be opened', () => {
  const newerFile = (): string => {
    const path = newPath()
    leaveFile(path, ['x'], 'e')
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 4')
    database.close()
    return path
  }
  const damagedFile = (): string => {
    const path = newPath()
    leaveFile(path, ['x'], 'e')
    damage(path, 200, 4_000)
    return path
  }
  const heldFile = (): string => {
    const path = newPath()
    open(path)
    return path
  }

  it.each([
    ['locked', heldFile, true],
    ['corrupt', damagedFile, false],
    ['newer-version', newerFile, false],
    ['unwritable', () => dirname(newPath()), false],
  ])('makes the constructor throw a StoreError with reason %s, and its thread ends', async (reason, make, retryable) => {
    const path = make()
    let thrown: unknown
    try {
      new SqliteStore({ path })
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(StoreError)
    expect(thrown).toMatchObject({ reason, retryable, message: expect.stringContaining(path) })
    expect(await once(threads.started.at(-1) as Worker, 'exit')).toEqual([0])
  })

  it("has SQLite's error as the cause", () => {
    const path = heldFile()
    expect(() => new SqliteStore({ path })).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ code: 'ERR_SQLITE_ERROR', errcode: 5 }) }),
    )
  })
})

describe('a state file that rejects writes', () => {
  it('delays no caller, causes one warning with its reason, and one line when it accepts them again', async () => {
    const path = rejectingFile()
    const logger = keepingLogger()
    const store = open(path, { logger })
    for (let i = 0; i < 3; i += 1) await store.append(entry(`stuck ${i}`))
    expect(await store.claimEnd('x', retention)).toBe(true)
    expect(await store.claimEnd('x', retention)).toBe(false)
    expect([store.isDurable, rowsAtCrash(path)]).toEqual([false, { journal: [], ended: [] }])
    for (let i = 0; i < 3; i += 1) await store.settle(`stuck ${i}`)
    expect([store.isDurable, rowsAtCrash(path)]).toEqual([true, { journal: [], ended: ['x'] }])
    expect(logger.lines).toEqual([
      `warn | State file ${path} cannot be written: changes are kept in memory until a write succeeds | corrupt`,
      `info | State file ${path} is written again: all changes are stored`,
    ])
  })
})

describe('a state file that another file replaces', () => {
  it('stays unchanged if it is foreign, after one warning that carries a StoreError', async () => {
    const path = newPath()
    const logged: object[] = []
    const warn = (_: string, fields?: object): void => void logged.push(fields ?? {})
    const store = open(path, { logger: { debug: () => {}, info: () => {}, warn, error: () => {} } })
    moveOver(path, foreignBytes())
    for (let i = 0; i < 3; i += 1) await store.append(entry(`${i}`))
    expect(store.isDurable).toBe(false)
    expect(logged).toEqual([{ path, reason: 'corrupt', error: expect.any(StoreError) }])
  })

  it('is taken over if a dead process wrote it, without the entries and claims that this process has removed meanwhile', async () => {
    const [path, other] = [newPath(), newPath()]
    leaveFile(other, ['theirs', 'settled', 'appended'], 'unclaimed')
    const store = open(path)
    renameSync(other, path)
    // The thread finds the other file with the first write. The other changes are made before the store knows.
    const found = store.renew()
    await Promise.resolve()
    await Promise.all([found, store.settle('settled'), store.append(entry('appended')), store.unclaimEnd('unclaimed')])
    expect(ids(store.recover())).toEqual(['theirs'])
    expect(await store.claimEnd('unclaimed', retention)).toBe(true)
    expect(rowsAtCrash(path).journal).toEqual(['theirs', 'appended'])
  })

  it('is taken over with entries that were settled before the file was found: they are recovered', async () => {
    const [path, other] = [newPath(), newPath()]
    leaveFile(other, ['theirs'], 'e')
    const store = open(path)
    renameSync(other, path)
    await store.settle('theirs')
    expect([ids(store.recover()), rowsAtCrash(path).journal]).toEqual([['theirs'], ['theirs']])
  })
})

describe('a store whose thread ends unexpectedly', () => {
  it('causes one warning, keeps every change, and writes the file itself from then on', async () => {
    const path = newPath()
    leaveFile(path, ['recovered', 'orphan'], 'ended before')
    const logger = keepingLogger()
    const store = open(path, { logger })
    await store.append(entry('stored'))
    await store.claimEnd('ended', retention)
    await store.unclaimEnd('ended before')
    const lost = [store.append(entry('lost')), store.settle('orphan'), store.claimEnd('lost', retention)]
    await endThread()
    await Promise.all(lost)
    await store.append(entry('later'))
    expect([store.isDurable, await openedElsewhere(path)]).toEqual([true, 'locked'])
    expect(rowsAtCrash(path)).toEqual({ journal: ['recovered', 'stored', 'lost', 'later'], ended: ['ended', 'lost'] })
    expect(await store.claimEnd('lost', retention)).toBe(false)
    expect(ids(store.recover())).toEqual(['recovered'])
    await store.renew()
    expect(logger.lines).toEqual([
      `warn | State file ${path}: the thread that writes it has ended unexpectedly. It is written on the event loop from now on | unavailable`,
    ])
    store.close()
    expect(ids(open(path).recover())).toEqual(['recovered', 'stored', 'lost', 'later'])
  })

  it('keeps its changes in memory while the file cannot be opened, and writes all of them once it can', async () => {
    const path = newPath()
    const logger = keepingLogger()
    const store = open(path, { logger })
    await store.append(entry('x'))
    rmSync(dirname(path), { recursive: true })
    await endThread()
    await store.append(entry('y'))
    await store.settle('x')
    await store.claimEnd('x', retention)
    for (let i = 0; i < 3; i += 1) await store.renew()
    expect(store.isDurable).toBe(false)
    mkdirSync(dirname(path))
    await store.renew()
    expect([store.isDurable, rowsAtCrash(path)]).toEqual([true, { journal: ['y'], ended: ['x'] }])
    expect(logger.lines).toEqual([
      expect.stringMatching(/^warn .* has ended unexpectedly/),
      `warn | State file ${path} cannot be written: changes are kept in memory until a write succeeds | unwritable`,
      `info | State file ${path} is written again: all changes are stored`,
    ])
  })

  it('writes its last changes when it is closed', async () => {
    const path = newPath()
    const store = new SqliteStore({ path })
    const directory = dirname(path)
    await store.append(entry('settled'))
    await store.claimEnd('unclaimed', retention)
    renameSync(directory, `${directory}.away`)
    await endThread()
    await store.append(entry('x'))
    await store.settle('settled')
    await store.unclaimEnd('unclaimed')
    renameSync(`${directory}.away`, directory)
    store.close()
    expect(rowsAtCrash(path)).toEqual({ journal: ['x'], ended: [] })
  })
})

describe('a store whose thread does not answer', () => {
  /** No answer arrives in time from now on, however fast the thread is. Returns a function after which answers arrive again. */
  const loseAnswers = (): (() => void) => {
    threads.areSilent = true
    const wait = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out')
    wait.mockImplementationOnce(realWait) // a thread that starts does so in time
    return () => {
      threads.areSilent = false
      wait.mockRestore()
    }
  }

  it('while it opens the file fails as unavailable, which can be retried, and its file is not locked', async () => {
    const path = newPath()
    const restore = loseAnswers()
    expect(() => new SqliteStore({ path })).toThrow(expect.objectContaining({ reason: 'unavailable', retryable: true }))
    await once(threads.started[0] as Worker, 'exit')
    restore()
    expect(open(path).isDurable).toBe(true)
  })

  it('is not durable meanwhile', () => {
    const store = open(newPath())
    expect(store.isDurable).toBe(true)
    const restore = loseAnswers()
    void store.append(entry('x'))
    expect(store.isDurable).toBe(false)
    restore()
    expect(store.isDurable).toBe(true)
  })
})

describe('close() of a SQLite store', () => {
  it('ends its thread', async () => {
    const store = new SqliteStore({ path: newPath() })
    void store.append(entry('x'))
    store.close()
    expect(await once(threads.started[0] as Worker, 'exit')).toEqual([0])
  })
})

describe('a runtime that starts no thread', () => {
  it.each([
    ['because it allows none', { isAllowed: false }],
    ['because a bundler has left out its module', { moduleUrl: 'file:///missing/sqlite-thread.js' }],
  ])('%s has a store that writes on the event loop, and one warning', (_, broken) => {
    Object.assign(threads, broken)
    const wait = vi.spyOn(Atomics, 'wait')
    const path = newPath()
    const store = open(path)
    expect(wait.mock.results.filter(({ value }) => value === 'timed-out')).toEqual([])
    const logger = keepingLogger()
    for (let i = 0; i < 2; i += 1) setup({}, { store, logger })
    store.append(entry('x'))
    expect([store.isDurable, rowsAtCrash(path).journal]).toEqual([true, ['x']])
    expect(logger.lines).toEqual([
      `warn | State file ${path} is written on the event loop, because no thread could be started: each write delays all viewers`,
    ])
  })

  it('in time has a store that writes on the event loop, and a thread that starts later does not touch the file', async () => {
    vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out')
    const path = newPath()
    const store = open(path)
    store.append(entry('x'))
    expect(await once(threads.started[0] as Worker, 'exit')).toEqual([0])
    expect([store.isDurable, rowsAtCrash(path).journal]).toEqual([true, ['x']])
  })

  it('refuses a file that it cannot open', () => {
    threads.isAllowed = false
    const path = newPath()
    writeFileSync(path, 'hello')
    expect(() => new SqliteStore({ path })).toThrow(expect.objectContaining({ reason: 'corrupt' }))
    unlinkSync(path)
    expect(open(path).isDurable).toBe(true)
  })
})
