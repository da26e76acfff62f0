import type { Writable } from 'node:stream'
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import { Broadcast } from './broadcast.ts'
import type { OpenPlayback } from './watch.ts'

/** Serves one viewer from the engine session that all viewers of this content share. Abort `signal` when the viewer leaves. */
export async function watchTogether(
  orchestrator: OrchestratorClient,
  infohash: string,
  openPlayback: OpenPlayback,
  response: Writable,
  signal: AbortSignal,
): Promise<void> {
  await using viewer = await orchestrator.joinStream({
    keyType: 'infohash',
    key: infohash,
    async open(engine, context) {
      const { session, playback } = await openPlayback(engine, infohash, context.signal)
      return { session, playback: new Broadcast(playback) }
    },
    close: (broadcast) => broadcast.stop(),
    signal,
  })
  const { stream, isFirst } = viewer
  // The first viewer starts the copying, which goes on when this viewer has left.
  if (isFirst) {
    stream.playback.run().then(
      (isComplete) => void (isComplete && stream.end('finished')),
      (error) => void stream.fail(error),
    )
  }
  await stream.playback.copyTo(response, AbortSignal.any([signal, stream.lost]))
}
