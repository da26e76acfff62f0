/** One acquire and one release: of this client, and of plain resource pools with as many resources. The pools know neither loads nor rankings. */
import { OrchestratorClient, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { createPool } from 'generic-pool'
import { Pool as LightningPool } from 'lightning-pool'
import { Pool as TarnPool } from 'tarn'

/** One acquire and one release. */
type Cycle = () => Promise<unknown>

/** Nothing runs in the background, and the list stays fresh. */
export const QUIET = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, cacheTtlMs: 3_600_000 } as const

/** A client in one process with a fake orchestrator, that has read its list. */
export async function connect(engines: number, options: Partial<OrchestratorClientOptions> = {}) {
  const fake = new FakeOrchestrator({ engines })
  const wire = { baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake, dialect: 'unversioned' as const }
  const client = new OrchestratorClient({ ...wire, ...QUIET, ...options })
  await client.listEngines()
  return { client, fake }
}

/** Fills a pool: takes as many resources as it may have. */
export function acquireAll<T>(size: number, acquire: () => PromiseLike<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: size }, acquire))
}

/** What is compared, by name, for a number of engines or resources. */
export const POOLS = {
  async 'this client'(size): Promise<Cycle> {
    const { client } = await connect(size)
    return async () => (await client.acquireEngine()).release()
  },
  async tarn(size): Promise<Cycle> {
    const pool = new TarnPool({ min: size, max: size, create: async () => ({}), destroy: () => {} })
    await Promise.all((await acquireAll(size, () => pool.acquire().promise)).map((resource) => pool.release(resource)))
    return async () => pool.release(await pool.acquire().promise)
  },
  async 'generic-pool'(size): Promise<Cycle> {
    const pool = createPool({ create: async () => ({}), destroy: async () => {} }, { min: size, max: size })
    await Promise.all((await acquireAll(size, () => pool.acquire())).map((resource) => pool.release(resource)))
    return async () => pool.release(await pool.acquire())
  },
  async 'lightning-pool'(size): Promise<Cycle> {
    const pool = new LightningPool({ create: async () => ({}), destroy: async () => {} }, { min: size, max: size, maxQueue: size })
    for (const resource of await acquireAll(size, () => pool.acquire())) pool.release(resource)
    return async () => pool.release(await pool.acquire())
  },
} satisfies Record<string, (size: number) => Promise<Cycle>>
