import { readFileSync } from 'node:fs'
import type { Transport } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { run } from '../../client/own-process.ts'
import { playback, setup } from '../../support/setup.ts'
import { newPath, open } from './files.ts'
import { entry, rowsAtCrash } from './filled-store.ts'
import { applied, type Contents, EMPTY, operations, RETENTION } from './workload.ts'

/** How many transactions are in the log: https://www.sqlite.org/fileformat.html#the_write_ahead_log */
function transactionsIn(path: string): number {
  const log = readFileSync(`${path}-wal`)
  const frameBytes = 24 + log.readUInt32BE(8)
  let count = 0
  for (let frame = 32; frame + frameBytes <= log.length; frame += frameBytes) if (log.readUInt32BE(frame + 4) !== 0) count += 1
  return count
}

describe('the changes of a SQLite store', () => {
  it('that are made in one turn are written in one transaction', async () => {
    const path = newPath()
    const store = open(path)
    await Promise.all(Array.from({ length: 100 }, (_, index) => store.append(entry(`${index}`))))
    expect([transactionsIn(path), rowsAtCrash(path).journal.length]).toEqual([1, 100])
  })

  it('that are made while an earlier change is written are written in one more transaction', async () => {
    const path = newPath()
    const store = open(path)
    const writes = [store.append(entry('first'))]
    for (let i = 0; i < 50; i += 1) {
      await Promise.resolve()
      writes.push(store.append(entry(`${i}`)), store.settle(`${i - 10}`))
    }
    await Promise.all(writes)
    expect([transactionsIn(path), rowsAtCrash(path).journal.length]).toEqual([2, 11])
  })

  it('are on the disk when their promises resolve', async () => {
    const path = newPath()
    const store = open(path)
    await store.append(entry('x'))
    expect(rowsAtCrash(path)).toEqual({ journal: ['x'], ended: [] })
    expect(await store.claimEnd('x', RETENTION)).toBe(true)
    expect(rowsAtCrash(path)).toEqual({ journal: ['x'], ended: ['x'] })
    await store.settle('x')
    await store.unclaimEnd('x')
    expect(rowsAtCrash(path)).toEqual({ journal: [], ended: [] })
    await store.claimEnd('y', RETENTION)
    expect([await store.forgetEnded({ ...RETENTION, max: 0 }), rowsAtCrash(path).ended]).toEqual([1, []])
  })

  it('are written in the order of the calls, although no caller waits', async () => {
    const path = newPath()
    const store = open(path)
    let expected: Contents = EMPTY
    let last: unknown
    const all = operations(1)
    for (let i = 0; i < 2_000; i += 1) {
      const operation = all.next().value
      const { kind, streamId } = operation
      if (kind === 'append') last = store.append({ ...operation, proxyId: 'p' })
      else if (kind === 'settle') last = store.settle(streamId)
      else if (kind === 'claim') last = store.claimEnd(streamId, RETENTION)
      else last = store.unclaimEnd(streamId)
      expected = applied(expected, operation)
      if (i % 100 === 0) await last
    }
    await last
    expect(rowsAtCrash(path)).toEqual({ journal: [...expected.journal.keys()], ended: [...expected.ended] })
  })

  it('count as durable only if they are written: isDurable waits for them', () => {
    const path = newPath()
    const store = open(path)
    void store.append(entry('x'))
    expect([store.isDurable, rowsAtCrash(path).journal]).toEqual([true, ['x']])
  })

  it('that were not written yet are written by close(), which resolves their promises', async () => {
    const path = newPath()
    const store = new SqliteStore({ path })
    const written = store.append(entry('x'))
    store.close()
    expect(open(path).recover()).toEqual([entry('x')])
    await expect(written).resolves.toBeUndefined()
  })
})

describe('a client with a SQLite store', () => {
  it('[I5] sends a start when its entry is on the disk, and an end when its claim is', async () => {
    const path = newPath()
    const fake = new FakeOrchestrator({ engines: 1 })
    const onDisk: Record<string, unknown> = {}
    const transport: Transport = {
      request: (request) => {
        const event = /stream_\w+$/.exec(request.url.pathname)?.[0]
        if (event !== undefined) onDisk[event] = rowsAtCrash(path)
        return fake.request(request)
      },
    }
    const { client } = setup({}, { store: open(path), apiKey: fake.apiKey, transport })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(playback())
    await stream.end()
    const { id } = stream
    expect([fake.counters.startsApplied, fake.counters.endsApplied]).toEqual([1, 1])
    expect(onDisk).toEqual({
      stream_started: { journal: [id], ended: [] },
      stream_ended: { journal: [id], ended: [id] },
    })
  })
})

describe('a process with a SQLite store', () => {
  it('touches no file on its event loop after the store was opened', async () => {
    const code = `
      const { default: fs } = await import('node:fs')
      const { syncBuiltinESMExports } = await import('node:module')
      const { DatabaseSync, StatementSync } = await import('node:sqlite')
      const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
      const store = new SqliteStore({ path: process.argv[1] })
      let touched = 0
      const touch = () => {
        touched += 1
        throw new Error('on the event loop')
      }
      for (const name of Object.keys(fs)) if (name.endsWith('Sync')) fs[name] = touch
      for (const { prototype } of [DatabaseSync, StatementSync])
        for (const name of ['exec', 'prepare', 'run', 'get', 'all', 'close']) if (name in prototype) prototype[name] = touch
      syncBuiltinESMExports()
      await store.append({ streamId: 'x', proxyId: 'p', isOver: false })
      await store.claimEnd('x', { now: 0, retentionMs: 60_000, max: 10 })
      await store.renew()
      console.log(store.isDurable)
      await store.settle('x')
      store.close()
      console.log(touched)
    `
    expect(await run(code, [newPath()])).toEqual({ exit: 0, output: 'true\n0\n' })
  })

  it('ends although its store is not closed', async () => {
    const code = `
      const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
      const store = new SqliteStore({ path: process.argv[1] })
      await store.append({ streamId: 'x', proxyId: 'p', isOver: false })
      console.log(store.isDurable)
    `
    expect(await run(code, [newPath()])).toEqual({ exit: 0, output: 'true\n' })
  })

  it('stays alive until its changes are written', async () => {
    const path = newPath()
    const code = `
      const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
      const store = new SqliteStore({ path: process.argv[1] })
      store.append({ streamId: 'x', proxyId: 'p', isOver: false }).then(() => console.log('written'))
    `
    expect(await run(code, [path])).toEqual({ exit: 0, output: 'written\n' })
    expect(open(path).recover()).toHaveLength(1)
  })
})
