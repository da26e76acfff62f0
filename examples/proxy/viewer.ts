import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Logger } from 'acestream-orchestrator-client'
import type { Content } from './content.ts'
import { EngineError } from './engine-request.ts'
import type { EngineSource, Slot } from './engine-source.ts'
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

/** Every engine that was tried failed before its first byte. */
export class EnginesFailedError extends Error {
  override readonly name = 'EnginesFailedError'
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

/** One engine, and one more if it fails: a viewer who waited for two engines in vain will not wait for a third. */
const MAX_ENGINES = 2

/**
 * Serves one viewer from beginning to end.
 *
 * @param departure aborts with a {@link Departure} when the viewer is gone or the proxy shuts down
 * @throws before the first byte only: what `acquireEngine` throws, {@link EnginesFailedError}, the departure
 */
export async function serveViewer(parts: ViewerParts, content: Content, response: ServerResponse, departure: AbortSignal): Promise<void> {
  const failed: string[] = []
  const causes: unknown[] = []
  while (causes.length < MAX_ENGINES) {
    const { source, capacityTimeoutMs: waitMs, log } = parts
    await using slot = await source.acquireEngine({ signal: departure, waitMs, exclude: failed })
    const { containerId, host, port } = slot.engine
    try {
      await serveFrom(slot, parts, content, response, departure)
      return
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      log.warn('An engine failed', { engine: containerId || `${host}:${port}`, error })
      await slot.fail(error)
      causes.push(error)
      if (response.headersSent) return
      if (!containerId) break // an engine without an orchestrator: there is no other
      failed.push(containerId)
    }
  }
  throw new EnginesFailedError('no engine could play this content', { cause: causes.at(-1) })
}

/** Serves a viewer from one engine. */
async function serveFrom(
  slot: Slot,
  parts: ViewerParts,
  content: Content,
  response: ServerResponse,
  departure: AbortSignal,
): Promise<void> {
  const { scheme, headerTimeoutMs, idleTimeoutMs, stopTimeoutMs } = parts
  const session = await openSession(slot.engine, content, { scheme, headerTimeoutMs, signal: departure })
  let playback: Playback
  try {
    playback = await openPlayback(session, { headerTimeoutMs, idleTimeoutMs, signal: departure })
  } catch (error) {
    const stopped = stopSession(session, stopTimeoutMs)
    // The next engine does not wait for one that hangs; whoever is gone has time, and leaves the slot as it was found.
    if (!(error instanceof EngineError)) await stopped
    throw error
  }
  try {
    await play(slot, playback, session, { parts, content, response, departure })
  } finally {
    playback.close()
  }
}

interface Play {
  parts: ViewerParts
  content: Content
  response: ServerResponse
  departure: AbortSignal
}

/**
 * Announced only now that it plays: a start that the orchestrator refuses, and a stream that never was, both led to ends that hit
 * others. Ended only after the engine let go of it, so that whoever gets the slot next finds the engine with room.
 */
async function play(slot: Slot, playback: Playback, session: Session, { parts, content, response, departure }: Play): Promise<void> {
  const { stopTimeoutMs, log } = parts
  let reason = 'completed'
  try {
    await using stream = await slot.startStream({ ...content, session: session.announced }, { signal: departure })
    const over = new AbortController()
    const leave = (): void => over.abort(departure.reason)
    const lose = (): void => over.abort(new Departure('engine_lost'))
    departure.addEventListener('abort', leave, { once: true })
    stream.lost.addEventListener('abort', lose, { once: true })
    if (departure.aborted) leave()
    if (stream.lost.aborted) lose()
    try {
      response.writeHead(200, { 'content-type': playback.contentType, 'cache-control': 'no-store' })
      await pipeline(playback.chunks, response, { signal: over.signal })
    } catch (error) {
      reason = error instanceof EngineError ? 'engine_failed' : reasonOf(over.signal)
      // Cut off, not finished properly: a player can tell the difference, and tries again.
      response.destroy()
      if (error instanceof EngineError) throw error
    } finally {
      departure.removeEventListener('abort', leave)
      stream.lost.removeEventListener('abort', lose)
      playback.close()
      await stopSession(session, stopTimeoutMs)
      const { outcome } = await stream.end(reason)
      log.debug('A stream is over', { streamId: stream.id, reason, outcome })
    }
  } catch (error) {
    // The start was refused, or aborted: `startStream` has seen to the orchestrator, the engine is ours to tell.
    if (!response.headersSent) {
      playback.close()
      await stopSession(session, stopTimeoutMs)
    }
    throw error
  }
}

function reasonOf(signal: AbortSignal): string {
  return signal.reason instanceof Departure ? signal.reason.reason : 'client_disconnected'
}
