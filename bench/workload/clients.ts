/** Three clients that choose engines for viewers: this one, and two that a proxy author might write with `ky`. */
import { OrchestratorClient, type Transport } from 'acestream-orchestrator-client'
import { seededRandom } from 'acestream-orchestrator-client/testing'
import type { KyInstance } from 'ky'
import { QUIET } from '../pools.ts'
import { bodiesOf, SESSION } from '../stream-bodies.ts'

/** How to reach the orchestrator. */
export interface Wire {
  readonly baseUrl: string
  readonly apiKey: string
  /** For the clients that send their requests by hand. */
  readonly http: KyInstance
  /** For this client. @default that of the package */
  readonly transport?: Transport
}

/** Chooses an engine for a viewer and starts a stream on it. Returns how to end the stream. */
type Play = (viewer: string) => Promise<() => Promise<unknown>>

interface ListedEngine {
  readonly container_id: string
  readonly host: string
  readonly port: number
  readonly streams: readonly string[]
}

const LIST_TTL_MS = 1_000

function thisClient({ baseUrl, apiKey, transport }: Wire, limit: number): Play {
  const options = { ...QUIET, maxStreamsPerEngine: limit, dialect: 'unversioned' as const, watch: false }
  const client = new OrchestratorClient({ baseUrl, apiKey, ...(transport === undefined ? {} : { transport }), ...options })
  return async (viewer) => {
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({ keyType: 'infohash', key: viewer, session: SESSION, streamId: viewer })
    return () => stream.end()
  }
}

async function startByHand({ baseUrl, http }: Wire, viewer: string, { host, port }: ListedEngine) {
  const { started, ended } = bodiesOf(viewer, { host, port })
  await http.post(`${baseUrl}/events/stream_started`, { json: started }).json()
  return () => http.post(`${baseUrl}/events/stream_ended`, { json: ended }).json()
}

/** For each viewer, reads the engines, and then the streams of each, one after the other, as the Go client does. Takes the engine with the fewest. */
function countForEachViewer(wire: Wire): Play {
  const { baseUrl, http } = wire
  return async (viewer) => {
    let best: ListedEngine | undefined
    let fewest = Number.POSITIVE_INFINITY
    for (const engine of await http.get(`${baseUrl}/engines`).json<ListedEngine[]>()) {
      const searchParams = { container_id: engine.container_id, status: 'started' }
      const { length } = await http.get(`${baseUrl}/streams`, { searchParams }).json<unknown[]>()
      if (length >= fewest) continue
      best = engine
      fewest = length
    }
    if (best === undefined) throw new Error('The orchestrator lists no engine')
    return startByHand(wire, viewer, best)
  }
}

/** Reads the engines once a second for all viewers. Takes one of those that have the fewest streams in that list, at random. */
function cacheWithoutReservations(wire: Wire): Play {
  const { baseUrl, http } = wire
  const random = seededRandom(1)
  let list: Promise<ListedEngine[]> | undefined
  let readAt = Number.NEGATIVE_INFINITY
  return async (viewer) => {
    if (list === undefined || performance.now() - readAt > LIST_TTL_MS) {
      readAt = performance.now()
      list = http.get(`${baseUrl}/engines`).json<ListedEngine[]>()
    }
    const engines = await list
    const fewest = Math.min(...engines.map(({ streams }) => streams.length))
    const best = engines.filter(({ streams }) => streams.length === fewest)
    const engine = best[Math.floor(random() * best.length)]
    if (engine === undefined) throw new Error('The orchestrator lists no engine')
    return startByHand(wire, viewer, engine)
  }
}

/** The clients by what they do. */
export const CLIENTS: Readonly<Record<string, (wire: Wire, limit: number) => Play>> = {
  'this client': thisClient,
  'lists and counts for each viewer': countForEachViewer,
  'cache without reservations': cacheWithoutReservations,
}
