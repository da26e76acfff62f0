import { createRequire } from 'node:module'
import type { HttpHandler } from 'msw'
import type { PlatformUrl } from '../runtime/platform.ts'
import type { FakeOrchestrator } from './fake-orchestrator.ts'
import type { FakeResponse } from './http.ts'
import { loadMsw } from './msw.ts'
import { surfaceOf } from './transport-request.ts'

/** Number of messages of an event stream that are kept for a slow reader. It loses further ones, as with a real orchestrator. */
const UNREAD_MESSAGES = 16
const BODILESS_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

/**
 * Creates handlers for msw 3: a fake orchestrator responds to all requests to `baseUrl`, with its faults, its latency and the event stream
 * of v1. For tests of an application that creates its own client, and of the default transport.
 *
 * `fetch` sees all kinds of faults as on a real connection. If a connection fails, `fetch` rejects with a `TypeError`, and the
 * `code` of its cause is `ECONNREFUSED` (the request was certainly not processed) or `ECONNRESET`. msw has no
 * sockets: use `FakeOrchestrator.listen()` for tests of connections that must be closed or reused. The handlers have msw's type
 * `HttpHandler`; if msw is not installed, the types of this package compile without it.
 *
 * @example
 * import { createHandlers, FakeOrchestrator } from 'acestream-orchestrator-client/testing'
 * import { setupServer } from 'msw/node'
 *
 * const server = setupServer(...createHandlers(new FakeOrchestrator()))
 * server.listen({ onUnhandledFrame: 'error' })
 *
 * @param baseUrl - the base URL that the client uses; default `http://orchestrator.test`
 * @throws `InvalidArgumentError` if the optional peer dependency `msw` is not installed, or is older than 3
 */
export function createHandlers(fake: FakeOrchestrator, baseUrl: string | PlatformUrl = 'http://orchestrator.test'): HttpHandler[] {
  const { http, HttpResponse } = loadMsw(createRequire(import.meta.url))
  const { origin, pathname } = new URL(baseUrl)
  const prefix = pathname.replace(/\/+$/, '')
  const handler = http.all(`${origin}${prefix}/*`, async ({ request }) => {
    const url = new URL(request.url)
    try {
      const answer = await fake.handle({
        method: request.method,
        path: url.pathname.slice(prefix.length) + url.search,
        authorization: request.headers.get('authorization'),
        contentType: request.headers.get('content-type'),
        body: await request.text(),
        surface: surfaceOf(url),
        signal: request.signal,
      })
      const { status, headers } = answer
      return new HttpResponse(bodyOf(answer, request.signal), { status, headers })
    } catch (error) {
      // msw uses this error response as the cause with which `fetch` rejects. The code distinguishes a refused connection from a broken
      // one.
      return Object.assign(HttpResponse.error(), failureOf(error))
    }
  })
  return [handler]
}

/** Returns the code (`ECONNREFUSED`, `ECONNRESET`) and the message of the failed connection. */
function failureOf(error: unknown): { code?: unknown; message?: string } {
  const cause = error instanceof Error ? (error.cause ?? error) : undefined
  if (!(cause instanceof Error)) return {}
  return { ...('code' in cause && { code: cause.code }), message: cause.message }
}

function bodyOf({ status, body, subscribe }: FakeResponse, signal: AbortSignal): string | ReadableStream<Uint8Array> | null {
  if (BODILESS_STATUSES.has(status)) return null
  if (subscribe === undefined) return body
  const encoder = new TextEncoder()
  let stop = (): void => {}
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const unsubscribe = subscribe({
          onText: (text) => {
            if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(text))
          },
          onEnd: () => {
            signal.removeEventListener('abort', stop)
            controller.close()
          },
        })
        stop = () => {
          signal.removeEventListener('abort', stop)
          unsubscribe()
        }
        signal.addEventListener('abort', stop, { once: true })
      },
      cancel: () => stop(),
    },
    { highWaterMark: UNREAD_MESSAGES },
  )
}
