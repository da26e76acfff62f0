/**
 * How costs are compared. Both sides take turns in one process, so that both meet the same machine. Each side is measured in batches that are long enough for
 * the clock and for the garbage collector. The median of the rounds counts.
 *
 * The cost is CPU time of the whole process, with its threads for garbage and for compiling: other processes do not change it. Wall time is used where
 * waiting is what is measured.
 */
import pLimit from 'p-limit'
import type { Figure } from './row.ts'

/** Runs an operation so often. */
export type Batch = (size: number) => Promise<unknown>

/** Settings of {@link inTurn}. */
export interface Turns {
  /** @default 'cpu' */
  clock?: 'cpu' | 'wall'
  /** Operations of a batch. @default as many as take 50 ms */
  size?: number
  /** Batches of each side. @default 15 */
  rounds?: number
}

const ROUNDS = 15
const BATCH_US = 50_000
/** Until V8 has compiled the code as well as it will: a stream runs a lot of code. */
const WARM_UP_US = 1_000_000
const US_PER_MS = 1_000

/** A batch whose operations follow each other. */
export function oneByOne(call: () => unknown): Batch {
  return async (size) => {
    for (let i = 0; i < size; i += 1) await call()
  }
}

/** A batch of which so many operations are in progress at any time. */
export function severalAtOnce(call: () => Promise<unknown>, atOnce: number): Batch {
  const limit = pLimit(atOnce)
  return (size) => Promise.all(Array.from({ length: size }, () => limit(call)))
}

/** Compares two batches. Returns the cost of one operation of each side, microseconds. */
export async function inTurn(ours: Batch, peer: Batch, { clock = 'cpu', size, rounds = ROUNDS }: Turns = {}): Promise<Required<Figure>> {
  const oursSize = size ?? (await sizeOf(ours))
  const peerSize = size ?? (await sizeOf(peer))
  const costs: number[] = []
  const peers: number[] = []
  if (size !== undefined) await Promise.all([ours(size), peer(size)])
  for (let round = 0; round < rounds; round += 1) {
    costs.push((await costUs(ours, oursSize))[clock] / oursSize)
    peers.push((await costUs(peer, peerSize))[clock] / peerSize)
  }
  return { cost: median(costs), peer: median(peers) }
}

/** The median CPU time of one operation, microseconds. */
export async function cpuUs(batch: Batch): Promise<number> {
  return (await inTurn(batch, batch)).cost
}

/** What so many operations cost together, microseconds. */
export async function costUs(batch: Batch, size: number): Promise<{ cpu: number; wall: number }> {
  const cpu = process.cpuUsage()
  const since = performance.now()
  await batch(size)
  const wall = (performance.now() - since) * US_PER_MS
  const { user, system } = process.cpuUsage(cpu)
  return { cpu: user + system, wall }
}

/** Warms a batch up, and returns how many of its operations take 50 ms. */
async function sizeOf(batch: Batch): Promise<number> {
  let size = 1
  let spentUs = 0
  for (;;) {
    const { cpu } = await costUs(batch, size)
    spentUs += cpu
    if (spentUs >= WARM_UP_US) return Math.max(1, Math.round((size * BATCH_US) / Math.max(cpu, 1)))
    if (cpu < BATCH_US) size *= 2
  }
}

/** The middle of the values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/**
 * For how long `work` occupied the event loop without a break, for each turn of the loop, milliseconds; the longest first. CPU time of this thread: other
 * processes do not change it.
 */
export async function blocksMs(work: () => Promise<unknown>): Promise<number[]> {
  await nextTurn()
  const blocks: number[] = []
  let isOver = false
  let since = process.threadCpuUsage()
  const working = work().finally(() => {
    isOver = true
  })
  while (!isOver) {
    await nextTurn()
    const { user, system } = process.threadCpuUsage(since)
    since = process.threadCpuUsage()
    blocks.push((user + system) / US_PER_MS)
  }
  await working
  return blocks.toSorted((a, b) => b - a)
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
