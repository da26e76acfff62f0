/**
 * Measures a reconciliation of very many live streams, of which a few are not as the orchestrator lists them. The lists are texts that are
 * ready. `JSON.parse` of them is measured apart: no program that reads these lists can do without it.
 */
import { OrchestratorClient, type Transport } from 'acestream-orchestrator-client'
import { blocksMs, median } from './frame/measure.ts'

const ENGINES = 100
const STREAMS = 10_000
/** Every so many streams, one is missing in the list, and its start is sent again. */
const MISSING_EVERY = 1_000
const ROUNDS = 15
const US_PER_MS = 1_000

/** The costs of one reconciliation, milliseconds of CPU time. */
export interface ReconcileCosts {
  readonly streams: number
  /** From the call to the report, without `JSON.parse` of the lists. */
  readonly costMs: number
  /** The part of it that reads the lists: checks their entries and indexes the engines. */
  readonly readingMs: number
  /** The rest of it: compares, and sends the starts of the missing streams. */
  readonly comparingMs: number
  /** One pass over two maps: the parsed list into a map by id, and each live stream compared with it. */
  readonly floorMs: number
  /** `JSON.parse` of both lists, in one block. */
  readonly parsingMs: number
  /** The longest time without a turn of the event loop. A block that parses a list counts with `JSON.parse`. */
  readonly longestBlockMs: number
}

const idOf = (index: number): string => `${index.toString(16).padStart(40, '0')}|session-${index}`
const engineOf = (index: number): string => `engine-${index % ENGINES}`
const sessionOf = (index: number) => ({
  playbackSessionId: `session-${index}`,
  statUrl: `http://10.0.0.1:${19_000 + (index % ENGINES)}/ace/stat/${index}`,
  commandUrl: `http://10.0.0.1:${19_000 + (index % ENGINES)}/ace/cmd/${index}`,
})

/** The entry of a stream as 2025-10 lists it. */
function listedStream(index: number): object {
  const { playbackSessionId, statUrl, commandUrl } = sessionOf(index)
  const urls = { stat_url: statUrl, command_url: commandUrl }
  const key = { id: idOf(index), key_type: 'infohash', key: index.toString(16).padStart(40, '0') }
  const session = { playback_session_id: playbackSessionId, ...urls, is_live: true }
  return { ...key, container_id: engineOf(index), ...session, started_at: '2026-01-01T00:00:00.123456Z', ended_at: null, status: 'started' }
}

function listedEngine(index: number): object {
  const address = { host: '10.0.0.1', port: 19_000 + index }
  const streams = Array.from({ length: STREAMS / ENGINES }, (_, turn) => idOf(turn * ENGINES + index))
  return { container_id: engineOf(index), container_name: engineOf(index), ...address, health_status: 'healthy', streams }
}

const indices = Array.from({ length: STREAMS }, (_, index) => index)
const ENGINE_LIST = JSON.stringify(indices.slice(0, ENGINES).map(listedEngine))
const STREAM_LIST = JSON.stringify(indices.filter((index) => index % MISSING_EVERY !== 0).map(listedStream))

function answer(path: string, body: string | undefined): string {
  if (path.endsWith('/engines')) return ENGINE_LIST
  if (body === undefined) return STREAM_LIST
  const { labels, stream_id: ended } = JSON.parse(body) as { labels?: { stream_id: string }; stream_id?: string }
  if (labels === undefined) return JSON.stringify({ updated: true, stream: { id: ended } })
  const index = Number(labels.stream_id.split('-')[1])
  return JSON.stringify({ id: labels.stream_id, container_id: engineOf(index), started_at: '2026-01-01T00:00:00.123456Z' })
}

/** Answers in a later turn of the event loop, as a network does: then the text of each list is parsed in a turn of its own. */
const transport: Transport = {
  request: async ({ url, body }) => {
    const text = answer(url.pathname, body)
    await new Promise((resolve) => setImmediate(resolve))
    return { status: 200, headers: new Headers(), body: text }
  },
}

/** CPU milliseconds of this process that `work` takes. */
async function cpuMs(work: () => unknown): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / US_PER_MS
}

interface Place {
  readonly id: string
  readonly container_id: string
}

/** The least that a comparison does. Returns the number of streams that are on their engine. */
function passOverTwoMaps(live: ReadonlyMap<string, Place>, parsed: readonly Place[]): number {
  const listed = new Map(parsed.map((stream) => [stream.id, stream]))
  let count = 0
  for (const [id, stream] of live) if (listed.get(id)?.container_id === stream.container_id) count += 1
  return count
}

/** Measures the parts of a reconciliation in turn, several times. The result has the median of each. */
export async function reconcileCosts(): Promise<ReconcileCosts> {
  const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0 }
  const options = { maxStreamsPerEngine: STREAMS, cacheTtlMs: 0, watch: false, ...quiet }
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', transport, dialect: 'unversioned', ...options })
  const engines = new Map((await client.listEngines()).map((engine) => [engine.containerId, engine]))
  for (const index of indices) {
    const engine = engines.get(engineOf(index)) ?? { host: '10.0.0.1', port: 1 }
    const key = index.toString(16).padStart(40, '0')
    await client.streamStarted({ engine, keyType: 'infohash', key, session: sessionOf(index), streamId: idOf(index) })
  }
  const live = new Map((JSON.parse(STREAM_LIST) as Place[]).map((stream) => [stream.id, stream]))
  const samples: Record<'all' | 'lists' | 'parsing' | 'floor' | 'longest', number[]> = {
    all: [],
    lists: [],
    parsing: [],
    floor: [],
    longest: [],
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    samples.all.push(await cpuMs(() => client.reconcile()))
    samples.lists.push(await cpuMs(() => Promise.all([client.listEngines({ fresh: true }), client.listStreams({ status: 'started' })])))
    samples.parsing.push(await cpuMs(() => [JSON.parse(ENGINE_LIST), JSON.parse(STREAM_LIST)]))
    const parsed = JSON.parse(STREAM_LIST) as Place[]
    samples.floor.push(await cpuMs(() => passOverTwoMaps(live, parsed)))
    const [longest = 0] = await blocksMs(() => client.reconcile())
    samples.longest.push(longest)
  }
  await client.close()
  const [all, lists, parsing] = [median(samples.all), median(samples.lists), median(samples.parsing)]
  return {
    streams: STREAMS,
    costMs: all - parsing,
    readingMs: lists - parsing,
    comparingMs: all - lists,
    floorMs: median(samples.floor),
    parsingMs: parsing,
    longestBlockMs: median(samples.longest),
  }
}
