/**
 * Measures the memory that a client keeps after very many streams have started and ended: the ids of the ended streams that it remembers, and
 * whatever else it may keep. The orchestrator is a function that answers and keeps nothing, so the growth is the client's.
 */
import { OrchestratorClient, type Transport } from 'acestream-orchestrator-client'
import pLimit from 'p-limit'

/** Streams before the first measurement: the engine compiles the code, and all buffers have their size. */
const STREAMS_BEFORE = 1_000
const AT_ONCE = 32
/** The default of the option `endedRetentionMax`. */
export const REMEMBERED = 100_000
const ENGINES = 17
const SESSION = { playbackSessionId: 's', statUrl: 'http://e/stat', commandUrl: 'http://e/cmd' }

/** The memory after all streams have ended, bytes. */
export interface HeapGrowth {
  readonly streams: number
  /** Growth of the heap and of the buffers outside it. */
  readonly bytes: number
  /** Growth for each id that is remembered, with its own text. */
  readonly bytesPerId: number
}

const engines = JSON.stringify(
  Array.from({ length: ENGINES }, (_, index) => ({ container_id: `c${index}`, host: '10.0.0.1', port: 19_000 + index, streams: [] })),
)

function answer(path: string, body: string | undefined): string {
  if (path.endsWith('/engines')) return engines
  if (body === undefined) return '[]'
  const { content_id: id, stream_id: ended } = JSON.parse(body) as { content_id: string; stream_id?: string }
  if (ended !== undefined) return JSON.stringify({ updated: true, stream: { id: ended } })
  return JSON.stringify({ id, container_id: 'c1', started_at: '2026-01-01T00:00:00.123456Z' })
}

const transport: Transport = {
  request: async ({ url, body }) => ({ status: 200, headers: new Headers(), body: answer(url.pathname, body) }),
}

/** Bytes in use, once all garbage is collected. */
async function usedBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    await new Promise((resolve) => setImmediate(resolve))
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The growth of the heap after so many streams. Needs `--expose-gc` and a new process. */
export async function heapGrowth(streams: number): Promise<HeapGrowth> {
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    transport,
    dialect: 'unversioned',
    maxStreamsPerEngine: 100,
  })
  let count = 0
  const play = async (): Promise<void> => {
    count += 1
    const streamId = `s${count}`
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({ keyType: 'infohash', key: streamId, session: SESSION, streamId })
    await stream.end()
  }
  const limit = pLimit(AT_ONCE)
  const playAll = async (streams: number): Promise<void> => {
    for (let left = streams; left > 0; left -= STREAMS_BEFORE) {
      await Promise.all(Array.from({ length: Math.min(left, STREAMS_BEFORE) }, () => limit(play)))
      // Answers that come at once never let the event loop turn, so timers and the end of the parent process would not be noticed.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  /** Bytes in use after the next engine list: until then the client also remembers which ids the last list may still show. */
  const usedAfterList = async (): Promise<number> => {
    await client.listEngines({ fresh: true })
    return usedBytes()
  }
  await playAll(STREAMS_BEFORE)
  const before = await usedAfterList()
  await playAll(streams)
  const bytes = (await usedAfterList()) - before
  await client.close()
  return { streams, bytes, bytesPerId: bytes / REMEMBERED }
}
