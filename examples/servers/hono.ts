import { finished, Readable } from 'node:stream'
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import { Hono } from 'hono'
import { openPlayback } from './open-playback.ts'

/** A proxy on Hono: `GET /ace/getstream?infohash=…`. Serve it on Node with `@hono/node-server`. */
export function createProxy(orchestrator: OrchestratorClient): Hono {
  const app = new Hono()
  app.get('/ace/getstream', async (context) => {
    const infohash = context.req.query('infohash')
    if (!infohash) return context.body(null, 400)
    // Hono sends HEAD here too. It needs no session.
    if (context.req.method === 'HEAD') return context.body(null, 200, { 'content-type': 'video/mp2t' })
    const { signal } = context.req.raw // aborts when the viewer leaves
    const stream = await orchestrator.openStream({
      keyType: 'infohash',
      key: infohash,
      open: (engine, opening) => openPlayback(engine, infohash, opening.signal),
      close: ({ stop }) => stop(),
      signal,
    })
    const { video } = stream.playback
    // The video is over, the viewer has left, or the engine broke off.
    finished(video, (error) => void (error && !signal.aborted ? stream.fail(error) : stream.end()))
    stream.lost.addEventListener('abort', () => video.destroy(stream.lost.reason))
    return context.body(Readable.toWeb(video) as ReadableStream, 200, { 'content-type': 'video/mp2t' })
  })
  app.onError((error, context) => {
    if (!context.req.raw.signal.aborted) console.error(error)
    const { retryAfterMs = 5_000 } = error as { retryAfterMs?: number }
    return context.body(null, 503, { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) })
  })
  return app
}
