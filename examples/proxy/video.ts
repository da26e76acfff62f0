import { type Content, parseContent, parsePathContent, withAlternatives } from './content.ts'
import type { Exchange, Route } from './routes.ts'
import type { Activity } from './status/activity.ts'
import { serveViewer, type ViewerParts } from './viewer.ts'
import type { Viewers } from './viewers.ts'

/** Sends a content, or its first alternative that is not dead. */
export type Play = (contents: readonly Content[], exchange: Exchange) => Promise<void>

/** The paths that name a content. */
export function contentRoutes(play: Play): readonly Route[] {
  return [
    contentRoute('/ace/getstream', play, ({ query }) => parseContent(query)),
    ...(['content_id', 'infohash'] as const).map((keyType) =>
      contentRoute(`/${keyType}/:key`, play, ({ parameters, query }) => parsePathContent(keyType, parameters['key'] ?? '', query)),
    ),
  ]
}

/** A path that names a content. */
export function contentRoute(path: string, play: Play, parse: (exchange: Exchange) => Content): Route {
  const serve = (exchange: Exchange): Promise<void> => play(withAlternatives(parse(exchange), exchange.query), exchange)
  return { path, isCrossOrigin: true, serve }
}

/** Sends contents as MPEG-TS. `activity` has the engine source. */
export function playVideo(parts: Omit<ViewerParts, 'source'>, activity: Activity, viewers: Viewers): Play {
  return async (contents, { request, response, client, log }) => {
    viewers.throwIfClosing()
    // Players request the content type first. That needs no engine.
    if (request.method === 'HEAD') return void response.writeHead(200, { 'content-type': 'video/mp2t' }).end()
    const source = activity.sourceFor(client)
    await viewers.admit(response, (viewer) => serveViewer({ ...parts, source, log }, contents, viewer))
  }
}
