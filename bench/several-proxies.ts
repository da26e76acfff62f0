/**
 * Measures how evenly several proxies spread viewers over the same engines. Each proxy has its own client, and they share no store.
 * Everything runs on the manual clock and from seeds, so that the figures are the same on every machine.
 */
import { type Engine, OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import type { Line } from './frame/row.ts'

/** How a proxy chooses an engine: with this library; the least loaded engine of its list, as the Go client does; or a random one. */
const STRATEGIES = ['this library', 'least loaded on a stale list', 'random'] as const

type Strategy = (typeof STRATEGIES)[number]

/** One simulation. */
export interface Scenario {
  strategy: Strategy
  /** Number of proxies. */
  clients: number
  seed: number
}

/** Number of streams on the fullest engine above the ideal, which is `ceil(streams / engines)`. */
export interface Excess {
  mean: number
  p99: number
}

const ENGINES = 20
const VIEWERS = 400
/** Size of a burst: many viewers come at once, as at the beginning of a match. */
const BURST = 20
const BURST_EVERY_MS = 2_000
const BURST_WITHIN_MS = 200
const SHORTEST_STAY_MS = 5_000
const LONGEST_STAY_MS = 40_000
/** Time from the choice of an engine to the start event. */
const OPENING_MS = 800
const LATENCY_MS = 30
/** High enough that no viewer waits: only the choice of engines is compared. */
const NO_LIMIT = 1_000

/** Runs one simulation. Returns the excess after each choice. */
export async function simulate({ strategy, clients, seed }: Scenario): Promise<number[]> {
  const clock = new ManualClock()
  const random = seededRandom(seed)
  const fake = new FakeOrchestrator({ engines: ENGINES, clock, latencyMs: LATENCY_MS, random: seededRandom(seed + 1) })
  const proxies = Array.from({ length: clients }, (_, index) => {
    const options = { apiKey: fake.apiKey, transport: fake, clock, random: seededRandom(1_000 * seed + index) }
    return new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options, maxStreamsPerEngine: NO_LIMIT, healthIntervalMs: 0 })
  })
  const loads = new Map<string, number>()
  const samples: number[] = []
  const count = (containerId: string, change: 1 | -1): void => {
    loads.set(containerId, (loads.get(containerId) ?? 0) + change)
    if (change < 0) return
    const all = [...loads.values()]
    const total = all.reduce((sum, load) => sum + load, 0)
    samples.push(Math.max(...all) - Math.ceil(total / ENGINES))
  }
  const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, ms))

  async function watch(client: OrchestratorClient, id: string, stayMs: number): Promise<void> {
    const session = { playbackSessionId: id, statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }
    const start = { keyType: 'infohash', key: id, session, streamId: id } as const
    const lease = strategy === 'this library' ? await client.acquireEngine() : undefined
    const engine = lease?.engine ?? choose(strategy, await client.listEngines(), random)
    count(engine.containerId, 1)
    await pause(OPENING_MS)
    const stream = await (lease?.startStream(start) ?? client.streamStarted({ ...start, engine }))
    await pause(stayMs)
    await stream.end()
    count(engine.containerId, -1)
  }

  const visits = Array.from({ length: VIEWERS }, async (_, index) => {
    const arrivesAt = Math.floor(index / BURST) * BURST_EVERY_MS + random() * BURST_WITHIN_MS
    const stayMs = SHORTEST_STAY_MS + random() * (LONGEST_STAY_MS - SHORTEST_STAY_MS)
    const client = proxies[Math.floor(random() * clients)] as OrchestratorClient
    await pause(arrivesAt)
    await watch(client, `viewer-${index}`, stayMs)
  })
  await clock.advance((VIEWERS / BURST) * BURST_EVERY_MS + LONGEST_STAY_MS + 10_000)
  await Promise.all(visits)
  await Promise.all(proxies.map((client) => client.close({ timeoutMs: 0 })))
  return samples
}

/** Returns the mean and the 99th percentile of the excess over several seeds. */
export async function excessOf(scenario: Omit<Scenario, 'seed'>, seeds: readonly number[]): Promise<Excess> {
  const samples: number[] = []
  for (const seed of seeds) samples.push(...(await simulate({ ...scenario, seed })))
  samples.sort((a, b) => a - b)
  const mean = samples.reduce((sum, excess) => sum + excess, 0) / samples.length
  return { mean, p99: samples[Math.floor(samples.length * 0.99)] ?? Number.NaN }
}

function choose(strategy: Strategy, engines: readonly Engine[], random: () => number): Engine {
  const any = engines[Math.floor(random() * engines.length)] as Engine
  if (strategy === 'random') return any
  return engines.reduce((best, engine) => (engine.streamIds.length < best.streamIds.length ? engine : best), engines[0] ?? any)
}

/** The excess for 1, 4 and 16 proxies and each way to choose an engine. */
export async function severalProxiesLines(seeds: readonly number[] = [1, 2, 3, 4, 5]): Promise<Line[]> {
  const lines: Line[] = []
  for (const clients of [1, 4, 16]) {
    for (const strategy of STRATEGIES) {
      const { mean, p99 } = await excessOf({ strategy, clients }, seeds)
      lines.push({ proxies: clients, strategy, mean, p99 })
    }
  }
  return lines
}
