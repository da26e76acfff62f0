import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { finished } from 'node:stream/promises'
import { firstAlive } from './alternatives.ts'
import type { Broadcast, WatchOptions } from './broadcast.ts'
import type { Content } from './content.ts'
import { EngineError } from './engine-request.ts'
import type { EngineSource } from './engine-source.ts'
import { MPEG_TS, oversee, type PlayParts, playbackOf } from './play.ts'

/** A playback was aborted: its viewer disconnected, or the proxy shuts down. `reason` is also sent in the end event. */
export class PlaybackAborted extends Error {
  override readonly name = 'PlaybackAborted'
  readonly reason: string

  constructor(reason: string) {
    super(`The playback was aborted: ${reason}`)
    this.reason = reason
  }
}

/** The parts and settings that serve a viewer. */
export interface ViewerParts extends PlayParts {
  source: EngineSource
  /** How long a viewer waits for a free slot. */
  capacityTimeoutMs: number
  /** How long a stream continues without viewers. */
  lingerMs: number
  figures: RescueFigures
}

/** Counts of viewers whose video did not just run to its end. */
export interface RescueFigures {
  /** Viewers who continued with another engine, in the same response. */
  rescued: number
  /** Viewers whose connection was closed, because their engine failed. */
  cutOff: number
  /** Viewers whose connection was closed, because they read too slowly. */
  tooSlow: number
}

/** Maximum number of streams that one viewer joins in a row: a second one if the first fails. */
const MAX_STREAMS = 2

/** A viewer, and how its playback is ended. */
export interface Viewer {
  readonly response: ServerResponse
  /** Aborts with a {@link PlaybackAborted} when the viewer disconnects, is dropped, or the proxy shuts down. */
  readonly signal: AbortSignal
  /** Ends the playback of this viewer for this reason. */
  readonly drop: (reason: string) => void
}

/**
 * Serves one viewer from beginning to end, with the first content that is not dead.
 *
 * @throws only before the first byte: an error of `joinStream`, {@link EngineError}, or {@link PlaybackAborted}
 */
export async function serveViewer(parts: ViewerParts, contents: readonly Content[], viewer: Viewer): Promise<void> {
  const { response, signal } = viewer
  const { slowViewerTimeoutMs, figures, log } = parts
  const content = contents[0]?.key
  const drop = (): void => {
    if (signal.aborted) return
    figures.tooSlow++
    log.warn('A viewer was dropped: it reads too slowly', { content, slowViewerTimeoutMs })
    viewer.drop('slow_viewer')
  }
  try {
    await playToEnd(parts, contents, response, { signal, drop })
    response.end()
    // The engine is done. Wait for the last byte to reach the viewer, or for the viewer to disconnect.
    response.setTimeout(slowViewerTimeoutMs, drop)
    await finished(response, { signal }).catch(() => undefined)
    if (signal.aborted) response.destroy()
  } catch (error) {
    if (!response.headersSent) throw signal.aborted ? signal.reason : error
    // Close the connection without finishing the response, so that the player notices the failure and retries.
    response.destroy()
    if (signal.aborted) return
    figures.cutOff++
    log.warn('A viewer was cut off', { content, error })
  }
}

/**
 * Joins the stream of the content. If the stream fails or is lost, joins it again, in the same response: players handle a jump in the
 * stream better than a broken connection. All its viewers do so, and share the next engine. A stream that sent video for `idleTimeoutMs` or
 * longer counts as the first one: a viewer who watches for hours may lose several engines.
 */
async function playToEnd(parts: ViewerParts, contents: readonly Content[], response: ServerResponse, options: WatchOptions): Promise<void> {
  const { source, capacityTimeoutMs: waitMs, lingerMs, idleTimeoutMs, figures, log } = parts
  const { signal } = options
  for (let streams = 1; ; streams++) {
    const joined = await firstAlive(contents, async (content) => {
      const viewer = await source.joinStream({ ...playbackOf(content, parts, MPEG_TS), waitMs, lingerMs, signal })
      if (viewer.isFirst) void oversee(viewer.stream, content, log)
      return viewer
    })
    const { playback, lost } = joined.stream
    if (response.headersSent) figures.rescued++
    let reason = 'completed'
    const joinedAt = performance.now()
    let lastDataAt = joinedAt
    const onData = (): void => {
      lastDataAt = performance.now()
    }
    try {
      return await copyVideo(playback, response, { ...options, onData })
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      reason = error.reason
      if (lastDataAt - joinedAt >= idleTimeoutMs) streams = 1
      if (streams === MAX_STREAMS) throw error
      // Before `lost` aborts, a join would return the failed stream.
      if (!lost.aborted) await once(lost, 'abort', { signal })
    } finally {
      await joined.leave(signal.reason instanceof PlaybackAborted ? signal.reason.reason : reason)
    }
  }
}

/** Copies the video to the viewer. Not with `pipeline()`: it would end the response, which another engine may continue. */
async function copyVideo(
  broadcast: Broadcast,
  response: ServerResponse,
  { onData, ...options }: WatchOptions & { onData: () => void },
): Promise<void> {
  for await (const chunk of broadcast.watch(options)) {
    onData()
    if (!response.headersSent) response.writeHead(200, { 'content-type': broadcast.contentType, 'cache-control': 'no-store' })
    if (!response.write(chunk)) await once(response, 'drain', { signal: options.signal })
  }
}
