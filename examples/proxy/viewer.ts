import type { ServerResponse } from 'node:http'
import { finished } from 'node:stream/promises'
import { CapacityError } from 'acestream-orchestrator-client'
import type { Content } from './content.ts'
import { ContentRefusedError, EngineError } from './engine-request.ts'
import type { Slot } from './engine-source.ts'
import { Departure, playFrom, type ViewerParts, type Viewing } from './play.ts'

/** Every engine that was tried failed before its first byte. */
export class EnginesFailedError extends Error {
  override readonly name = 'EnginesFailedError'
}

/** What became of viewers whose engine failed in the midst of a stream. */
export interface RescueFigures {
  /** Went on with another engine, in the same response. */
  rescued: number
  /** Had their response broken off. */
  cutOff: number
}

/** One engine, and one more if it fails: a viewer who waited for two engines in vain will not wait for a third. */
const MAX_ENGINES = 2

/**
 * Serves one viewer from beginning to end.
 *
 * @param departure aborts with a {@link Departure} when the viewer is gone or the proxy shuts down
 * @throws before the first byte only: what `acquireEngine` throws, {@link EnginesFailedError}, the departure
 */
export async function serveViewer(
  parts: ViewerParts & { figures: RescueFigures },
  content: Content,
  response: ServerResponse,
  departure: AbortSignal,
): Promise<void> {
  const viewing: Viewing = { parts, content, response, departure, farewells: [] }
  try {
    await playFromAny(viewing, parts.figures)
    response.end()
    // Who leaves before the last byte has had all that an engine had to do with.
    await finished(response, { signal: departure }).catch(() => undefined)
  } catch (error) {
    if (!response.headersSent) throw error
    // Cut off, not finished properly: a player can tell the difference, and asks again.
    response.destroy()
    if (error instanceof Departure) return
    parts.figures.cutOff++
    parts.log.warn('A viewer was cut off', { content: content.key, error })
  } finally {
    await Promise.all(viewing.farewells)
  }
}

/**
 * Plays from one engine after the other. Up to the first byte a second one is tried; and once in the midst of the stream, when the engine
 * fails or the orchestrator says that it is gone: players take a jump in the stream better than a broken connection.
 */
async function playFromAny(viewing: Viewing, figures: RescueFigures): Promise<void> {
  const { parts, content, response, departure } = viewing
  const failed: string[] = []
  let triesLeft = MAX_ENGINES
  let isRescue = false
  let refusal: ContentRefusedError | undefined
  for (;;) {
    await using slot = await acquire(parts, departure, failed, refusal)
    const { containerId, host, port } = slot.engine
    try {
      return await playFrom(slot, viewing, isRescue ? () => figures.rescued++ : undefined)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      parts.log.warn('An engine failed', { engine: containerId || `${host}:${port}`, content: content.key, error })
      // The engine is not to blame for a dead channel: three tries of one would take a healthy engine from everybody.
      if (error instanceof ContentRefusedError) {
        refusal = error
        await slot.release()
      } else {
        await slot.fail(error, { key: content.key })
      }
      const hadPlayed = response.headersSent && !isRescue
      triesLeft = hadPlayed ? 1 : triesLeft - 1
      isRescue = response.headersSent
      // Without a container id there is no orchestrator behind it, and no other engine.
      if (!containerId || triesLeft === 0) throw new EnginesFailedError('no engine could play this content', { cause: error })
      failed.push(containerId)
    }
  }
}

/** After a refusal of the content another engine is tried only if there is one: none is started for a channel that is probably dead. */
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
