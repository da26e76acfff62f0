import type { EngineAddress, HostEngine, Logger } from 'acestream-orchestrator-client'
import { Broadcast } from './broadcast.ts'
import type { Content } from './content.ts'
import { EngineError } from './engine-request.ts'
import type { JoinOptions, SharedStream } from './engine-source.ts'
import { type EngineTimes, openPlayback, openSession, stopSession } from './playback.ts'

/** How a content is played. Times are in milliseconds. */
export interface PlayParts extends EngineTimes {
  scheme: 'http' | 'https'
  /** Time limit for the stop command of a session. */
  stopTimeoutMs: number
  /** How long a viewer may be slower than the video. */
  slowViewerTimeoutMs: number
  log: Logger
}

/** Returns the options of `joinStream` that play a content. They depend on no viewer, because all viewers of the content share the stream. */
export function playbackOf(content: Content, parts: PlayParts): JoinOptions<Broadcast> {
  const { headerTimeoutMs, stopTimeoutMs, log } = parts
  const { keyType, key, parameters } = content
  return {
    keyType,
    key,
    variant: parameters,
    async open(engine, { signal }) {
      try {
        return await openBroadcast(engine, content, parts, signal)
      } catch (error) {
        if (!signal.aborted) log.warn('An engine failed', { engine: nameOf(engine), content: key, error })
        throw error
      }
    },
    async close(broadcast) {
      broadcast.close(new EngineError('the stream has ended', { reason: 'engine_lost' }))
      await stopSession(broadcast.session, stopTimeoutMs)
    },
    // `open` has its own, shorter limits, whose errors say more.
    openTimeoutMs: 2 * headerTimeoutMs + 2 * stopTimeoutMs,
    // An engine that hangs answers the request for a session when nobody waits for it any more. Keep its slot until the session is stopped.
    playbackCloseTimeoutMs: headerTimeoutMs + 2 * stopTimeoutMs,
  }
}

/**
 * Opens a session, and connects to its video. If that fails, or `signal` aborts, the session is stopped. The request for the session is
 * never aborted: the engine would still open it, nothing could stop it, and with the next stream the engine would be over its limit.
 */
async function openBroadcast(engine: EngineAddress, content: Content, parts: PlayParts, signal: AbortSignal) {
  signal.throwIfAborted()
  const session = await openSession(engine, content, parts)
  try {
    const playback = await openPlayback(session, { ...parts, signal })
    return { session: session.announced, playback: new Broadcast(playback, session, parts.slowViewerTimeoutMs) }
  } catch (error) {
    await stopSession(session, parts.stopTimeoutMs)
    throw error
  }
}

/** Ends a stream for all its viewers when the video ends or fails. Closes the video when the client reports the stream as lost. */
export async function oversee(stream: SharedStream<Broadcast>, { key }: Content, log: Logger): Promise<void> {
  const { playback, lost } = stream
  // Stop reading at once, even if the engine still sends. The client calls `close` a moment later: it writes to its store first.
  const stopReading = (): void => playback.close(new EngineError('the engine is gone', { reason: 'engine_lost', cause: lost.reason }))
  lost.addEventListener('abort', stopReading, { once: true })
  if (lost.aborted) stopReading()
  const failure = await playback.finished
  if (failure === undefined) return void (await stream.end('completed'))
  log.warn('An engine failed', { streamId: stream.id, content: key, error: failure })
  await stream.fail(failure)
}

function nameOf({ containerId, host, port }: HostEngine): string {
  return containerId || `${host}:${port}`
}
