import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { StoreError } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import { newPath } from './files.ts'
import { retention } from './filled-store.ts'

export const PAGE_BYTES = 4_096
const SECTOR_BYTES = 512

/** The bytes of a state file, and of its write-ahead log if its process was killed. */
export interface Image {
  readonly main: Buffer
  readonly log: Buffer | undefined
}

/** The same state file after a clean close and after a kill. It has about 20 pages; long rows overflow into pages of their own. */
export function images(): { closed: Image; killed: Image } {
  const path = newPath()
  const write = (store: SqliteStore, from: number, to: number): void => {
    for (let i = from; i < to; i += 1) {
      store.append({ streamId: `stream-${i}`, proxyId: 'proxy', isOver: i % 2 === 0, reason: 'r'.repeat(i * 40), life: `life ${i}` })
      store.claimEnd(`ended-${i}`, retention)
    }
  }
  const first = new SqliteStore({ path })
  write(first, 0, 30)
  first.close()
  const closed = { main: readFileSync(path), log: undefined }
  const second = new SqliteStore({ path })
  write(second, 30, 40)
  const killed = { main: readFileSync(path), log: readFileSync(`${path}-wal`) }
  second.close()
  return { closed, killed }
}

/**
 * Writes the image to `path` and opens it. Returns all rows, or the reason of a {@link StoreError} that names the path.
 * Throws any other error.
 */
export function opened(path: string, { main, log }: Image): { contents: string } | { reason: string } {
  for (const suffix of ['', '-wal', '-journal']) rmSync(path + suffix, { force: true })
  writeFileSync(path, main)
  if (log !== undefined) writeFileSync(`${path}-wal`, log)
  try {
    new SqliteStore({ path }).close()
  } catch (error) {
    if (error instanceof StoreError && error.message.includes(path)) return { reason: error.reason }
    throw error
  }
  const database = new DatabaseSync(path)
  const rows = ['journal', 'ended'].map((table) => database.prepare(`SELECT * FROM ${table} ORDER BY position`).all())
  database.close()
  return { contents: JSON.stringify(rows) }
}

/** Kinds of damage to the main file. Each function returns a damaged copy. */
export const DAMAGES: Readonly<Record<string, (main: Buffer, random: () => number) => Buffer>> = {
  'a byte of its header changes': (main, random) => noise(main, random, [0, 100], 1),
  'three bytes of its schema page change': (main, random) => noise(main, random, [100, PAGE_BYTES], 3),
  'a byte of a page changes': (main, random) => noise(main, random, [PAGE_BYTES, main.length], 1),
  'twenty bytes of its pages change': (main, random) => noise(main, random, [PAGE_BYTES, main.length], 20),
  'a page is overwritten with zeros': (main, random) => wiped(main, random, PAGE_BYTES, 0),
  'a page is overwritten with ones': (main, random) => wiped(main, random, PAGE_BYTES, 0xff),
  'a sector is overwritten with zeros': (main, random) => wiped(main, random, SECTOR_BYTES, 0),
  'a page is overwritten with another page': (main, random) => {
    const copy = Buffer.from(main)
    const at = (): number => PAGE_BYTES * Math.floor((random() * main.length) / PAGE_BYTES)
    main.copy(copy, at(), at(), at() + PAGE_BYTES)
    return copy
  },
}

function noise(main: Buffer, random: () => number, [from, to]: readonly [number, number], count: number): Buffer {
  const copy = Buffer.from(main)
  for (let i = 0; i < count; i += 1) copy[from + Math.floor(random() * (to - from))] = Math.floor(random() * 256)
  return copy
}

function wiped(main: Buffer, random: () => number, length: number, value: number): Buffer {
  const copy = Buffer.from(main)
  const at = length * Math.floor((random() * main.length) / length)
  return copy.fill(value, at, at + length)
}

/**
 * Opens `times` damaged copies of the image and counts the results: `harmless` (opened with the same rows), `silent` (opened with
 * other rows), or the reason of the error.
 */
export function tally(image: Image, kind: string, { seed, times }: { seed: number; times: number }): Record<string, number> {
  const path = newPath()
  const undamaged = opened(path, image)
  const random = seededRandom(seed)
  const counts: Record<string, number> = {}
  for (let i = 0; i < times; i += 1) {
    const main = DAMAGES[kind]?.(image.main, random) ?? image.main
    const found = opened(path, { ...image, main })
    const isSame = 'contents' in undamaged && 'contents' in found && found.contents === undamaged.contents
    const result = isSame ? 'harmless' : 'reason' in found ? found.reason : 'silent'
    counts[result] = (counts[result] ?? 0) + 1
  }
  return counts
}
