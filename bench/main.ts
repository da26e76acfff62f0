/**
 * Measures the cost of the client as ratios to a floor: the minimum work of any implementation, measured in the same run. Absolute times
 * depend mostly on the machine, and are shown for orientation only.
 */
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { measure } from 'mitata'
import { printAcquiring } from './acquiring.ts'
import { decoding, importing } from './answers.ts'
import { durability } from './durability.ts'
import { printRedis } from './redis.ts'
import { printSeveralProxies } from './several-proxies.ts'

interface Row {
  /** The measured operation. */
  operation: string
  /** The minimum work that it is compared with. */
  floor: string
  costMs: number
  floorMs: number
}

const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0 }
const NANOSECONDS_PER_MS = 1_000_000

/** Returns the median time of one call, milliseconds. */
async function medianMs(call: () => Promise<unknown>): Promise<number> {
  const { p50 } = await measure(async () => {
    await call()
  })
  return p50 / NANOSECONDS_PER_MS
}

function connect(engines: number, limit: number, options: { cacheTtlMs?: number } = {}) {
  const fake = new FakeOrchestrator({ engines })
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    apiKey: fake.apiKey,
    transport: fake,
    dialect: 'unversioned',
    maxStreamsPerEngine: limit,
    cacheTtlMs: 3_600_000,
    ...quiet,
    ...options,
  })
  return { fake, client }
}

async function measureListing(): Promise<Row> {
  const { client } = connect(100, 2)
  const list = await client.listEngines()
  const row = {
    operation: 'listEngines(), warm, 100 engines',
    floor: 'an awaited promise',
    costMs: await medianMs(() => client.listEngines()),
    floorMs: await medianMs(() => Promise.resolve(list)),
  }
  await client.close()
  return row
}

async function measureEvents(): Promise<Row> {
  const { client, fake } = connect(1, 1_000_000)
  let count = 0
  const session = { playbackSessionId: 's', statUrl: 'http://e/stat', commandUrl: 'http://e/cmd' }
  const engine = (await client.listEngines())[0] ?? { host: '', port: 0 }
  const headers = { authorization: `Bearer ${fake.apiKey}`, 'content-type': 'application/json' }
  const post = (path: string, body: unknown) =>
    fake.request({ method: 'POST', url: new URL(path, 'http://orchestrator.test'), headers, body: JSON.stringify(body), timeoutMs: 3_000 })
  const row = {
    operation: 'start and end of a stream',
    floor: 'the same two requests, sent by hand',
    costMs: await medianMs(async () => {
      count += 1
      const stream = await client.streamStarted({ keyType: 'infohash', key: `${count}`, session, streamId: `s${count}`, engine })
      await stream.end()
    }),
    floorMs: await medianMs(async () => {
      count += 1
      await post('/events/stream_started', {
        engine: { host: engine.host, port: engine.port },
        stream: { key_type: 'infohash', key: `${count}` },
        session: { playback_session_id: 's', stat_url: session.statUrl, command_url: session.commandUrl, is_live: 1 },
        labels: { stream_id: `s${count}` },
      })
      await post('/events/stream_ended', { stream_id: `s${count}`, container_id: `stream:s${count}` })
    }),
  }
  await client.close()
  return row
}

/**
 * Prints how many requests 200 concurrent viewers on 100 engines cause. For each viewer, the Go client reads the list and each engine's
 * streams.
 */
async function printRequests(): Promise<void> {
  const engines = 100
  const viewers = 200
  const { client, fake } = connect(engines, 2)
  const leases = await Promise.all(Array.from({ length: viewers }, () => client.acquireEngine()))
  const requests = fake.counters.requests.total
  const goClientRequests = viewers * (1 + engines)
  const loads = new Map<string, number>()
  for (const { engine } of leases) loads.set(engine.containerId, (loads.get(engine.containerId) ?? 0) + 1)
  console.log(`\n${viewers} concurrent acquires on ${engines} engines of limit 2:`)
  console.log(`  requests: ${requests}; the Go client, with 1 per viewer and 1 per viewer and engine, would send ${goClientRequests}`)
  console.log(`  ${Math.max(...loads.values())} streams on the fullest engine`)
  await client.close()
}

function measureStore(): Row {
  return { operation: 'append() and settle() of SqliteStore', floor: 'one row inserted with the same durability', ...durability() }
}

async function measureDecoding(): Promise<Row> {
  return { operation: 'listEngines(), 1,000 engines read again', floor: 'JSON.parse of their list', ...(await decoding()) }
}

function measureImport(): Row {
  return { operation: 'import of the main entry, in a new process', floor: 'import of lru-cache', ...importing() }
}

const rows = [await measureListing(), await measureDecoding(), await measureEvents(), measureStore(), measureImport()]
console.table(
  rows.map(({ operation, floor, costMs, floorMs }) => ({
    operation,
    floor,
    ratio: Number((costMs / floorMs).toFixed(1)),
    'cost (µs)': Number((costMs * 1_000).toFixed(2)),
    'floor (µs)': Number((floorMs * 1_000).toFixed(2)),
  })),
)
await printAcquiring()
await printRequests()
await printSeveralProxies()
await printRedis()
