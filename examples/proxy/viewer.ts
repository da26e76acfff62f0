import type { ServerResponse } from 'node:http'
import { finished } from 'node:stream/promises'
import { CapacityError } from 'acestream-orchestrator-client'
import type { Content } from './content.ts'
import { ContentRefusedError, EngineError } from './engine-request.ts'
import type { Slot } from './engine-source.ts'
import { PlaybackAborted, playFrom, type ViewerParts, type Viewing } from './play.ts'

/** No engine could play the content: every engine that was tried failed. */
export class EnginesFailedError extends Error {
  override readonly name = 'EnginesFailedError'
}

/** Counts of viewers whose engine failed during a stream. */
export interface RescueFigures {
  /** Viewers who continued with another engine, in the same response. */
  rescued: number
  /** Viewers whose connection was closed. */
  cutOff: number
}

/** Maximum number of engines to try for a viewer. Two that fail take so long that a viewer would not wait for a third. */
const MAX_ENGINES = 2

/**
 * Serves one viewer from beginning to end.
 *
 * @param abortSignal aborts with a {@link PlaybackAborted} when the viewer disconnects or the proxy shuts down
 * @throws only before the first byte: an error of `acquireEngine`, {@link EnginesFailedError}, or {@link PlaybackAborted}
 */
export async function serveViewer(
  parts: ViewerParts & { figures: RescueFigures },
  content: Content,
  response: ServerResponse,
  abortSignal: AbortSignal,
): Promise<void> {
  const viewing: Viewing = { parts, content, response, abortSignal, pendingEnds: [] }
  try {
    await playFromAny(viewing, parts.figures)
    response.end()
    // The engine is done. Wait for the last byte to reach the viewer, or for the viewer to disconnect.
    await finished(response, { signal: abortSignal }).catch(() => undefined)
  } catch (error) {
    if (!response.headersSent) throw error
    // Close the connection without finishing the response, so that the player notices the failure and retries.
    response.destroy()
    if (error instanceof PlaybackAborted) return
    parts.figures.cutOff++
    parts.log.warn('A viewer was cut off', { content: content.key, error })
  } finally {
    await Promise.all(viewing.pendingEnds)
  }
}

/**
 * Plays from one engine, and from another if it fails. Before the first byte, a second engine is tried. During the stream, one more engine
 * is tried if the engine fails or the orchestrator loses it: players handle a jump in the stream better than a broken connection.
 */
async function playFromAny(viewing: Viewing, figures: RescueFigures): Promise<void> {
  const { parts, content, response, abortSignal } = viewing
  const failed: string[] = []
  let triesLeft = MAX_ENGINES
  let isRescue = false
  let refusal: ContentRefusedError | undefined
  for (;;) {
    await using slot = await acquire(parts, abortSignal, failed, refusal)
    const { containerId, host, port } = slot.engine
    try {
      return await playFrom(slot, viewing, isRescue ? () => figures.rescued++ : undefined)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      parts.log.warn('An engine failed', { engine: containerId || `${host}:${port}`, content: content.key, error })
      // Do not report a failure of the engine if the content is dead: three reports would eject a healthy engine.
      if (error instanceof ContentRefusedError) {
        refusal = error
        await slot.release()
      } else {
        await slot.fail(error, { key: content.key })
      }
      const hadPlayed = response.headersSent && !isRescue
      triesLeft = hadPlayed ? 1 : triesLeft - 1
      isRescue = response.headersSent
      // An engine without a container id comes from no orchestrator, so there is no other engine.
      if (!containerId || triesLeft === 0) throw new EnginesFailedError('no engine could play this content', { cause: error })
      failed.push(containerId)
    }
  }
}

/**
 * Acquires an engine. After one refused the content, another is tried only if it has room now: none is started for a content that is
 * probably dead.
 */
async function acquire(
  { source, capacityTimeoutMs }: ViewerParts,
  signal: AbortSignal,
  exclude: readonly string[],
  refusal: ContentRefusedError | undefined,
): Promise<Slot> {
  if (refusal === undefined) return source.acquireEngine({ signal, waitMs: capacityTimeoutMs, exclude })
  try {
    return await source.acquireEngine({ signal, waitMs: 0, provision: false, exclude })
  } catch (error) {
    if (error instanceof CapacityError) throw new EnginesFailedError('no engine could play this content', { cause: refusal })
    throw error
  }
}
