import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { InvalidArgumentError, StoreError } from 'acestream-orchestrator-client'
import { SqliteStore, type SqliteStoreOptions } from 'acestream-orchestrator-client/sqlite'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { MIGRATIONS } from '../../../src/state/sqlite/connection.ts'
import { APPLICATION_ID } from '../../../src/state/sqlite/file-watch.ts'
import { isWindows } from '../../support/platform.ts'
import { copyAsIs, keepingLogger, newPath, open, temporaryDirectory } from './files.ts'
import { start } from './processes.ts'

// On the event loop: each call has written the file when it returns.
vi.mock(import('node:worker_threads'), async (original) => (await import('./without-threads.ts')).withoutThreads(original))

const retention = { now: Date.UTC(2026, 0, 1), retentionMs: 60_000, max: 100 }

/** A file with a few entries, closed. */
function written(entries = 20): string {
  const path = newPath()
  const store = new SqliteStore({ path })
  for (let i = 0; i < entries; i += 1) {
    store.append({ streamId: `stream-${i}`, proxyId: 'proxy', isOver: false, reason: 'r'.repeat(300) })
    store.claimEnd(`ended-${i}`, retention)
  }
  store.close()
  return path
}

function change(path: string, sql: string): string {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
  return path
}

/** The ended ids in the file, while a store has it open. */
function endedIn(path: string): unknown[] {
  const database = new DatabaseSync(copyAsIs(path))
  const rows = database.prepare('SELECT stream_id AS id FROM ended ORDER BY position').all()
  database.close()
  return rows.map(({ id }) => id)
}

const failureOf = (path: string, options: Partial<SqliteStoreOptions> = {}): unknown => {
  try {
    new SqliteStore({ path, ...options }).close()
  } catch (error) {
    return error
  }
  return undefined
}

const UNUSABLE: readonly (readonly [what: string, reason: string, make: () => string])[] = [
  [
    'random bytes',
    'corrupt',
    () => {
      const path = newPath()
      const random = seededRandom(7)
      writeFileSync(
        path,
        Uint8Array.from({ length: 20_000 }, () => random() * 256),
      )
      return path
    },
  ],
  [
    'text',
    'corrupt',
    () => {
      const path = newPath()
      writeFileSync(path, 'hello')
      return path
    },
  ],
  ['the database of another application', 'corrupt', () => change(newPath(), 'PRAGMA application_id = 77; CREATE TABLE theirs (x)')],
  ['the database of an application that sets no application id', 'corrupt', () => change(newPath(), 'CREATE TABLE journal (x)')],
  [
    'a database without tables in which another application set a user version',
    'corrupt',
    () => change(newPath(), 'PRAGMA user_version = 3'),
  ],
  ['a state file in which a table is missing', 'corrupt', () => change(written(), 'DROP TABLE ended')],
  ['a state file in which a table has other columns', 'corrupt', () => change(written(), 'DROP TABLE ended; CREATE TABLE ended (a, b)')],
  ['a state file of a newer release', 'newer-version', () => change(written(), 'PRAGMA user_version = 4')],
  [
    'a directory',
    'unwritable',
    () => {
      const path = newPath()
      mkdirSync(path)
      return path
    },
  ],
  ['a path in a directory that does not exist', 'unwritable', () => join(temporaryDirectory(), 'missing', 'state.db')],
  ['a path below a file', 'unwritable', () => join(written(), 'state.db')],
]

const bytesOf = (path: string): string =>
  statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path).toString('base64') : 'none'

describe('a state file that cannot be used', () => {
  it.each(UNUSABLE)('(%s) is refused with reason %s, and stays unchanged', (_, reason, make) => {
    const path = make()
    const before = bytesOf(path)
    const failure = failureOf(path)
    expect(failure).toBeInstanceOf(StoreError)
    expect(failure).toMatchObject({ code: 'STORE', reason, retryable: false, message: expect.stringContaining(path) })
    expect(bytesOf(path)).toBe(before)
  })

  it.each(UNUSABLE)('(%s, %s) stays unchanged, and the store works in memory, with `onFailure: memory`', (_, reason, make) => {
    const path = make()
    const before = bytesOf(path)
    const logger = keepingLogger()
    const store = open(path, { onFailure: 'memory', logger })
    expect(logger.lines).toEqual([
      `warn | State file ${path} cannot be used: all state is kept in memory, and a crash loses it | ${reason}`,
    ])
    expect(store.isDurable).toBe(false)
    store.append({ streamId: 'x', proxyId: 'proxy', isOver: false })
    store.settle('x')
    expect([store.recover(), store.claimEnd('x', retention), store.claimEnd('x', retention)]).toEqual([[], true, false])
    store.close()
    expect(bytesOf(path)).toBe(before)
    expect(logger.lines).toHaveLength(1)
  })

  it('is refused as corrupt wherever it was cut off', () => {
    const whole = readFileSync(written())
    const found = new Set<unknown>()
    const directory = temporaryDirectory()
    for (let length = 50; length < whole.length; length += 777) {
      const path = join(directory, `${length}.db`)
      writeFileSync(path, whole.subarray(0, length))
      const failure = failureOf(path)
      found.add(failure instanceof StoreError ? failure.reason : failure)
      expect(statSync(path).size).toBe(length)
    }
    expect(found).toEqual(new Set(['corrupt']))
  })

  it('is refused as corrupt if bytes in its middle have changed', () => {
    const path = written()
    const bytes = readFileSync(path)
    bytes.fill(0xff, 4_096, 4_096 + 200)
    writeFileSync(path, bytes)
    expect(failureOf(path)).toMatchObject({ reason: 'corrupt' })
  })
})

