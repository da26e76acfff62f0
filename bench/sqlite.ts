/**
 * Measures what `SqliteStore` adds to the event loop at a given rate of streams, compared with `MemoryStore` at the same rate in the same
 * run. The file is in the temporary directory of the system. The orchestrator answers within the process, so that the store's part is seen.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryStore, OrchestratorClient, type StateStore, type Transport } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { median } from './frame/measure.ts'
import type { Figure } from './frame/row.ts'

const SECONDS = 2
/** Each store is measured this often, in turn. The median counts. */
const ROUNDS = 3
const MS_PER_S = 1_000
const NANOSECONDS_PER_MS = 1_000_000
const SESSION = { playbackSessionId: 's', statUrl: 'http://e/stat', commandUrl: 'http://e/cmd' }
const QUIET = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, cacheTtlMs: 3_600_000, watch: false }

const ENGINES = JSON.stringify([{ container_id: 'c1', container_name: 'c1', host: '127.0.0.1', port: 19_000, streams: [] }])

/** Answers at once, like an orchestrator of 2025-10 with one engine. */
const transport: Transport = {
  async request({ url, body = '{}' }) {
    const { content_id: id } = JSON.parse(body) as { content_id?: string }
    const answer = (): string => {
      if (url.pathname.endsWith('/stream_started')) return JSON.stringify({ id, container_id: 'c1', started_at: '2026-01-01T00:00:00Z' })
      if (url.pathname.endsWith('/stream_ended')) return JSON.stringify({ updated: true, stream: { id } })
      return url.pathname.endsWith('/engines') ? ENGINES : '[]'
    }
    return { status: 200, headers: new Headers({ 'content-type': 'application/json' }), body: answer() }
  },
}

/** What a store costs at one rate. */
interface LoopCost {
  /** Part of the time in which the event loop was busy, 0 to 1. */
  utilization: number
  /** Delay of the event loop, 99th percentile, milliseconds. */
  p99Ms: number
  /** CPU of the event loop's thread for one stream, microseconds. */
  loopUs: number
}

let count = 0

/** Plays streams at this rate: each acquires an engine, is started and is ended. */
async function play(client: OrchestratorClient, rate: number, seconds: number): Promise<void> {
  const stream = async (): Promise<void> => {
    count += 1
    const id = `s${count}`
    const lease = await client.acquireEngine()
    const handle = await lease.startStream({ keyType: 'infohash', key: id, session: SESSION, streamId: id })
    await handle.end()
  }
  const since = performance.now()
  const streams: Promise<void>[] = []
  while (streams.length < rate * seconds) {
    const due = Math.min(rate * seconds, Math.ceil(((performance.now() - since) / MS_PER_S) * rate))
    while (streams.length < due) streams.push(stream())
    await sleep(1)
  }
  await Promise.all(streams)
}

async function costOf(store: StateStore, rate: number): Promise<LoopCost> {
  const options = { dialect: 'unversioned' as const, maxStreamsPerEngine: 1_000_000, transport, store, ...QUIET }
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options })
  await play(client, rate, SECONDS / 4)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const cpu = process.threadCpuUsage()
  const loop = performance.eventLoopUtilization()
  delay.enable()
  await play(client, rate, SECONDS)
  delay.disable()
  const { utilization } = performance.eventLoopUtilization(loop)
  const { user, system } = process.threadCpuUsage(cpu)
  await client.close()
  return {
    utilization,
    p99Ms: delay.percentile(99) / NANOSECONDS_PER_MS,
    loopUs: (user + system) / (rate * SECONDS),
  }
}

/** The median of each store, which are measured in turn. */
async function measureAt(rate: number, cost: keyof LoopCost): Promise<{ sqlite: number; memory: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-sqlite-'))
  const [sqlite, memory]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round += 1) {
    memory.push((await costOf(new MemoryStore(), rate))[cost])
    const store = new SqliteStore({ path: join(directory, `${round}.db`) })
    sqlite.push((await costOf(store, rate))[cost])
    store.close()
  }
  rmSync(directory, { recursive: true })
  return { sqlite: median(sqlite), memory: median(memory) }
}

/** What the store adds to the cost at this rate, at least 0. */
export async function storeAtRate(rate: number, cost: keyof LoopCost): Promise<Figure> {
  const { sqlite, memory } = await measureAt(rate, cost)
  return { cost: Math.max(0, sqlite - memory) }
}

/** CPU of the event loop for a stream, with either store. */
export async function cpuAtRate(rate: number): Promise<Figure> {
  const { sqlite, memory } = await measureAt(rate, 'loopUs')
  return { cost: sqlite, peer: memory }
}
