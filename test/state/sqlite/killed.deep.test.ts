import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { copyAsIs, newPath, open } from './files.ts'
import { start } from './processes.ts'
import { applied, type Contents, EMPTY, operations } from './workload.ts'

/** Runs one operation after another. Prints a line with its number when an operation begins, and one when it is done. */
const WORKER = `
  const { writeSync } = await import('node:fs')
  const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
  const { operations, RETENTION } = await import(${JSON.stringify(new URL('workload.ts', import.meta.url).href)})
  writeSync(1, 'opening\\n')
  const store = new SqliteStore({ path: process.argv[1] })
  let count = 0
  for (const { kind, streamId, ...rest } of operations(Number(process.argv[2]))) {
    count += 1
    writeSync(1, 'begun ' + count + '\\n')
    if (kind === 'append') store.append({ streamId, proxyId: 'proxy', ...rest })
    else if (kind === 'settle') store.settle(streamId)
    else if (kind === 'claim') store.claimEnd(streamId, RETENTION)
    else store.unclaimEnd(streamId)
    if (!store.isDurable) throw new Error('not stored')
    writeSync(1, 'done ' + count + '\\n')
  }
`

/** Runs up to 200 operations at once, 20 in each turn. Prints a line with the number of the last operation that is done, and those before it. */
const BUSY_WORKER = `
  const { writeSync } = await import('node:fs')
  const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
  const { operations, RETENTION } = await import(${JSON.stringify(new URL('workload.ts', import.meta.url).href)})
  writeSync(1, 'opening\\n')
  const store = new SqliteStore({ path: process.argv[1] })
  const write = ({ kind, streamId, ...rest }) => {
    if (kind === 'append') return store.append({ streamId, proxyId: 'proxy', ...rest })
    if (kind === 'settle') return store.settle(streamId)
    if (kind === 'claim') return store.claimEnd(streamId, RETENTION)
    return store.unclaimEnd(streamId)
  }
  let [count, done, printed] = [0, 0, 0]
  for (const operation of operations(Number(process.argv[2]))) {
    const number = (count += 1)
    const written = Promise.resolve(write(operation)).then((answer) => {
      // A claim that fails has nothing to write, and resolves at once.
      if (answer !== false) done = number
    })
    if (count % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    if (count % 200 === 0) await written
    if (done > printed) writeSync(1, 'done ' + (printed = done) + '\\n')
  }
`

/** Runs a process that writes to the file, and kills it after `most` printed lines. Returns how many operations had begun and were done. */
async function workUntilKilled(worker: string, path: string, seed: number, most: number): Promise<{ begun: number; done: number }> {
  const child = start(worker, [path, `${seed}`])
  let output = ''
  child.stdout.on('data', (text: string) => {
    output += text
    if (output.split('\n').length > most) child.kill('SIGKILL')
  })
  const [, signal] = await once(child, 'close')
  expect(signal).toBe('SIGKILL')
  const lines = output.split('\n').slice(0, -1) // the last line may have been cut off
  const last = (word: string): number => Number(lines.findLast((line) => line.startsWith(word))?.split(' ')[1] ?? 0)
  return { begun: last('begun'), done: last('done') }
}

/** The rows of the file. */
function contentsOf(path: string): Contents {
  const copy = copyAsIs(path)
  const store = open(copy)
  const recovered = store.recover()
  store.close()
  const database = new DatabaseSync(copy)
  const idsOf = (table: string): string[] =>
    database
      .prepare(`SELECT stream_id AS id FROM ${table} ORDER BY position`)
      .all()
      .map(({ id }) => String(id))
  const [ended, journal] = [idsOf('ended'), idsOf('journal')]
  database.close()
  expect(recovered.map(({ streamId }) => streamId)).toEqual(journal)
  return { journal: new Map(recovered.map(({ streamId, isOver, reason = '' }) => [streamId, { isOver, reason }])), ended }
}

const listed = ({ journal, ended }: Contents) => ({ journal: [...journal], ended })

describe('a process that is killed at any moment', () => {
  it.each([1, 2, 3, 4, 5])(
    '[I5] leaves a file with every write that the store confirmed, and nothing else (ten kills, seed %i)',
    async (seed) => {
      const path = newPath()
      const random = seededRandom(seed)
      let before = EMPTY
      for (let life = 1; life <= 10; life += 1) {
        // The first and the sixth process are killed while they open the file. For the first, no file exists yet.
        const most = life % 5 === 1 ? 1 : 2 + Math.floor(random() ** 2 * 600)
        const { begun, done } = await workUntilKilled(WORKER, path, 1_000 * seed + life, most)
        expect(begun - done).toBeLessThanOrEqual(1)
        const all = operations(1_000 * seed + life)
        let expected = before
        for (let i = 0; i < done; i += 1) expected = applied(expected, all.next().value)
        // An operation that had begun may have been stored before the store could confirm it.
        const possible = begun === done ? [expected] : [expected, applied(expected, all.next().value)]
        before = contentsOf(path)
        expect(possible.map(listed), `seed ${seed}, life ${life}: ${done} done`).toContainEqual(listed(before))
      }
      expect(before.journal.size).toBeGreaterThan(0)
    },
  )

  it.each([1, 2, 3, 4, 5])(
    '[I5] leaves a file with the first writes of many concurrent ones, with every write that the store confirmed (ten kills, seed %i)',
    async (seed) => {
      const path = newPath()
      const random = seededRandom(seed)
      let before = EMPTY
      for (let life = 1; life <= 10; life += 1) {
        const most = 2 + Math.floor(random() ** 2 * 300)
        const { done } = await workUntilKilled(BUSY_WORKER, path, 1_000 * seed + life, most)
        const all = operations(1_000 * seed + life)
        let expected = before
        for (let i = 0; i < done; i += 1) expected = applied(expected, all.next().value)
        before = contentsOf(path)
        const found = JSON.stringify(listed(before))
        let unconfirmed = 0
        for (; JSON.stringify(listed(expected)) !== found && unconfirmed < 1_000; unconfirmed += 1)
          expected = applied(expected, all.next().value)
        expect(listed(expected), `seed ${seed}, life ${life}: ${done} done`).toEqual(listed(before))
      }
      expect(before.journal.size).toBeGreaterThan(0)
    },
  )
})
