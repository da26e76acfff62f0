import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Logger } from 'acestream-orchestrator-client'
import type { Content } from './content.ts'
import { EngineError } from './engine-request.ts'
import type { EngineSource, LiveStream, Slot } from './engine-source.ts'
import { type EngineTimes, openPlayback, openSession, type Playback, type Session, stopSession } from './playback.ts'

/** Why a viewer's playback was cut off; also what the orchestrator is told. */
export class Departure extends Error {
  override readonly name = 'Departure'
  readonly reason: string

  constructor(reason: string) {
    super(`The playback is over: ${reason}`)
    this.reason = reason
  }
}

/** What serving a viewer takes. */
export interface ViewerParts extends EngineTimes {
  source: EngineSource
  scheme: 'http' | 'https'
  capacityTimeoutMs: number
  /** How long an engine may take to acknowledge that a session is over. */
  stopTimeoutMs: number
  log: Logger
}

/** A viewer who is being served. */
export interface Viewing {
  readonly parts: ViewerParts
  readonly content: Content
  readonly response: ServerResponse
  /** Aborts with a {@link Departure} when the viewer is gone or the proxy shuts down. */
  readonly departure: AbortSignal
  /** Engines that are being told that it is over, while the viewer goes on elsewhere. */
  readonly farewells: Promise<void>[]
}

/**
 * Plays to a viewer from one engine, to the end. The response stays open whatever happens: another engine may go on with it.
 *
 * @param onPlaying called when the first bytes are there and the stream has been announced
 * @throws {@link EngineError} where the engine failed or is lost, the {@link Departure}, or what `startStream` throws
 */
export async function playFrom(slot: Slot, viewing: Viewing, onPlaying?: () => void): Promise<void> {
  const { parts, content, departure } = viewing
  const { headerTimeoutMs, idleTimeoutMs, stopTimeoutMs } = parts
  const session = await openUncut(slot, viewing)
  let playback: Playback
  try {
    playback = await openPlayback(session, { headerTimeoutMs, idleTimeoutMs, signal: departure })
  } catch (error) {
    const stopped = stopSession(session, stopTimeoutMs)
    // The next engine does not wait for one that hangs; whoever is gone has time, and leaves the slot as it was found.
    if (!(error instanceof EngineError)) await stopped
    throw error
  }
  let stream: LiveStream
  try {
    // Announced only now that it plays: a start that the orchestrator refuses, and a stream that never was, both led to ends that hit others.
    stream = await slot.startStream({ ...content, session: session.announced }, { signal: departure })
  } catch (error) {
    // Refused, or aborted: `startStream` has seen to the orchestrator, the engine is ours to tell.
    playback.close()
    await stopSession(session, stopTimeoutMs)
    throw error
  }
  onPlaying?.()
  await watch(stream, playback, session, viewing)
}

/**
 * Opens a session, and closes it again if the viewer left meanwhile. Hanging up on the engine would not do: it opens the session all the same,
 * nobody could stop it, and whoever got the slot next would be one too many there.
 */
async function openUncut(slot: Slot, { parts, content, departure }: Viewing): Promise<Session> {
  const { scheme, headerTimeoutMs, stopTimeoutMs } = parts
  departure.throwIfAborted()
  const session = await openSession(slot.engine, content, { scheme, headerTimeoutMs }).catch((error: unknown) => {
    departure.throwIfAborted()
    throw error
  })
  if (departure.aborted) await stopSession(session, stopTimeoutMs)
  departure.throwIfAborted()
  return session
}

async function watch(stream: LiveStream, playback: Playback, session: Session, viewing: Viewing): Promise<void> {
  const { response, departure, farewells } = viewing
  let failure: unknown
  try {
    // A lost stream's slot went back with it. Whatever the engine still sends, it must not be watched beside whoever is put there next.
    const over = AbortSignal.any([departure, stream.lost])
    over.throwIfAborted()
    if (!response.headersSent) response.writeHead(200, { 'content-type': playback.contentType, 'cache-control': 'no-store' })
    await pass(playback, response, over)
  } catch (error) {
    failure = toFailure(error, departure, stream.lost)
  }
  playback.close()
  const reason = failure instanceof EngineError || failure instanceof Departure ? failure.reason : 'completed'
  const toldOff = sayGoodbye(stream, session, reason, viewing.parts)
  farewells.push(toldOff)
  if (failure === undefined) return toldOff
  throw failure
}

/** Passes the video through. `pipeline()` would not do: it ends the response with its source, and another engine is to go on with it. */
async function pass(playback: Playback, response: ServerResponse, over: AbortSignal): Promise<void> {
  over.addEventListener('abort', playback.close, { once: true })
  try {
    for await (const chunk of playback.chunks) {
      over.throwIfAborted()
      if (!response.write(chunk)) await once(response, 'drain', { signal: over })
    }
  } finally {
    over.removeEventListener('abort', playback.close)
  }
}

/**
 * Ended only after the engine let go of it, so that whoever gets the slot next finds the engine with room. The end itself is not waited
 * for: in an outage it stays in the client's queue for up to an hour. `close()` tells what became of it.
 */
async function sayGoodbye(stream: LiveStream, session: Session, reason: string, { stopTimeoutMs, log }: ViewerParts): Promise<void> {
  await stopSession(session, stopTimeoutMs)
  void stream.end(reason).then(({ outcome }) => log.debug('A stream is over', { streamId: stream.id, reason, outcome }))
}

/** Who has left comes first: it matters to nobody any more what else was wrong. */
function toFailure(error: unknown, departure: AbortSignal, lost: AbortSignal): EngineError | Departure {
  if (departure.aborted) return departure.reason instanceof Departure ? departure.reason : new Departure('client_disconnected')
  if (lost.aborted) return new EngineError('the engine is gone', { reason: 'engine_lost', cause: lost.reason })
  return error instanceof EngineError ? error : new Departure('client_disconnected')
}
