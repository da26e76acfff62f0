import { once } from 'node:events'
import { chmodSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { describe, expect, it } from 'vitest'
import { openClient, playback, setup } from '../../support/setup.ts'
import { keepingLogger, newPath, open, temporaryDirectory } from './files.ts'
import { atCrash, entry, retention } from './filled-store.ts'
import { start } from './processes.ts'

describe('a client whose state file is deleted', () => {
  it('notices this within one second, logs one warning with its own logger, and has its stream in a new file', async () => {
    const path = newPath()
    const logger = keepingLogger()
    const store = open(path)
    const { client, clock } = setup({}, { store, logger })
    const lease = await client.acquireEngine()
    await lease.startStream(playback())
    const before = atCrash(path).journal
    expect(before).toHaveLength(1)
    unlinkSync(path)
    await clock.advance(1_000)
    expect([store.isDurable, logger.lines.filter((line) => line.includes(path))]).toEqual([
      true,
      [expect.stringMatching(/^warn \| State file .* was deleted or moved away while it was open\. It is written anew/)],
    ])
    expect(atCrash(path).journal).toEqual(before)
    await clock.advance(60_000)
    expect(logger.lines.filter((line) => line.includes(path))).toHaveLength(1)
  })

  it('ends the streams of a dead process whose state file replaced it', async () => {
    const [path, other] = [newPath(), newPath()]
    const store = open(path)
    const { client, clock, fake } = setup({ generation: 'v1' }, { store })
    const dead = new SqliteStore({ path: other })
    const doomed = openClient(fake, clock, { transport: fake, store: dead })
    await (await doomed.acquireEngine()).startStream(playback())
    expect(fake.liveStreamIds()).toHaveLength(1)
    await client.listEngines()
    dead.close()
    renameSync(other, path)
    for (let second = 0; second < 25; second += 1) {
      await clock.advance(1_000)
      // Waits for the thread, which knows no manual clock.
      expect(store.isDurable).toBe(true)
    }
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('logs the warning with the logger of its store, if the store has one', async () => {
    const path = newPath()
    const [own, clients] = [keepingLogger(), keepingLogger()]
    const store = open(path, { logger: own })
    setup({}, { store, logger: clients })
    unlinkSync(path)
    await store.renew()
    expect([own.lines.length, clients.lines]).toEqual([1, []])
  })
})

it('a client logs one warning that its store could not use the file, if the store has no logger of its own', () => {
  const path = newPath()
  writeFileSync(path, 'hello')
  const logger = keepingLogger()
  const store = open(path, { onFailure: 'memory' })
  for (let i = 0; i < 2; i += 1) setup({}, { store, logger })
  expect(logger.lines).toEqual([`warn | State file ${path} cannot be used: all state is kept in memory, and a crash loses it | corrupt`])
})

it('a store whose path becomes unreadable is not durable but still writes to its file, and is durable again once the path works', async () => {
  const directory = temporaryDirectory()
  const [inner, outer] = [join(directory, 'inner'), join(directory, 'outer')]
  const path = join(outer, 'state.db')
  const logger = keepingLogger()
  symlinkSync('.', inner)
  symlinkSync('inner', outer)
  const store = open(path, { logger })
  await store.append(entry('before'))
  unlinkSync(inner)
  symlinkSync('outer', inner) // a loop
  for (let i = 0; i < 3; i += 1) {
    await store.append(entry(`${i}`))
    expect([store.isDurable, await store.claimEnd(`${i}`, retention)]).toEqual([false, true])
  }
  expect(logger.lines).toEqual([expect.stringMatching(/^warn \| State file .* cannot be read any more\. Make it readable again/)])
  expect(atCrash(join(directory, 'state.db')).journal).toEqual(['before', '0', '1', '2'])
  unlinkSync(inner)
  symlinkSync('.', inner)
  expect(store.isDurable).toBe(true)
})

it('a state file deleted from a read-only directory is kept in memory, and is rewritten once the directory is writable', async () => {
  const directory = temporaryDirectory()
  chmodSync(directory, 0o777)
  // Root may write everywhere, so the store runs as another user.
  const code = `
    const { chmodSync, mkdirSync, unlinkSync } = await import('node:fs')
    const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
    if (process.getuid() === 0) process.setuid(65534)
    const own = process.argv[1] + '/own'
    mkdirSync(own)
    const lines = []
    const keep = (message, { reason } = {}) => lines.push([message.replace(own, ''), reason])
    const store = new SqliteStore({ path: own + '/state.db', logger: { debug: keep, info: keep, warn: keep, error: keep } })
    store.append({ streamId: 'x', proxyId: 'p', isOver: false })
    unlinkSync(own + '/state.db')
    for (const mode of [0o555, 0o755]) {
      chmodSync(own, mode)
      for (let i = 0; i < 3; i += 1) await store.renew()
      lines.push(store.isDurable)
    }
    console.log(JSON.stringify(lines))
  `
  const child = start(code, [directory])
  let output = ''
  child.stdout.on('data', (text: string) => {
    output += text
  })
  await once(child, 'close')
  expect(JSON.parse(output)).toEqual([
    [expect.stringMatching(/^State file \/state.db was deleted or moved away .* State is kept in memory/), 'unwritable'],
    false,
    ['State file /state.db is written again: all changes are stored', null],
    true,
  ])
  expect(atCrash(join(directory, 'own', 'state.db')).journal).toEqual(['x'])
})