it.skipIf(isWindows)('a path that is a symbolic link to itself is refused as unwritable', () => {
  const path = newPath()
  symlinkSync('state.db', path)
  expect(failureOf(path)).toMatchObject({ reason: 'unwritable', message: expect.stringContaining(path) })
})

it.skipIf(isWindows)('a path that is a symbolic link to a file that does not exist creates that file', () => {
  const [target, link] = [newPath(), newPath()]
  symlinkSync(target, link)
  const store = new SqliteStore({ path: link })
  store.append({ streamId: 'a', proxyId: 'p', isOver: false })
  store.close()
  expect(open(target).recover()).toMatchObject([{ streamId: 'a' }])
})

it('a state file whose rows are out of order is refused as corrupt', () => {
  const path = written()
  const bytes = readFileSync(path)
  bytes.write('z', bytes.indexOf('ended-0'))
  writeFileSync(path, bytes)
  expect(failureOf(path)).toMatchObject({ reason: 'corrupt', message: expect.stringContaining('PRIMARY KEY order') })
})

describe('a state file', () => {
  it('is created with our application id and version, and is a single file once it is closed', () => {
    const path = written()
    expect(readdirSync(dirname(path))).toEqual(['state.db'])
    const header = readFileSync(path)
    expect([header.readUInt32BE(68), header.readUInt32BE(60)]).toEqual([0x616f6331, 3])
  })

  it('of version 1 keeps its entries, and is migrated to the current version', () => {
    const path = newPath()
    const rows = `
      INSERT INTO journal VALUES ('old stream', 1, 'c', 'proxy', 1, 'left');
      INSERT INTO ended VALUES ('old end', 2, ${retention.now});`
    change(path, `${MIGRATIONS[0]} ${rows} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1;`)
    const store = new SqliteStore({ path })
    expect(store.recover()).toEqual([{ streamId: 'old stream', containerId: 'c', proxyId: 'proxy', isOver: true, reason: 'left' }])
    expect([...store.endedAmong(['old end'], retention)]).toEqual([['old end', '']])
    store.claimEnd('new end', retention, 'one')
    store.close()
    expect([...open(path).endedAmong(['old end', 'new end'], retention)]).toEqual([
      ['old end', ''],
      ['new end', 'one'],
    ])
  })

  it('of version 2 gets a checksum for each row at the next write', () => {
    const path = newPath()
    const rows = `
      INSERT INTO journal (stream_id, position, proxy_id, is_over) VALUES ('old stream', 1, 'proxy', 0);
      INSERT INTO ended (stream_id, position, ended_at) VALUES ('old end', 2, ${retention.now});`
    change(path, `${MIGRATIONS[0]} ${MIGRATIONS[1]} ${rows} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 2;`)
    const store = new SqliteStore({ path })
    store.append({ streamId: 'new stream', proxyId: 'proxy', isOver: false })
    store.close()
    const database = new DatabaseSync(path)
    const all = database.prepare('SELECT checksum FROM journal UNION ALL SELECT checksum FROM ended').all()
    database.close()
    expect(all.map(({ checksum }) => typeof checksum)).toEqual(['number', 'number', 'number'])
    expect(open(path).recover()).toHaveLength(2)
  })

  it('that is empty is opened like a new file', () => {
    const path = newPath()
    writeFileSync(path, '')
    expect(open(path).isDurable).toBe(true)
  })

  it('keeps its entries for the next store', () => {
    const store = open(written(3))
    expect(store.isDurable).toBe(true)
    expect(store.recover().map(({ streamId }) => streamId)).toEqual(['stream-0', 'stream-1', 'stream-2'])
    expect([...store.endedAmong(['ended-0', 'ended-2', 'ended-3'], retention).keys()]).toEqual(['ended-0', 'ended-2'])
  })

  it('keeps its entries in the order of writing, also those of several stores', () => {
    const path = written(3)
    const second = new SqliteStore({ path })
    second.append({ streamId: 'a later one', proxyId: 'proxy', isOver: false })
    second.claimEnd('a later one', retention)
    second.close()
    const third = open(path)
    expect(third.recover().map(({ streamId }) => streamId)).toEqual(['stream-0', 'stream-1', 'stream-2', 'a later one'])
    expect(third.forgetEnded({ ...retention, max: 1 })).toBe(3)
    expect([...third.endedAmong(['ended-2', 'a later one'], retention).keys()]).toEqual(['a later one'])
  })

  it.skipIf(isWindows)('may have any characters in its path, and NUL characters in its ids', () => {
    const path = join(temporaryDirectory(), 'file:state?mode=ro&x#y %41.db')
    const first = new SqliteStore({ path })
    first.append({ streamId: 'nul\0l', proxyId: '\0', isOver: false })
    first.claimEnd('nul\0l', retention)
    first.close()
    const second = open(path)
    expect(second.recover()).toEqual([{ streamId: 'nul\0l', proxyId: '\0', isOver: false }])
    expect([...second.endedAmong(['nul', 'nul\0l'], retention).keys()]).toEqual(['nul\0l'])
    expect(readdirSync(dirname(path))).toContain('file:state?mode=ro&x#y %41.db')
  })

  it('keeps every character of its texts, whatever the runtime: NUL, a byte order mark, emoji', () => {
    const text = '\uFEFFa\0b 📺\0'
    const entry = { streamId: text, containerId: `c${text}`, proxyId: text, isOver: true, reason: `${text}.`, life: `${text}${text}` }
    const path = newPath()
    const first = new SqliteStore({ path })
    first.append(entry)
    first.claimEnd(text, retention, text)
    first.close()
    const second = open(path)
    expect(second.recover()).toEqual([entry])
    expect([...second.endedAmong([text, 'a'], retention)]).toEqual([[text, text]])
  })

  it.skipIf(isWindows)('may have a path that looks like a URL with options', async () => {
    const directory = temporaryDirectory()
    const code = `
      process.chdir(process.argv[1])
      const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
      new SqliteStore({ path: 'file:state.db?mode=memory' }).close()
    `
    const [exitCode] = await once(start(code, [directory]), 'close')
    expect([exitCode, readdirSync(directory)]).toEqual([0, ['file:state.db?mode=memory']])
  })

  it('keeps at most `max` ended ids, and none that is older than `retentionMs`', () => {
    const path = newPath()
    const store = open(path)
    for (let i = 0; i < 200; i += 1) store.claimEnd(`${i}`, { ...retention, max: 20 })
    expect(endedIn(path)).toEqual(Array.from({ length: 20 }, (_, index) => `${180 + index}`))
    for (let i = 0; i < 10; i += 1) store.claimEnd('forgotten at once', { ...retention, retentionMs: 0 })
    expect(endedIn(path)).toEqual([])
  })
})

