import { pipeline } from 'node:stream/promises'
import type { Engine, OrchestratorClient, StreamStart } from 'acestream-orchestrator-client'

/** Opens a playback on an engine: returns the session for the orchestrator, and the video. Your own code. */
export type OpenPlayback = (engine: Engine, infohash: string) => Promise<{ session: StreamStart['session']; video: NodeJS.ReadableStream }>

/** Serves one viewer. Abort `signal` when the viewer leaves. */
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
