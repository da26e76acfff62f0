import { finished } from 'node:stream'
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import fastify, { type FastifyInstance } from 'fastify'
import { openPlayback } from './open-playback.ts'

const querystring = { type: 'object', required: ['infohash'], properties: { infohash: { type: 'string', minLength: 1 } } }

/** A proxy on Fastify: `GET /ace/getstream?infohash=…`. */
export function createProxy(orchestrator: OrchestratorClient): FastifyInstance {
  const app = fastify()
  // Without a route for HEAD, which would open a session.
  const route = { schema: { querystring }, exposeHeadRoute: false }
  app.get<{ Querystring: { infohash: string } }>('/ace/getstream', route, async ({ query: { infohash } }, reply) => {
    const viewer = new AbortController()
    reply.raw.once('close', () => viewer.abort())
    const stream = await orchestrator.openStream({
      keyType: 'infohash',
      key: infohash,
      open: (engine, { signal }) => openPlayback(engine, infohash, signal),
      close: ({ stop }) => stop(),
      signal: viewer.signal,
    })
    const { video } = stream.playback
    // The video is over, the viewer has left, or the engine broke off.
    finished(video, (error) => void (error && !viewer.signal.aborted ? stream.fail(error) : stream.end()))
    stream.lost.addEventListener('abort', () => video.destroy(stream.lost.reason))
    return reply.type('video/mp2t').send(video)
  })
  app.setErrorHandler<Error & { retryAfterMs?: number; validation?: unknown }>((error, request, reply) => {
    if (error.validation) return reply.code(400).send()
    if (!request.raw.destroyed) console.error(error)
    return reply
      .code(503)
      .header('retry-after', Math.ceil((error.retryAfterMs ?? 5_000) / 1_000))
      .send()
  })
  return app
}
