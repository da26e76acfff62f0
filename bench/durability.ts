/**
 * Measures the cost of durability: one `append` and `settle` of a stream, compared with the minimum of any durable store: one inserted row
 * in another table, on the same disk with the same durability.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'

/** Median times of one round, milliseconds. */
export interface Durability {
  /** `append` and `settle`: two writes that are on the disk before they return. */
  costMs: number
  /** One inserted row. */
  floorMs: number
}

const ROUNDS = 2_000
const WARM_UP = 200

/** Measures both alternately, so that other disk activity slows down both. */
export function durability(): Durability {
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
  return { costMs: median(costs), floorMs: median(floors) }
}

function timed(act: () => void): number {
  const begin = performance.now()
  act()
  return performance.now() - begin
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
