/**
 * Measures the cost of a slot in the Redis store, compared with the minimum of any script: an empty one on the same connection to the same
 * server. Once with one caller, and once with 100 concurrent callers that share the round trips.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import type { Redis } from 'ioredis'
import type { Figure, Group, Row } from './frame/row.ts'

const ENGINES = 20
const LIMIT = 10
const CALLS = 5_000
const RUNS = 5
const OPENING_TTL_MS = 60
const US_PER_S = 1_000_000

/** Returns calls per second, the median of five runs. */
async function perSecond(call: (index: number) => Promise<unknown>, callers: number): Promise<number> {
  const rates: number[] = []
  for (let run = 0; run < RUNS; run += 1) {
    let next = 0
    const caller = async (): Promise<void> => {
      while (next < CALLS) {
        next += 1
        await call(run * CALLS + next)
      }
    }
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: callers }, caller))
    rates.push(CALLS / ((performance.now() - startedAt) / 1_000))
  }
  return rates.sort((a, b) => a - b)[Math.floor(RUNS / 2)] ?? Number.NaN
}

/** A Redis that is used for the first time grants no slot for one `slotTtlMs`. Waits until it grants slots, with a short one. */
async function slotsAreGranted(client: Redis): Promise<void> {
  await using opener = new RedisStore({ client, slotTtlMs: OPENING_TTL_MS })
  const candidates = [{ containerId: 'none', reportedStreamIds: [] }]
  const probe = { leaseId: 'probe', candidates, limit: 1, now: 0, expiresAt: 1 }
  while ((await opener.take(probe).catch(() => undefined)) === undefined) {
    await opener.renew()
    await sleep(OPENING_TTL_MS / 4)
  }
  await opener.releaseLease('probe')
}

/** What a measurement uses. */
interface Bench {
  readonly client: Redis
  readonly store: RedisStore
}

/** Calls `measure` with a store on a redis-server of its own. @throws an error, if this machine has no redis-server */
async function withRedis<T>(measure: (bench: Bench) => Promise<T>): Promise<T> {
  if (spawnSync('redis-server', ['--version']).status !== 0) throw new Error('this machine has no redis-server')
  const folder = mkdtempSync(join(tmpdir(), 'redis-'))
  const socket = join(folder, 'socket')
  const server = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder], { stdio: 'ignore' })
  // Not imported at the top: code that it loads makes other rows slower, such as the reading of dates.
  const ioredis = await import('ioredis')
  const client = new ioredis.Redis(socket, { retryStrategy: () => 50 })
  client.on('error', () => {})
  const store = new RedisStore({ client })
  try {
    await client.ping()
    await slotsAreGranted(client)
    return await measure({ client, store })
  } finally {
    await store.close()
    client.disconnect()
    server.kill()
    await sleep(100)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Microseconds of a slot that is taken and released, and of two empty scripts, with so many callers. */
async function slotCost({ client, store }: Bench, callers: number): Promise<Figure> {
  const candidates = Array.from({ length: ENGINES }, (_, index) => ({ containerId: `engine-${index}`, reportedStreamIds: [] }))
  const sha = String(await client.script('LOAD', 'return 1'))
  const slot = async (index: number): Promise<void> => {
    const now = Date.now()
    // Callers begin with different engines, because the client ranks engines by load.
    const begin = index % ENGINES
    const ranked = [...candidates.slice(begin), ...candidates.slice(0, begin)]
    await store.take({ leaseId: `${index}`, candidates: ranked, limit: LIMIT, now, expiresAt: now + 60_000 })
    await store.releaseLease(`${index}`)
  }
  const floor = async (): Promise<void> => {
    await client.evalsha(sha, 0)
    await client.evalsha(sha, 0)
  }
  return { cost: US_PER_S / (await perSecond(slot, callers)), peer: US_PER_S / (await perSecond(floor, callers)) }
}

function slotRow(callers: number, goal: number): Row {
  return {
    id: `redis-slot-${callers}`,
    what: `take() and releaseLease() of the RedisStore, ${callers === 1 ? '1 caller' : `${callers} callers`}`,
    peer: 'two empty scripts',
    unit: 'µs',
    goal,
    kind: 'timed',
    measure: () => withRedis((bench) => slotCost(bench, callers)),
  }
}

export const redisStore: Group = {
  title: 'Redis',
  about: `A slot that is taken and released on a redis-server of its own, 20 engines, against two scripts that do nothing on the same
connection: the minimum of any store whose steps are atomic. 100 callers share the round trips.`,
  rows: [slotRow(1, 1.6), slotRow(100, 3)],
}
