/**
 * Measures the cost of durability: one `append` and `settle` of a stream, compared with the minimum of any durable store: one inserted row
 * in another table, on the same disk with the same durability.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { median } from './frame/measure.ts'
import type { Figure, Group } from './frame/row.ts'

const ROUNDS = 2_000
const WARM_UP = 200
const US_PER_MS = 1_000

/** Measures both alternately, so that other disk activity slows down both. Wall time, since a write waits for the disk. */
function durability(): Figure {
  const directory = mkdtempSync(join(tmpdir(), 'durability-'))
  const store = new SqliteStore({ path: join(directory, 'store.db') })
  const bare = new DatabaseSync(join(directory, 'bare.db'))
  bare.exec(
    'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE bare (id INTEGER, text TEXT)',
  )
  const insert = bare.prepare('INSERT INTO bare VALUES (?, ?)')
  const costs: number[] = []
  const floors: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const streamId = `stream-${round}`
    const cost = timed(() => {
      store.append({ streamId, containerId: 'engine', proxyId: 'proxy', isOver: false })
      store.settle(streamId)
    })
    const floor = timed(() => insert.run(round, streamId))
    if (round < WARM_UP) continue
    costs.push(cost)
    floors.push(floor)
  }
  store.close()
  bare.close()
  rmSync(directory, { recursive: true })
  return { cost: median(costs) * US_PER_MS, peer: median(floors) * US_PER_MS }
}

function timed(act: () => void): number {
  const begin = performance.now()
  act()
  return performance.now() - begin
}

export const sqliteDurability: Group = {
  title: 'SQLite',
  about: `\`append()\` and \`settle()\` of one stream in the \`SqliteStore\`, against one row that is inserted into another file on the
same disk with the same durability. Wall time, since a write waits for the disk.`,
  rows: [
    {
      id: 'sqlite-journal',
      what: 'append() and settle() of the SqliteStore',
      peer: 'one inserted row that is on the disk',
      unit: 'µs',
      goal: 2.5,
      kind: 'timed',
      measure: async () => durability(),
    },
  ],
}
