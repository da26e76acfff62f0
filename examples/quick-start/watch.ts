import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Engine, OpenedPlayback, OrchestratorClient } from 'acestream-orchestrator-client'

/** A video that an engine plays. */
export interface Playback {
  readonly video: Readable
  /** Stops the session on the engine. */
  stop(): Promise<void>
}

/** Opens a playback on an engine. Your own code; `examples/servers/open-playback.ts` is an example. */
export type OpenPlayback = (engine: Engine, infohash: string, signal: AbortSignal) => Promise<OpenedPlayback<Playback>>

/** Serves one viewer. Abort `signal` when the viewer leaves. */
export async function watch(
  orchestrator: OrchestratorClient,
  infohash: string,
  openPlayback: OpenPlayback,
  response: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<void> {
  await using stream = await orchestrator.openStream({
    keyType: 'infohash',
    key: infohash,
    open: (engine, context) => openPlayback(engine, infohash, context.signal),
    close: ({ stop }) => stop(),
    signal,
  })
  const { video } = stream.playback
  // The engine broke off: the viewer who comes back gets another one.
  video.once('error', (error) => signal.aborted || stream.fail(error))
  await pipeline(video, response, { signal: AbortSignal.any([signal, stream.lost]) })
}
