import { once } from 'node:events'
import { chmodSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { describe, expect, it } from 'vitest'
import { openClient, playback, setup } from '../../support/setup.ts'
import { keepingLogger, newPath, open, temporaryDirectory } from './files.ts'
import { atCrash, entry, retention } from './harms.ts'
import { start } from './processes.ts'

describe('a client whose state file is deleted', () => {
  it('notices that within one second, warns once through its own logger, and its stream is in a new file', async () => {
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

  it('ends the streams that a dead process left in the file that replaced it', async () => {
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
    await clock.advance(20_000)
    expect([store.isDurable, fake.liveStreamIds()]).toEqual([true, []])
  })

  it('is warned of by the logger of the store, where it has one', async () => {
    const path = newPath()
    const [own, clients] = [keepingLogger(), keepingLogger()]
    const store = open(path, { logger: own })
    setup({}, { store, logger: clients })
    unlinkSync(path)
    store.renew()
    expect([own.lines.length, clients.lines]).toEqual([1, []])
  })
})

it('a client whose store could not use its file says so, where the store has no logger of its own', () => {
  const path = newPath()
  writeFileSync(path, 'hello')
  const logger = keepingLogger()
  const store = open(path, { onFailure: 'memory' })
  for (let i = 0; i < 2; i += 1) setup({}, { store, logger })
  expect(logger.lines).toEqual(['warn | state file cannot be used: going on in memory | corrupt'])
})

it('a state file that cannot be looked at is not durable, is written to all the same, and is so again as soon as it can', () => {
  const directory = temporaryDirectory()
  const [place, way] = [join(directory, 'place'), join(directory, 'way')]
  const path = join(way, 'state.db')
  const logger = keepingLogger()
  symlinkSync('.', place)
  symlinkSync('place', way)
  const store = open(path, { logger })
  store.append(entry('before'))
  unlinkSync(place)
  symlinkSync('way', place) // a loop
  for (let i = 0; i < 3; i += 1) {
    store.append(entry(`${i}`))
    expect([store.isDurable, store.claimEnd(`${i}`, retention)]).toEqual([false, true])
  }
  expect(logger.lines).toEqual([expect.stringMatching(/^warn \| State file .* cannot be looked at any more\. Make it readable again/)])
  expect(atCrash(join(directory, 'state.db')).journal).toEqual(['before', '0', '1', '2'])
  unlinkSync(place)
  symlinkSync('.', place)
  expect(store.isDurable).toBe(true)
})

it('a state file that is deleted from a read-only directory is kept in memory, and written anew once that can be written to', async () => {
  const directory = temporaryDirectory()
  chmodSync(directory, 0o777)
  // Root may write everywhere, so the store runs as another user.
  const code = `
    const { chmodSync, mkdirSync, unlinkSync } = await import('node:fs')
    const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
    if (process.getuid() === 0) process.setuid(65534)
    const own = process.argv[1] + '/own'
    mkdirSync(own)
    const said = []
    const say = (message, { reason } = {}) => said.push([message.replace(own, ''), reason])
    const store = new SqliteStore({ path: own + '/state.db', logger: { debug: say, info: say, warn: say, error: say } })
    store.append({ streamId: 'x', proxyId: 'p', isOver: false })
    unlinkSync(own + '/state.db')
    for (const mode of [0o555, 0o755]) {
      chmodSync(own, mode)
      for (let i = 0; i < 3; i += 1) store.renew()
      said.push(store.isDurable)
    }
    console.log(JSON.stringify(said))
  `
  const child = start(code, [directory])
  let said = ''
  child.stdout.on('data', (text: string) => {
    said += text
  })
  await once(child, 'close')
  expect(JSON.parse(said)).toEqual([
    [expect.stringMatching(/^State file \/state.db was deleted or moved away .* State is kept in memory/), 'unwritable'],
    false,
    ['state is stored again', null],
    true,
  ])
  expect(atCrash(join(directory, 'own', 'state.db')).journal).toEqual(['x'])
})
