/** Measures streams over loopback HTTP against their two requests, sent by hand with `ky` in the same run to the same server. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import ky from 'ky'
import { inTurn, severalAtOnce } from './frame/measure.ts'
import type { Figure, Group, KnownMiss, Row } from './frame/row.ts'
import { acquireAll, connect, QUIET } from './pools.ts'
import { bodiesOf, nextId, SESSION } from './stream-bodies.ts'

/** Streams of one measurement. */
const STREAMS = 1_500
/** Streams that are in progress at once: as many as the client has requests in flight. */
const AT_ONCE = 32
const ROUNDS = 7
const HEADERS = { authorization: 'Bearer key-of-the-benchmark' }

/** A server in a process of its own, so that its work does not count, with the client and the bare requests. */
async function overHttp() {
  const server = fork(new URL('./bare-server.ts', import.meta.url))
  const [{ port }] = (await once(server, 'message')) as [{ port: number }]
  const baseUrl = `http://127.0.0.1:${port}`
  const options = { dialect: 'unversioned' as const, maxStreamsPerEngine: 1_000_000, watch: false, ...QUIET }
  const client = new OrchestratorClient({ baseUrl, apiKey: 'key-of-the-benchmark', ...options })
  const ours = severalAtOnce(async () => {
    const lease = await client.acquireEngine()
    const id = nextId()
    const stream = await lease.startStream({ keyType: 'infohash', key: id, session: SESSION, streamId: id })
    await stream.end()
  }, AT_ONCE)
  const bare = severalAtOnce(async () => {
    const { started, ended } = bodiesOf(nextId())
    await ky.post(`${baseUrl}/events/stream_started`, { json: started, headers: HEADERS }).json()
    await ky.post(`${baseUrl}/events/stream_ended`, { json: ended, headers: HEADERS }).json()
  }, AT_ONCE)
  const mostSockets = async (): Promise<number> => {
    server.send('sockets')
    const [{ most }] = (await once(server, 'message')) as [{ most: number }]
    return most
  }
  return { ours, bare, mostSockets, close: () => server.disconnect() }
}

async function compare(clock: 'cpu' | 'wall'): Promise<Figure> {
  const { ours, bare, close } = await overHttp()
  const figure = await inTurn(ours, bare, { clock, size: STREAMS, rounds: ROUNDS })
  close()
  return figure
}

const HTTP_MISS: KnownMiss = {
  upTo: 1.6,
  because: `The event loop is busy for 96 to 99 % of the time. So the cost is work, not waiting: without the rule that a start waits for earlier
ends on its engine, the loop idles as little. The client's own code has 14 % of the time, garbage collection 15 %; the rest is mostly \`fetch\`.`,
}

const cpu: Row = {
  id: 'http-cpu',
  what: 'acquire, start and end over HTTP, 32 at a time: CPU time of a stream',
  peer: 'two bare ky.post',
  unit: 'µs',
  goal: 1.2,
  kind: 'timed',
  miss: HTTP_MISS,
  measure: () => compare('cpu'),
}

const wall: Row = {
  ...cpu,
  id: 'http-wall',
  what: 'the same: wall time, for each of 1,500 streams',
  peer: 'the bare requests through p-limit(32)',
  goal: 1.15,
  measure: () => compare('wall'),
}

const sockets: Row = {
  id: 'http-sockets',
  what: 'sockets that 1,500 streams use at once, 32 streams at a time',
  unit: 'sockets',
  goal: 32,
  kind: 'counted',
  async measure() {
    const { ours, mostSockets, close } = await overHttp()
    await ours(STREAMS)
    const cost = await mostSockets()
    close()
    return { cost }
  },
}

const VIEWERS = 200
const ENGINES = 100
const LIMIT = 2

/** 200 viewers that come at once, as many as there are slots. */
async function crowd() {
  const { client, fake } = await connect(ENGINES, { maxStreamsPerEngine: LIMIT })
  const before = fake.counters.requests.total
  await client.listEngines({ fresh: true })
  const leases = await acquireAll(VIEWERS, () => client.acquireEngine())
  return { requests: fake.counters.requests.total - before, leases }
}

const requests: Row = {
  id: 'requests-burst',
  what: 'requests until 200 viewers who come at once have an engine, of 100 engines with a limit of 2',
  unit: 'requests',
  goal: 1,
  kind: 'counted',
  measure: async () => ({ cost: (await crowd()).requests }),
}

const fullest: Row = {
  id: 'fullest-engine',
  what: 'viewers on the fullest of these engines',
  unit: 'viewers',
  goal: LIMIT,
  kind: 'counted',
  async measure() {
    const loads = new Map<string, number>()
    for (const { engine } of (await crowd()).leases) loads.set(engine.containerId, (loads.get(engine.containerId) ?? 0) + 1)
    return { cost: Math.max(...loads.values()) }
  },
}

export const requesting: Group = {
  title: 'Requests',
  about: `A stream needs two requests: its start and its end. They are sent over loopback HTTP to a server with an answer that is ready,
which runs in another process. The floor is the same two requests by \`ky\` without a client. What is above it pays for the order of the
requests, for retries and for bookkeeping. Engines are read once for all viewers.`,
  rows: [cpu, wall, sockets, requests, fullest],
}
