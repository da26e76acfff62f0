import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import { UsageError } from '../demo/arguments.ts'
import { FakeWorld } from '../demo/fake-world.ts'
import { proxyEnvironment } from '../demo/proxy-environment.ts'
import { ProxyProcess } from '../demo/proxy-process.ts'
import { Screen } from '../demo/screen.ts'
import type { InsideView } from '../demo/world.ts'
import { type FleetArguments, readArguments, USAGE } from './arguments.ts'
import { type Address, Audience } from './audience.ts'
import { firstSlots } from './first-slot.ts'
import { fleetVerdict } from './fleet-verdict.ts'
import { type OutageOutcome, outage } from './outage.ts'
import { NoRedisError, RedisServer } from './redis-server.ts'

const PROXIES = 3
const ENGINES = 12
const LIMIT = 2
const CAPACITY_TIMEOUT_MS = 4_000
/** Viewers of the form with an outage: enough to keep coming until the kill after the outage. */
const OUTAGE_AUDIENCE = { viewerCount: 405, longStays: 2 * PROXIES }
/** Time before the first incident: most slots are taken by then. */
const BEFORE_INCIDENT_MS = 7_200
/** Shorter than the default of 15 s, so that the demo is quick. */
const SLOT_TTL_MS = 10_000
/** Time limit for the other proxies to detect the death and to end the streams of the dead proxy. */
const CLEANING_MS = 60_000
const CHECK_EVERY_MS = 50
/** Time limit for the engines to notice closed connections. */
const CLOSING_MS = 5_000
const REDRAW_MS = 250

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = readArguments(argv)
    if (options !== undefined) {
      const isKept = await run(options, interrupted())
      // Without the store the promises cannot be kept; that is what this form shows.
      return isKept || options.form === 'without-store' ? 0 : 1
    }
    process.stdout.write(USAGE)
    return 0
  } catch (error) {
    if ((error as Error)?.name === 'AbortError') return 130
    if (!(error instanceof Error)) throw error
    const isUserError = error instanceof UsageError || error instanceof NoRedisError
    process.stderr.write(`demo: ${isUserError ? error.message : (error.stack ?? error.message)}\n`)
    return isUserError ? 2 : 1
  }
}

