/**
 * Measures one stream, from the engine to the end, against the requests that it cannot do without: sent by hand, in the same run and to the
 * same server. Also measures the engine list, which most calls read first.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import ky from 'ky'
import { measure } from 'mitata'
import pLimit from 'p-limit'

/** Streams of one measurement over HTTP. */
const STREAMS = 1_500
/** Streams of one measurement in process. */
const STREAMS_IN_PROCESS = 5_000
/** Streams that one caller has in progress at once. */
const AT_ONCE = 32
/** Each side is measured this often, in turn. The fastest run counts: the others were disturbed. */
const ROUNDS = 5
const NANOSECONDS_PER_US = 1_000
const US_PER_MS = 1_000

/** What an operation costs, and what its floor costs; in microseconds. */
export interface Row {
  operation: string
  floor: string
  costUs: number
  floorUs: number
}

const QUIET = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, cacheTtlMs: 3_600_000 }
const SESSION = { playbackSessionId: 's', statUrl: 'http://e/stat', commandUrl: 'http://e/cmd' }

let count = 0

/** The bodies of the two requests of a stream, as small as the orchestrator accepts. */
function bodiesOf(id: string) {
  const { playbackSessionId, statUrl, commandUrl } = SESSION
  const started = {
    content_id: id,
    engine: { host: '127.0.0.1', port: 19_000 },
    stream: { key_type: 'infohash', key: id },
    session: { playback_session_id: playbackSessionId, stat_url: statUrl, command_url: commandUrl, is_live: 1 },
    labels: { stream_id: id },
  }
  return { started, ended: { content_id: id, stream_id: id, container_id: `stream:${id}` } }
}

/** The median time of one call, microseconds. */
async function medianUs(call: () => Promise<unknown>): Promise<number> {
  const { p50 } = await measure(async () => {
    await call()
  })
  return p50 / NANOSECONDS_PER_US
}

/** Measures a list that is fresh, and a start and an end without a network. */
export async function measureInProcess(): Promise<Row[]> {
  const fake = new FakeOrchestrator({ engines: 100 })
  const { apiKey } = fake
  const options = { apiKey, transport: fake, dialect: 'unversioned' as const, maxStreamsPerEngine: 1_000_000, ...QUIET }
  const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options })
  const engines = await client.listEngines()
  const engine = engines[0] ?? { host: '', port: 0 }
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  const post = (path: string, body: unknown) =>
    fake.request({ method: 'POST', url: new URL(path, 'http://orchestrator.test'), headers, body: JSON.stringify(body), timeoutMs: 3_000 })
  const listing = {
    operation: 'listEngines(), fresh, 100 engines',
    floor: 'an awaited async function',
    costUs: await medianUs(() => client.listEngines()),
    floorUs: await medianUs(async () => engines),
  }
  const ours = async (id: string): Promise<void> => {
    const started = await client.streamStarted({ keyType: 'infohash', key: id, session: SESSION, streamId: id, engine })
    await started.end()
  }
  const bare = async (id: string): Promise<void> => {
    const { started, ended } = bodiesOf(id)
    await post('/events/stream_started', { ...started, engine: { host: engine.host, port: engine.port } })
    await post('/events/stream_ended', ended)
  }
  const costs = await costsInTurn(ours, bare, { streams: STREAMS_IN_PROCESS, atOnce: 1 })
  const stream = {
    operation: 'a stream started and ended, in process',
    floor: 'its two requests by hand',
    costUs: fastest(costs, 'ours', 'wallUs'),
    floorUs: fastest(costs, 'bare', 'wallUs'),
  }
  await client.close()
  return [listing, stream]
}

interface Load {
  streams: number
  atOnce: number
}

interface Cost {
  cpuUs: number
  wallUs: number
}

/** Runs so many streams, some at a time, and returns the cost of one. */
async function costOf(stream: (id: string) => Promise<unknown>, { streams, atOnce }: Load): Promise<Cost> {
  const limit = pLimit(atOnce)
  const cpu = process.cpuUsage()
  const since = performance.now()
  count += streams
  const ids = Array.from({ length: streams }, (_, index) => `s${count - index}`)
  await Promise.all(ids.map((id) => limit(() => stream(id))))
  const wallUs = (performance.now() - since) * US_PER_MS
  const { user, system } = process.cpuUsage(cpu)
  return { cpuUs: (user + system) / streams, wallUs: wallUs / streams }
}

interface Costs {
  ours: Cost
  bare: Cost
}

/** Measures both sides in turn. */
async function costsInTurn(ours: (id: string) => Promise<void>, bare: (id: string) => Promise<void>, load: Load): Promise<Costs[]> {
  const costs: Costs[] = []
  for (let round = 0; round < ROUNDS; round += 1) costs.push({ ours: await costOf(ours, load), bare: await costOf(bare, load) })
  return costs
}

function fastest(costs: readonly Costs[], side: keyof Costs, cost: keyof Cost): number {
  return Math.min(...costs.map((round) => round[side][cost]))
}

/** The largest number of sockets that the server had open at once. */
async function mostSockets(server: ChildProcess): Promise<number> {
  server.send('sockets')
  const [{ most }] = (await once(server, 'message')) as [{ most: number }]
  return most
}

/** Measures acquire, start and end over loopback HTTP. The server is a process of its own: its work does not count. */
export async function measureOverHttp(): Promise<{ rows: Row[]; sockets: number }> {
  const server = fork(new URL('./bare-server.ts', import.meta.url))
  const [{ port }] = (await once(server, 'message')) as [{ port: number }]
  const baseUrl = `http://127.0.0.1:${port}`
  const options = { dialect: 'unversioned' as const, maxStreamsPerEngine: 1_000_000, watch: false, ...QUIET }
  const client = new OrchestratorClient({ baseUrl, apiKey: 'key-of-the-benchmark', ...options })
  const ours = async (id: string): Promise<void> => {
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({ keyType: 'infohash', key: id, session: SESSION, streamId: id })
    await stream.end()
  }
  const headers = { authorization: 'Bearer key-of-the-benchmark' }
  const bare = async (id: string): Promise<void> => {
    const { started, ended } = bodiesOf(id)
    await ky.post(`${baseUrl}/events/stream_started`, { json: started, headers }).json()
    await ky.post(`${baseUrl}/events/stream_ended`, { json: ended, headers }).json()
  }
  const load = { streams: STREAMS, atOnce: AT_ONCE }
  await costOf(ours, load)
  // Before the bare requests: they share the sockets of `fetch`.
  const sockets = await mostSockets(server)
  await costOf(bare, load)
  const costs = await costsInTurn(ours, bare, load)
  await client.close()
  server.disconnect()
  const rows = [
    {
      operation: 'acquire, start, end over HTTP: CPU of a stream',
      floor: 'two bare ky.post',
      costUs: fastest(costs, 'ours', 'cpuUs'),
      floorUs: fastest(costs, 'bare', 'cpuUs'),
    },
    {
      operation: `the same, wall, ${STREAMS} streams, ${AT_ONCE} at a time`,
      floor: `the bare requests through p-limit(${AT_ONCE})`,
      costUs: fastest(costs, 'ours', 'wallUs'),
      floorUs: fastest(costs, 'bare', 'wallUs'),
    },
  ]
  return { rows, sockets }
}
