import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished } from 'node:stream/promises'
import { refuse } from './answers.ts'
import { parseContent } from './content.ts'
import type { EngineSource } from './engine-source.ts'
import type { HlsChannel } from './hls-channel.ts'
import type { HlsChannels } from './hls-channels.ts'
import type { HlsFile } from './hls-file.ts'
import { MAIN } from './hls-playback.ts'
import { checkPace } from './pace.ts'
import { formatPlaylist, type Playlist } from './playlist.ts'
import type { Exchange, Route } from './routes.ts'
import type { Activity } from './status/activity.ts'
import { contentRoute, type Play } from './video.ts'
import type { RescueFigures, Viewer } from './viewer.ts'
import type { Viewers } from './viewers.ts'

/** The parts and settings that serve HLS. */
export interface HlsRouteParts {
  channels: HlsChannels
  viewers: Viewers
  /** Has the engine source. */
  activity: Activity
  figures: RescueFigures
  /** How long a viewer may let a file wait, in all. */
  slowViewerTimeoutMs: number
  /** How long a viewer counts after its last request. */
  hlsTimeoutMs: number
}

const CONTENT_TYPE = 'application/vnd.apple.mpegurl'
const NOT_FOUND = { status: 404, reason: 'not_found', error: 'the session has no such file; request the playlist again' }

/** The paths of HLS: the playlist of a content, and the files that it names. */
export function hlsRoutes(parts: HlsRouteParts): readonly Route[] {
  const playlist = contentRoute('/ace/manifest.m3u8', playHls(parts), ({ query }) => parseContent(query))
  return [
    { ...playlist, isFrequent: true },
    { path: '/hls/:token/:file', isCrossOrigin: true, isFrequent: true, serve: (exchange) => sendFile(parts, exchange) },
  ]
}

/** Sends the playlists of contents. */
export function playHls({ channels, viewers, activity, hlsTimeoutMs }: HlsRouteParts): Play {
  return async (contents, { request, response, client }) => {
    viewers.throwIfClosing()
    if (request.method === 'HEAD') return void response.writeHead(200, { 'content-type': CONTENT_TYPE }).end()
    await viewers.admit(response, ({ signal }) =>
      channels.use(contents, async (channel) => {
        const playlist = await playlistOf(channel, MAIN, activity.sourceFor(client, hlsTimeoutMs), signal)
        activity.visit(channel.playback, client, hlsTimeoutMs)
        // Relative URLs are right behind every reverse proxy.
        sendPlaylist(response, playlist, `${pathToRoot(request)}hls/${channel.token}/`)
      }),
    )
  }
}

async function sendFile(
  { channels, viewers, activity, ...parts }: HlsRouteParts,
  { request, response, client, parameters }: Exchange,
): Promise<void> {
  viewers.throwIfClosing()
  const channel = channels.find(parameters['token'] ?? '')
  const name = parameters['file'] ?? ''
  if (channel === undefined) return refuse(response, NOT_FOUND)
  // Some players ask whether a segment exists. That needs no engine.
  if (request.method === 'HEAD') return void response.writeHead(channel.has(name) ? 200 : 404).end()
  await viewers.admit(response, (viewer) =>
    channel.use(async () => {
      activity.visit(channel.playback, client, parts.hlsTimeoutMs)
      if (/^\d+\.m3u8$/.test(name)) {
        const source = activity.sourceFor(client, parts.hlsTimeoutMs)
        return sendPlaylist(response, await playlistOf(channel, name, source, viewer.signal), '')
      }
      const file = channel.file(name)
      if (file === undefined) return refuse(response, NOT_FOUND)
      await copyFile(file, viewer, parts)
    }),
  )
}

async function playlistOf(channel: HlsChannel, name: string, source: EngineSource, signal: AbortSignal): Promise<Playlist | undefined> {
  try {
    return await channel.playlist(name, source, signal)
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}

function sendPlaylist(response: ServerResponse, playlist: Playlist | undefined, prefix: string): void {
  if (playlist === undefined) {
    refuse(response, NOT_FOUND)
    return
  }
  const text = formatPlaylist(playlist, prefix)
  const headers = { 'content-type': CONTENT_TYPE, 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' }
  response.writeHead(200, headers).end(text)
}

/**
 * Copies a file to the viewer. A viewer who lets data wait for longer than `slowViewerTimeoutMs` in all is dropped, also if it reads a little
 * now and then: it holds the file, of which there are few, and the session.
 */
async function copyFile(
  file: HlsFile,
  { response, signal, drop }: Viewer,
  { slowViewerTimeoutMs, figures }: Pick<HlsRouteParts, 'slowViewerTimeoutMs' | 'figures'>,
): Promise<void> {
  const isDataWaiting = (): boolean => response.writableLength > 0
  const endChecks = checkPace(slowViewerTimeoutMs, isDataWaiting, () => {
    figures.tooSlow++
    drop('slow_viewer')
  })
  try {
    for await (const chunk of file.read(signal)) {
      if (!response.headersSent) response.writeHead(200, { 'content-type': file.contentType, 'cache-control': 'no-store' })
      if (!response.write(chunk)) await once(response, 'drain', { signal })
    }
    response.end()
    await finished(response, { signal })
  } catch (error) {
    if (!response.headersSent) throw signal.aborted ? signal.reason : error
    // Close the connection without finishing the response, so that the player notices that the file is not complete.
    response.destroy()
  } finally {
    endChecks()
  }
}

/** The relative URL of the path before all routes. Each path of a content has two segments, and perhaps a slash at its end. */
function pathToRoot({ url = '' }: IncomingMessage): string {
  return url.replace(/[?#].*/s, '').endsWith('/') ? '../../' : '../'
}
