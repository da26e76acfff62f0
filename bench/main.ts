/**
 * Measures the cost of the client as ratios to a floor: the minimum work of any implementation, measured in the same run. Absolute times
 * depend mostly on the machine, and are shown for orientation only.
 */
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { printAcquiring } from './acquiring.ts'
import { decoding, importing } from './answers.ts'
import { durability } from './durability.ts'
import { printRedis } from './redis.ts'
import { printSeveralProxies } from './several-proxies.ts'
import { measureInProcess, measureOverHttp, type Row } from './streams.ts'

const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0 }
const US_PER_MS = 1_000

function connect(engines: number, limit: number) {
  const fake = new FakeOrchestrator({ engines })
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    apiKey: fake.apiKey,
    transport: fake,
    dialect: 'unversioned',
    maxStreamsPerEngine: limit,
    cacheTtlMs: 3_600_000,
    ...quiet,
  })
  return { fake, client }
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
  const { costMs, floorMs } = durability()
  const [costUs, floorUs] = [costMs * US_PER_MS, floorMs * US_PER_MS]
  return { operation: 'append() and settle() of SqliteStore', floor: 'one row inserted with the same durability', costUs, floorUs }
}

async function measureDecoding(): Promise<Row> {
  const { costMs, floorMs } = await decoding()
  return {
    operation: 'listEngines(), 1,000 engines read again',
    floor: 'JSON.parse of their list',
    costUs: costMs * US_PER_MS,
    floorUs: floorMs * US_PER_MS,
  }
}

function measureImport(): Row {
  const { costMs, floorMs } = importing()
  return {
    operation: 'import of the main entry, in a new process',
    floor: 'import of lru-cache',
    costUs: costMs * US_PER_MS,
    floorUs: floorMs * US_PER_MS,
  }
}

const overHttp = await measureOverHttp()
const rows = [...(await measureInProcess()), ...overHttp.rows, await measureDecoding(), measureStore(), measureImport()]
console.table(
  rows.map(({ operation, floor, costUs, floorUs }) => ({
    operation,
    floor,
    ratio: Number((costUs / floorUs).toFixed(2)),
    'cost (µs)': Number(costUs.toFixed(2)),
    'floor (µs)': Number(floorUs.toFixed(2)),
  })),
)
console.log(`The streams over HTTP used at most ${overHttp.sockets} sockets at once`)
await printAcquiring()
await printRequests()
await printSeveralProxies()
await printRedis()
