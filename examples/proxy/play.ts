import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Logger } from 'acestream-orchestrator-client'
import type { Content } from './content.ts'
import { EngineError } from './engine-request.ts'
import type { EngineSource, LiveStream, Slot } from './engine-source.ts'
import { type EngineTimes, openPlayback, openSession, type Playback, type Session, stopSession } from './playback.ts'

/** A playback was aborted: the viewer disconnected, or the proxy shuts down. `reason` is also sent in the end event. */
export class PlaybackAborted extends Error {
  override readonly name = 'PlaybackAborted'
  readonly reason: string

  constructor(reason: string) {
    super(`The playback was aborted: ${reason}`)
    this.reason = reason
  }
}

/** The parts and settings that serve a viewer. */
export interface ViewerParts extends EngineTimes {
  source: EngineSource
  scheme: 'http' | 'https'
  capacityTimeoutMs: number
  /** Time limit for the stop command of a session. */
  stopTimeoutMs: number
  log: Logger
}

/** The playback of one viewer. */
export interface Viewing {
  readonly parts: ViewerParts
  readonly content: Content
  readonly response: ServerResponse
  /** Aborts with a {@link PlaybackAborted} when the viewer disconnects or the proxy shuts down. */
  readonly abortSignal: AbortSignal
  /** Ends on failed engines that are still in progress while the viewer continues on another engine. */
  readonly pendingEnds: Promise<void>[]
}

/**
 * Plays to a viewer from one engine until the video ends. Never ends the response, because another engine may continue it.
 *
 * @param onPlaying called once the first bytes have arrived and the stream is announced
 * @throws {@link EngineError} if the engine fails or is lost, {@link PlaybackAborted}, or an error of `startStream`
 */
export async function playFrom(slot: Slot, viewing: Viewing, onPlaying?: () => void): Promise<void> {
  const { parts, content, abortSignal } = viewing
  const { headerTimeoutMs, idleTimeoutMs, stopTimeoutMs } = parts
  const session = await openCompletely(slot, viewing)
  let playback: Playback
  try {
    playback = await openPlayback(session, { headerTimeoutMs, idleTimeoutMs, signal: abortSignal })
  } catch (error) {
    const stopped = stopSession(session, stopTimeoutMs)
    // After an engine failure the viewer waits for the next engine, so do not wait for the stop. Otherwise wait: the slot must be free of
    // sessions.
    if (!(error instanceof EngineError)) await stopped
    throw error
  }
  let stream: LiveStream
  try {
    // Announce the stream only after it plays. The end of a stream that never started could end another viewer's stream (H3).
    stream = await slot.startStream({ ...content, session: session.announced }, { signal: abortSignal })
  } catch (error) {
    // The start was rejected or aborted. `startStream` has informed the orchestrator; stop the session on the engine here.
    playback.close()
    await stopSession(session, stopTimeoutMs)
    throw error
  }
  onPlaying?.()
  await watch(stream, playback, session, viewing)
}

/**
 * Opens a session, and stops it again if the viewer left meanwhile. The request is not aborted: the engine would still open the session,
 * the proxy could not stop it, and with the next viewer of the slot the engine would be over its limit.
 */
async function openCompletely(slot: Slot, { parts, content, abortSignal }: Viewing): Promise<Session> {
  const { scheme, headerTimeoutMs, stopTimeoutMs } = parts
  abortSignal.throwIfAborted()
  const session = await openSession(slot.engine, content, { scheme, headerTimeoutMs }).catch((error: unknown) => {
    abortSignal.throwIfAborted()
    throw error
  })
  if (abortSignal.aborted) await stopSession(session, stopTimeoutMs)
  abortSignal.throwIfAborted()
  return session
}

async function watch(stream: LiveStream, playback: Playback, session: Session, viewing: Viewing): Promise<void> {
  const { response, abortSignal, pendingEnds } = viewing
  let failure: unknown
  try {
    // The slot of a lost stream is already free. Stop playing, even if the engine still sends: the next viewer may use the slot.
    const stopSignal = AbortSignal.any([abortSignal, stream.lost])
    stopSignal.throwIfAborted()
    if (!response.headersSent) response.writeHead(200, { 'content-type': playback.contentType, 'cache-control': 'no-store' })
    await copyVideo(playback, response, stopSignal)
  } catch (error) {
    failure = toFailure(error, abortSignal, stream.lost)
  }
  playback.close()
  const reason = failure instanceof EngineError || failure instanceof PlaybackAborted ? failure.reason : 'completed'
  const ended = endStream(stream, session, reason, viewing.parts)
  pendingEnds.push(ended)
  if (failure === undefined) return ended
  throw failure
}

/** Copies the video to the viewer. Not with `pipeline()`: it would end the response, which another engine may continue. */
async function copyVideo(playback: Playback, response: ServerResponse, stopSignal: AbortSignal): Promise<void> {
  stopSignal.addEventListener('abort', playback.close, { once: true })
  try {
    for await (const chunk of playback.chunks) {
      stopSignal.throwIfAborted()
      if (!response.write(chunk)) await once(response, 'drain', { signal: stopSignal })
    }
  } finally {
    stopSignal.removeEventListener('abort', playback.close)
  }
}

/**
 * Stops the session and then ends the stream: the end frees the slot, and the engine must have room for the next viewer by then. Does not
 * wait for the delivery of the end: in an outage the client retries it for up to an hour. `close()` reports undelivered ends.
 */
async function endStream(stream: LiveStream, session: Session, reason: string, { stopTimeoutMs, log }: ViewerParts): Promise<void> {
  await stopSession(session, stopTimeoutMs)
  void stream.end(reason).then(({ outcome }) => log.debug('A stream ended', { streamId: stream.id, reason, outcome }))
}

/** Finds the cause of a failed playback. A disconnected viewer comes first: other failures no longer matter then. */
function toFailure(error: unknown, abortSignal: AbortSignal, lost: AbortSignal): EngineError | PlaybackAborted {
  if (abortSignal.aborted)
    return abortSignal.reason instanceof PlaybackAborted ? abortSignal.reason : new PlaybackAborted('client_disconnected')
  if (lost.aborted) return new EngineError('the engine is gone', { reason: 'engine_lost', cause: lost.reason })
  return error instanceof EngineError ? error : new PlaybackAborted('client_disconnected')
}
