import { createRequire } from 'node:module'
import type { FakeOrchestrator } from './fake-orchestrator.ts'
import type { FakeResponse } from './http.ts'
import { surfaceOf } from './transport-request.ts'

/**
 * msw is an optional peer: the rest of the test kit must load without it, with `import` and with `require`. So it is loaded when it is
 * needed, and at once, which only `require` can.
 */
function loadMsw(): typeof import('msw') {
  try {
    return createRequire(import.meta.url)('msw') as typeof import('msw')
  } catch (cause) {
    throw new Error('createHandlers needs msw 3: npm install --save-dev msw', { cause })
  }
}

/** As many messages of an event stream as are kept for a slow reader; it loses the rest, as the original's do. */
const UNREAD_MESSAGES = 16
const BODILESS_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

/**
 * Handlers for msw 3 that let a fake orchestrator answer whatever goes to `baseUrl`, its faults and latency included. For tests
 * of a host that builds its own client, or of the client's own transport.
 *
 * @example
 * import { createHandlers, FakeOrchestrator } from 'acestream-orchestrator-client/testing'
 * import { setupServer } from 'msw/node'
 *
 * const server = setupServer(...createHandlers(new FakeOrchestrator()))
 * server.listen({ onUnhandledFrame: 'error' })
 *
 * @typeParam Handler - msw's `HttpHandler`, where it must be named: this package's own types do not depend on msw
 * @param baseUrl - where the client believes the orchestrator to be; default `http://orchestrator.test`
 * @throws if the optional peer dependency `msw` is not installed
 */
export function createHandlers<Handler = never>(fake: FakeOrchestrator, baseUrl: string | URL = 'http://orchestrator.test'): Handler[] {
  const { http, HttpResponse } = loadMsw()
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
    } catch {
      // No answer: msw's way of a broken connection.
      return HttpResponse.error()
    }
  })
  return [handler as Handler]
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
