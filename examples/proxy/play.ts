import type { EngineAddress, HostEngine, Logger } from 'acestream-orchestrator-client'
import { Broadcast } from './broadcast.ts'
import type { Content } from './content.ts'
import { EngineError } from './engine-request.ts'
import type { JoinOptions, SharedStream } from './engine-source.ts'
import { type EngineTimes, openPlayback, openSession, type Session, stopSession } from './playback.ts'

/** How a content is played. Times are in milliseconds. */
export interface PlayParts extends EngineTimes {
  scheme: 'http' | 'https'
  /** Time limit for the stop command of a session. */
  stopTimeoutMs: number
  /** How long a viewer may be slower than the video. */
  slowViewerTimeoutMs: number
  /** How long viewers get the same playlist of HLS before it is requested again. */
  playlistAgeMs: number
  log: Logger
}

/** What the viewers of a stream share: an open connection, or what is known of a playlist. */
export interface Shared {
  readonly session: Session
  /** Ends the playback, which is not needed any more or failed. */
  close(failure?: EngineError): void
}

/** A kind of video: MPEG-TS or HLS. */
export interface Medium<T extends Shared> {
  /** Path of the engine that opens a session. */
  readonly path: string
  /** Tells the streams of one content apart. */
  readonly variant?: string
  /** Connects to the video, and waits until it begins. */
  connect(session: Session, parts: PlayParts, signal: AbortSignal): Promise<T>
}

/** MPEG-TS: one response without an end, which is copied to all viewers. */
export const MPEG_TS: Medium<Broadcast> = {
  path: '/ace/getstream',
  async connect(session, parts, signal) {
    return new Broadcast(await openPlayback(session, { ...parts, signal }), session, parts.slowViewerTimeoutMs)
  },
}

/** Returns the options of `joinStream` that play a content. They depend on no viewer, because all viewers of the content share the stream. */
export function playbackOf<T extends Shared>(content: Content, parts: PlayParts, medium: Medium<T>): JoinOptions<T> {
  const { headerTimeoutMs, stopTimeoutMs, log } = parts
  const { keyType, key, parameters } = content
  return {
    keyType,
    key,
    variant: [medium.variant, parameters].filter((part) => part !== undefined).join('?') || undefined,
    async open(engine, { signal }) {
      try {
        return await open(engine, content, { parts, medium, signal })
      } catch (error) {
        if (!signal.aborted) log.warn('An engine failed', { engine: nameOf(engine), content: key, error })
        throw error
      }
    },
    async close(shared) {
      shared.close(new EngineError('the stream has ended', { reason: 'engine_lost' }))
      await stopSession(shared.session, stopTimeoutMs)
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
async function open<T extends Shared>(
  engine: EngineAddress,
  content: Content,
  { parts, medium, signal }: { parts: PlayParts; medium: Medium<T>; signal: AbortSignal },
) {
  signal.throwIfAborted()
  const session = await openSession(engine, content, { ...parts, path: medium.path })
  try {
    return { session: session.announced, playback: await medium.connect(session, parts, signal) }
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
