import { type Content, parseContent, parsePathContent } from './content.ts'
import type { Exchange, Route } from './routes.ts'
import { serveViewer, type ViewerParts } from './viewer.ts'
import type { Viewers } from './viewers.ts'

/** The paths that send the video of a content as MPEG-TS. */
export function videoRoutes(parts: ViewerParts, viewers: Viewers): readonly Route[] {
  const play = async (content: Content, { request, response, log }: Exchange): Promise<void> => {
    viewers.throwIfClosing()
    // Players request the content type first. That needs no engine.
    if (request.method === 'HEAD') return void response.writeHead(200, { 'content-type': 'video/mp2t' }).end()
    await viewers.admit(response, (viewer) => serveViewer({ ...parts, log }, content, viewer))
  }
  return [
    { path: '/ace/getstream', isCrossOrigin: true, serve: (exchange) => play(parseContent(exchange.query), exchange) },
    ...(['content_id', 'infohash'] as const).map((keyType) => ({
      path: `/${keyType}/:key`,
      isCrossOrigin: true,
      serve: (exchange: Exchange) => play(parsePathContent(keyType, exchange.parameters['key'] ?? '', exchange.query), exchange),
    })),
  ]
}