/** Runs the demo. Returns whether every promise was kept. */
async function run({ generation, seed, form }: FleetArguments, signal: AbortSignal): Promise<boolean> {
  const screen = new Screen(process.stdout)
  await using redis = form === 'without-store' ? undefined : await RedisServer.start()
  await using world = await FakeWorld.start({ generation, engineCount: ENGINES, maxEngines: ENGINES, seed })
  await using stack = new AsyncDisposableStack()
  const environment = {
    ...proxyEnvironment(world, { limit: LIMIT, capacityTimeoutMs: CAPACITY_TIMEOUT_MS }),
    ...(redis !== undefined && { ACEXY_STORE: redis.url, ACEXY_STORE_TTL: `${SLOT_TTL_MS}ms` }),
  }
  const names = Array.from({ length: PROXIES }, (_, index) => `proxy-${index + 1}`)
  const processes = await Promise.all(names.map((name) => ProxyProcess.start({ ...environment, ACEXY_CONTAINER_ID: name })))
  for (const proxy of processes) stack.use(proxy)
  const proxies: Address[] = processes.map(({ url }) => ({ url, isDead: false }))
  const audience = new Audience(proxies, seededRandom(seed), form === 'redis-outage' ? OUTAGE_AUDIENCE : {})
  screen.print(`${audience.expected} viewers on ${PROXIES} proxies, ${LIMIT} streams per engine, ${redis?.url ?? 'no shared store'}`)
  screen.print(`${world.description}; the proxies are processes ${processes.map(({ pid }) => pid).join(', ')}`)
  const firstMs = await firstSlots(proxies, signal)
  const emptyRedis = redis === undefined ? '' : `; an empty Redis may grant none for ACEXY_STORE_TTL, ${SLOT_TTL_MS / 1_000} s`
  screen.print(`every proxy granted its first slot within ${(firstMs / 1_000).toFixed(1)} s${emptyRedis}\n`)

  const startedAt = performance.now()
  const show = async (): Promise<void> => {
    const engines = await world.engines()
    const { viewers, expected, cutOffByKill } = audience
    // A viewer that is cut off visits twice.
    screen.show({ elapsedMs: performance.now() - startedAt, viewers, expectedViewers: expected + cutOffByKill, engines, limit: LIMIT })
  }
  const timer = setInterval(() => void show(), REDRAW_MS)
  const incidents = async (): Promise<{ killed: Killed; outcome: OutageOutcome | undefined }> => {
    await sleep(BEFORE_INCIDENT_MS, undefined, { signal })
    const hasOutage = form === 'redis-outage' && redis !== undefined
    // Kill the proxy only after the outage: a Redis that comes back empty does not know a proxy that died before.
    const outcome = hasOutage ? await outage({ redis, world, audience, proxies, screen, signal, ttlMs: SLOT_TTL_MS }) : undefined
    const killed = await kill({ victim: processes[1], address: proxies[1], world, audience, screen, signal })
    return { killed, outcome }
  }
  const [{ killed, outcome }] = await Promise.all([incidents(), audience.come(signal)]).finally(() => clearInterval(timer))
  await show()

  const living = processes.filter((_, index) => proxies[index]?.isDead === false)
  const exits = await Promise.all(living.map((proxy) => proxy.stop()))
  const listed = await world.liveStreams()
  const inside = await closedView(world)
  const { lines, isKept } = fleetVerdict({ audience, limit: LIMIT, inside, exits, ...killed, listed, outage: outcome })
  if (!isKept) for (const { warnings } of living) for (const text of warnings.slice(0, 10)) screen.print(`proxy: ${text}`)
  screen.print(`\n${lines.join('\n')}`)
  return isKept
}

/** The effects of the kill. */
interface Killed {
  /** Number of streams of the killed proxy that the orchestrator still listed. */
  left: number
  cleanedAfterMs: number | undefined
}

interface Killing {
  victim: ProxyProcess | undefined
  address: Address | undefined
  world: FakeWorld
  audience: Audience
  screen: Screen
  signal: AbortSignal
}

/** Kills a proxy, and waits until the orchestrator lists none of its streams any more. */
async function kill({ victim, address, world, audience, screen, signal }: Killing): Promise<Killed> {
  if (victim === undefined || address === undefined) throw new Error('there is no proxy to kill')
  address.isDead = true
  await victim.kill()
  const diedAt = performance.now()
  audience.dismiss()
  const theirs = new Set(audience.visits.filter(({ proxy }) => proxy === address).map(({ infohash }) => infohash))
  const remaining = async (): Promise<readonly string[]> => {
    return (await world.liveStreams()).filter((streamId) => theirs.has(streamId.split('|')[0] ?? ''))
  }
  const left = await remaining()
  screen.print(`process ${victim.pid} killed; the orchestrator lists ${left.length} streams of it`)
  while (performance.now() - diedAt < CLEANING_MS) {
    if ((await remaining()).length === 0) return { left: left.length, cleanedAfterMs: performance.now() - diedAt }
    await sleep(CHECK_EVERY_MS, undefined, { signal })
  }
  return { left: left.length, cleanedAfterMs: undefined }
}

function interrupted(): AbortSignal {
  const interrupt = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort())
  return interrupt.signal
}

/** Reads the figures of the fakes, after the engines have noticed the closed connections of the stopped proxies. */
async function closedView(world: FakeWorld): Promise<InsideView> {
  const giveUpAt = performance.now() + CLOSING_MS
  let inside = world.insideView()
  while ((inside.sessionsLeft ?? 0) > 0 && performance.now() < giveUpAt) {
    await sleep(CHECK_EVERY_MS)
    inside = world.insideView()
  }
  return inside
}