describe('close() of a SQLite store', () => {
  it('makes all other methods throw STORE with reason unavailable, and may be called again', () => {
    const path = newPath()
    const store = new SqliteStore({ path })
    store.append({ streamId: 'x', proxyId: 'proxy', isOver: false })
    store.close()
    store.close()
    store[Symbol.dispose]()
    expect(store.isDurable).toBe(false)
    const calls: (() => unknown)[] = [
      () => store.take({ leaseId: '1', candidates: [], limit: 1, now: 0, expiresAt: 1 }),
      () => store.promote('1', 'x'),
      () => store.occupy('a', 'x'),
      () => store.releaseLease('1'),
      () => store.releaseStream('x'),
      () => store.expire(0),
      () => store.usage(),
      () => store.claimEnd('x', retention),
      () => store.unclaimEnd('x'),
      () => store.endedAmong(['x'], retention),
      () => store.forgetEnded(retention),
      () => store.append({ streamId: 'y', proxyId: 'proxy', isOver: false }),
      () => store.settle('x'),
      () => store.recover(),
      () => store.renew(),
    ]
    for (const call of calls) expect(call).toThrow(expect.objectContaining({ code: 'STORE', reason: 'unavailable' }))
    expect(open(path).recover()).toHaveLength(1)
  })

  it('is called at the end of the block by `using`', () => {
    const path = newPath()
    {
      using store = new SqliteStore({ path })
      expect(store.isDurable).toBe(true)
    }
    expect(open(path).isDurable).toBe(true)
  })
})

it.each([
  ['options', undefined],
  ['path', {}],
  ['path', { path: '' }],
  ['path', { path: 'a\0b' }],
  ['path', { path: 7 }],
  ['onFailure', { path: ':memory:', onFailure: 'ignore' }],
  ['logger', { path: ':memory:', logger: {} }],
])('`new SqliteStore` throws InvalidArgumentError for the argument %s: %o', (argument, options) => {
  const make = () => new SqliteStore(options as unknown as SqliteStoreOptions)
  expect(make).toThrow(InvalidArgumentError)
  expect(make).toThrow(expect.objectContaining({ argument }))
})

it('a store in `:memory:` is not durable and needs no renewal, while a store in a file is renewed every second', () => {
  const store = open(':memory:')
  expect([store.isDurable, store.renewIntervalMs, open(newPath()).renewIntervalMs]).toEqual([false, undefined, 1_000])
})
