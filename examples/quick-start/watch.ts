import { pipeline } from 'node:stream/promises'
import type { Engine, OrchestratorClient, StreamStart } from 'acestream-orchestrator-client'

/** The host's own call to the engine: what it answered, and the video. */
export type OpenPlayback = (engine: Engine, infohash: string) => Promise<{ session: StreamStart['session']; video: NodeJS.ReadableStream }>

/** Serves one viewer. `signal` aborts when the viewer has left. */
export async function watch(
  orchestrator: OrchestratorClient,
  infohash: string,
  openPlayback: OpenPlayback,
  response: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<void> {
  await using lease = await orchestrator.acquireEngine({ signal })
  const { session, video } = await openPlayback(lease.engine, infohash)
  await using stream = await lease.startStream({ keyType: 'infohash', key: infohash, session }, { signal })
  await pipeline(video, response, { signal })
  await stream.end('finished')
}
