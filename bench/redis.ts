/**
 * Measures the cost of a slot in the Redis store, compared with the minimum of any script: an empty one on the same connection to the same
 * server. Once with one caller, and once with 100 concurrent callers that share the round trips.
 */
import { RedisStore } from 'acestream-orchestrator-client/redis'
import type { Figure, Group, KnownMiss, Row } from './frame/row.ts'
import { Bench } from './redis-server.ts'

const ENGINES = 20
const LIMIT = 10
/** The client asks about so many engines at once. */
const CANDIDATES = 8
const CALLS = 5_000
const RUNS = 5
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

/** Microseconds of a slot that is taken and released, and of two empty scripts, with so many callers. */
async function slotCost(callers: number): Promise<Figure> {
  await using bench = await Bench.start()
  await bench.open()
  const client = bench.connect()
  await using store = new RedisStore({ client })
  const candidates = Array.from({ length: ENGINES }, (_, index) => ({ containerId: `engine-${index}`, reportedStreamIds: [] }))
  const sha = String(await client.script('LOAD', 'return 1'))
  const slot = async (index: number): Promise<void> => {
    const now = Date.now()
    // Callers begin with different engines, because the client ranks engines by load.
    const begin = index % ENGINES
    const ranked = [...candidates.slice(begin), ...candidates.slice(0, begin)].slice(0, CANDIDATES)
    await store.take({ leaseId: `${index}`, candidates: ranked, limit: LIMIT, now, expiresAt: now + 60_000 })
    await store.releaseLease(`${index}`)
  }
  const floor = async (): Promise<void> => {
    await client.evalsha(sha, 0)
    await client.evalsha(sha, 0)
  }
  return { cost: US_PER_S / (await perSecond(slot, callers)), peer: US_PER_S / (await perSecond(floor, callers)) }
}

const CHECKED_BATCH = `A script with an operation that does nothing blocks Redis for 14 µs, and an empty one for 1 µs. Reading what the fleet shares takes
4 µs, and so do \`INFO server\` (a restarted server may have lost slots), recording the batch and its answers (a client library may send it twice), and
making the functions of the script. The slot takes 10 µs. The process needs 28 µs for each script, and 11 µs for an empty one. With 100 callers, 100
slots share one script, and the slots themselves are what is left.`

function slotRow(callers: number, goal: number, miss: KnownMiss): Row {
  return {
    id: `redis-slot-${callers}`,
    what: `take() and releaseLease() of the RedisStore, ${callers === 1 ? '1 caller' : `${callers} callers`}`,
    peer: 'two empty scripts',
    unit: 'µs',
    goal,
    kind: 'timed',
    miss,
    measure: () => slotCost(callers),
  }
}

export const redisStore: Group = {
  title: 'Redis',
  about: `A slot that is taken and released on a redis-server of its own, 20 engines, against two scripts that do nothing on the same
connection: the minimum of any store whose steps are atomic. 100 callers share the round trips.`,
  rows: [slotRow(1, 1.6, { upTo: 5.5, because: CHECKED_BATCH }), slotRow(100, 3, { upTo: 5, because: CHECKED_BATCH })],
}
