import { getEventListeners } from 'node:events'
import { delay, HttpResponse, http } from 'msw'
import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ConnectionError, MalformedResponseError, RequestTimeoutError } from '../../src/errors.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import type { TransportRequest } from '../../src/runtime/transport.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

const BASE = 'http://orchestrator.test:8000'
const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const get = (path: string, options: Partial<TransportRequest> = {}): TransportRequest => ({
  method: 'GET',
  url: new URL(path, BASE),
  headers: { accept: 'application/json' },
  timeoutMs: 3_000,
  ...options,
})
const rejection = async (promise: Promise<unknown>): Promise<unknown> => {
  const outcome = await promise.then(
    () => new Error('expected a rejection'),
    (error: unknown) => ({ error }),
  )
  if (outcome instanceof Error) throw outcome
  return outcome.error
}

test('a request and its answer arrive unchanged', async () => {
  const seen: unknown[] = []
  server.use(
    http.post(`${BASE}/events/stream_ended`, async ({ request }) => {
      seen.push(
        request.method,
        request.url,
        request.headers.get('authorization'),
        request.headers.get('content-type'),
        await request.text(),
      )
      return HttpResponse.text('{"status":"ended"}', { status: 200, headers: { 'x-answer': 'yes' } })
    }),
  )
  const headers = { accept: 'application/json', 'content-type': 'application/json', authorization: 'Bearer testkey' }
  const answer = await new KyTransport().request(get('/events/stream_ended?a=%2F', { method: 'POST', headers, body: '{"x":"ü"}' }))
  expect(seen).toStrictEqual(['POST', `${BASE}/events/stream_ended?a=%2F`, 'Bearer testkey', 'application/json', '{"x":"ü"}'])
  expect(answer).toStrictEqual({ status: 200, headers: expect.any(Headers), body: '{"status":"ended"}' })
  expect(answer.headers.get('x-answer')).toBe('yes')
})

test.each([200, 204, 304, 401, 404, 408, 413, 429, 500, 502, 503, 504])(
  'status %i is returned as an answer, and the request is sent once',
  async (status) => {
    let requests = 0
    server.use(
      http.get(`${BASE}/x`, () => {
        requests++
        return new HttpResponse(status === 204 || status === 304 ? null : 'why', { status, headers: { 'retry-after': '1' } })
      }),
    )
    expect(await new KyTransport().request(get('/x'))).toMatchObject({ status, body: status === 204 || status === 304 ? '' : 'why' })
    expect(requests).toBe(1)
  },
)

test('every method of the protocol can be sent', async () => {
  server.use(http.all(`${BASE}/x`, ({ request }) => HttpResponse.text(request.method)))
  const bodies = ['GET', 'POST', 'DELETE'] as const
  for (const method of bodies) expect(await new KyTransport().request(get('/x', { method }))).toMatchObject({ body: method })
})

test('a redirect is returned as an answer, and its target gets no request', async () => {
  const requestsElsewhere: string[] = []
  server.use(
    http.get(`${BASE}/x`, () => new HttpResponse('moved', { status: 307, headers: { location: 'http://elsewhere.test/steal' } })),
    http.all('http://elsewhere.test/*', ({ request }) => {
      requestsElsewhere.push(request.url)
      return HttpResponse.json([])
    }),
  )
  expect(await new KyTransport().request(get('/x'))).toMatchObject({ status: 307 })
  expect(requestsElsewhere).toStrictEqual([])
})

test('a body of more than 8 MiB is rejected, and the rest is cancelled', async () => {
  const chunk = new Uint8Array(64 * 1_024).fill(32)
  let pulled = 0
  let isCancelled = false
  const endless = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      pull: (controller) => {
        pulled += chunk.byteLength
        controller.enqueue(chunk.slice())
      },
      cancel: () => {
        isCancelled = true
      },
    })
  server.use(http.get(`${BASE}/x`, () => new HttpResponse(endless())))
  const error = await rejection(new KyTransport().request(get('/x')))
  expect(error).toBeInstanceOf(MalformedResponseError)
  expect(error).toMatchObject({ status: 200 })
  await expect.poll(() => isCancelled).toBe(true)
  expect(pulled).toBeLessThan(9 * 1_024 * 1_024)
})

test('a body of exactly 8 MiB is read', async () => {
  server.use(http.get(`${BASE}/x`, () => HttpResponse.text(' '.repeat(8 * 1_024 * 1_024))))
  expect((await new KyTransport().request(get('/x'))).body).toHaveLength(8 * 1_024 * 1_024)
})

