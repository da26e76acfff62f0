/**
 * Measures one acquire and one release: of this client, and of plain resource pools with as many resources. The pools know neither loads nor
 * rankings, so they are the floor. All are measured in the same run.
 */
import { type EngineLease, OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { createPool } from 'generic-pool'
import { Pool as LightningPool } from 'lightning-pool'
import { measure } from 'mitata'
import { Pool as TarnPool } from 'tarn'

const SIZES = [17, 100, 1_000, 10_000]
/** Callers that acquire at once, on as many engines as the largest of {@link SIZES}. */
const CALLERS = 1_000
/** Engines that the waiting callers wait for. */
const FEW_ENGINES = 10
const NANOSECONDS_PER_US = 1_000

/** One acquire and one release, and what ends the pool. */
interface Pool {
  cycle: () => Promise<unknown>
  close: () => Promise<unknown>
}

/** A client with a list that stays fresh, and that has read it. */
async function connect(engines: number): Promise<OrchestratorClient> {
  const fake = new FakeOrchestrator({ engines })
  const options = { apiKey: fake.apiKey, transport: fake, dialect: 'unversioned' as const, cacheTtlMs: 3_600_000 }
  const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0 }
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options, ...quiet })
  await client.listEngines()
  return client
}

const POOLS: Readonly<Record<string, (size: number) => Pool | Promise<Pool>>> = {
  async 'this client'(size) {
    const client = await connect(size)
    return { cycle: async () => (await client.acquireEngine()).release(), close: () => client.close() }
  },
  async tarn(size) {
    const pool = new TarnPool({ min: size, max: size, create: async () => ({}), destroy: () => {} })
    await Promise.all((await acquireAll(size, () => pool.acquire().promise)).map((resource) => pool.release(resource)))
    return { cycle: async () => pool.release(await pool.acquire().promise), close: () => pool.destroy() }
  },
  async 'generic-pool'(size) {
    const pool = createPool({ create: async () => ({}), destroy: async () => {} }, { min: size, max: size })
    await Promise.all((await acquireAll(size, () => pool.acquire())).map((resource) => pool.release(resource)))
    return {
      cycle: async () => pool.release(await pool.acquire()),
      close: () => pool.drain().then(() => pool.clear()),
    }
  },
  async 'lightning-pool'(size) {
    const pool = new LightningPool({ create: async () => ({}), destroy: async () => {} }, { min: size, max: size, maxQueue: size })
    for (const resource of await acquireAll(size, () => pool.acquire())) pool.release(resource)
    return { cycle: async () => pool.release(await pool.acquire()), close: () => pool.closeAsync() }
  },
}

/** Fills a pool: takes as many resources as it may have. */
function acquireAll<T>(size: number, acquire: () => PromiseLike<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: size }, acquire))
}

/** Microseconds of one acquire and one release, the median. */
async function cycleUs(name: string, size: number): Promise<number> {
  const pool = await POOLS[name]?.(size)
  if (pool === undefined) return Number.NaN
  const { p50 } = await measure(async () => {
    await pool.cycle()
  })
  await pool.close()
  return p50 / NANOSECONDS_PER_US
}

/** Milliseconds for which `work`, and the promise jobs that it causes, occupy the event loop without a break. */
async function blockedMs(work: () => unknown): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve))
  const since = performance.now()
  work()
  await new Promise((resolve) => setImmediate(resolve))
  return performance.now() - since
}

/** For how long callers that acquire at once block the event loop, milliseconds. */
async function burstMs(): Promise<number> {
  const client = await connect(Math.max(...SIZES))
  await (await client.acquireEngine()).release()
  const leases: EngineLease[] = []
  const acquire = async (): Promise<void> => void leases.push(await client.acquireEngine())
  const ms = await blockedMs(() => {
    for (let i = 0; i < CALLERS; i += 1) void acquire()
  })
  await client.close()
  return ms
}

/** Microseconds from the release of a slot until the first of so many waiting callers has it. */
async function slotForWaiterUs(waiters: number): Promise<number> {
  const client = await connect(FEW_ENGINES)
  const held = await acquireAll(FEW_ENGINES, () => client.acquireEngine({ provision: false }))
  const waiting = Array.from({ length: waiters }, () => client.acquireEngine({ provision: false, waitMs: 3_600_000 }))
  await new Promise((resolve) => setImmediate(resolve))
  const { p50 } = await measure(async () => {
    // A new caller at the end keeps the line as long as it is.
    waiting.push(client.acquireEngine({ provision: false, waitMs: 3_600_000 }))
    await held.shift()?.release()
    const served = await waiting.shift()
    if (served !== undefined) held.push(served)
  })
  const closing = client.close()
  await Promise.allSettled(waiting)
  await closing
  return p50 / NANOSECONDS_PER_US
}

/** Prints the costs of this client and of the pools, by the number of engines or resources. */
export async function printAcquiring(): Promise<void> {
  const rows: Record<string, Record<string, number>> = {}
  for (const name of Object.keys(POOLS)) {
    const costs: Record<string, number> = {}
    for (const size of SIZES) costs[`${size}`] = Number((await cycleUs(name, size)).toFixed(2))
    rows[name] = costs
  }
  console.log('\nOne acquire and one release, microseconds, by the number of engines or resources:')
  console.table(rows)
  console.log(`${CALLERS} acquires at once on ${Math.max(...SIZES)} engines block the event loop for ${(await burstMs()).toFixed(1)} ms`)
  const slots = { 'few waiters (10)': await slotForWaiterUs(10), 'many waiters (1000)': await slotForWaiterUs(1_000) }
  console.log('A slot from its release to the first waiting caller, microseconds:', slots)
}
