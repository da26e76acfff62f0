import { createServer, type Server } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import { openPlayback } from './open-playback.ts'

/** A proxy on node:http: `GET /ace/getstream?infohash=…`. */
export function createProxy(orchestrator: OrchestratorClient): Server {
  return createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://proxy')
    const infohash = searchParams.get('infohash')
    if (request.method !== 'GET' || pathname !== '/ace/getstream') return void response.writeHead(404).end()
    if (!infohash) return void response.writeHead(400).end()
    const viewer = new AbortController()
    response.once('close', () => viewer.abort())
    try {
      await using stream = await orchestrator.openStream({
        keyType: 'infohash',
        key: infohash,
        open: (engine, { signal }) => openPlayback(engine, infohash, signal),
        close: ({ stop }) => stop(),
        signal: viewer.signal,
      })
      response.writeHead(200, { 'content-type': 'video/mp2t' })
      const { video } = stream.playback
      video.once('error', (error) => viewer.signal.aborted || stream.fail(error)) // the engine broke off
      await pipeline(video, response, { signal: stream.lost })
    } catch (error) {
      if (!viewer.signal.aborted) console.error(error)
      const { retryAfterMs = 5_000 } = error as { retryAfterMs?: number }
      if (!response.headersSent) response.writeHead(503, { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) }).end()
    }
  })
}