describe('the time-out, measured on the given clock,', () => {
  test.each([
    ['gets no answer', () => delay('infinite').then(() => HttpResponse.json([]))],
    [
      'gets a body that does not end',
      () => new HttpResponse(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([91])) })),
    ],
  ])('ends a request that %s after exactly 5 s', async (_, respond) => {
    server.use(http.get(`${BASE}/x`, respond))
    const clock = new ManualClock()
    let error: unknown
    void rejection(new KyTransport({ clock }).request(get('/x', { timeoutMs: 5_000 }))).then((reason) => (error = reason))
    await clock.advance(4_999)
    expect(error).toBeUndefined()
    await clock.advance(1)
    expect(error).toBeInstanceOf(RequestTimeoutError)
    expect(error).toMatchObject({ timeoutMs: 5_000, message: `GET ${BASE}/x: no complete answer within 5000 ms` })
    expect(clock.pendingCount).toBe(0)
  })
})

describe('an abort by the caller', () => {
  test('rejects an unanswered request with its reason, and leaves no listener and no timer', async () => {
    server.use(http.get(`${BASE}/x`, () => delay('infinite')))
    const clock = new ManualClock()
    const controller = new AbortController()
    const failed = rejection(new KyTransport({ clock }).request(get('/x', { signal: controller.signal })))
    await clock.settle()
    const reason = { why: 'left' }
    controller.abort(reason)
    expect(await failed).toBe(reason)
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    expect(clock.pendingCount).toBe(0)
  })

  test('rejects a request whose body is arriving, cancels the body and leaves no listener', async () => {
    const cancelled = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const body = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        pull: (controller) => {
          controller.enqueue(new Uint8Array([91]))
          started.resolve()
          return new Promise(() => {})
        },
        cancel: () => cancelled.resolve(),
      })
    server.use(http.get(`${BASE}/x`, () => new HttpResponse(body())))
    const clock = new ManualClock()
    const controller = new AbortController()
    const failed = rejection(new KyTransport({ clock }).request(get('/x', { signal: controller.signal })))
    await started.promise
    await clock.settle()
    controller.abort('left')
    expect(await failed).toBe('left')
    await cancelled.promise
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })

  test('rejects the request before it is sent, if the signal is aborted already', async () => {
    // No handler: a request would fail with another error.
    expect(await rejection(new KyTransport().request(get('/x', { signal: AbortSignal.abort('gone') })))).toBe('gone')
  })

  test('leaves no listener and no timer if it never comes and the request is answered', async () => {
    server.use(http.get(`${BASE}/x`, () => HttpResponse.json([])))
    const clock = new ManualClock()
    const { signal } = new AbortController()
    await new KyTransport({ clock }).request(get('/x', { signal }))
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(clock.pendingCount).toBe(0)
  })
})

test('a failed connection is not retried, and rejects with a ConnectionError that holds no request and no key', async () => {
  let requests = 0
  server.use(
    http.get(`${BASE}/x`, () => {
      requests++
      return HttpResponse.error()
    }),
  )
  const error = await rejection(new KyTransport().request(get('/x', { headers: { Authorization: 'Bearer testkey' } })))
  expect(error).toBeInstanceOf(ConnectionError)
  expect(requests).toBe(1)
  for (let link: unknown = error; link instanceof Error; link = link.cause) {
    expect(link).not.toHaveProperty('request')
    expect(String(link.stack)).not.toContain('testkey')
  }
})

test('a connection that breaks within the body rejects with a ConnectionError: the request may have been processed', async () => {
  const body = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start: (controller) => controller.enqueue(new Uint8Array([91])),
      pull: (controller) => controller.error(new Error('broken')),
    })
  server.use(http.get(`${BASE}/x`, () => new HttpResponse(body(), { headers: { 'content-length': '2' } })))
  const error = await rejection(new KyTransport({ clock: new ManualClock() }).request(get('/x')))
  expect(error).toBeInstanceOf(ConnectionError)
  expect(error).toMatchObject({ maybeProcessed: true })
})

test('a key that no header can hold is not quoted in the error', async () => {
  const error = await rejection(new KyTransport().request(get('/x', { headers: { authorization: 'Bearer test\nkey' } })))
  expect(error).toBeInstanceOf(ConnectionError)
  for (let link: unknown = error; link instanceof Error; link = link.cause) expect(`${link.message}${link.stack}`).not.toMatch(/test\s*key/)
})
