import { HttpResponse, http } from 'msw'
import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { ConnectionError } from '../../src/errors.ts'
import { loadNodeRequest } from '../../src/runtime/ky-exchange.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { failureOf } from '../support/setup.ts'

const BASE = 'http://orchestrator.test:8000'
const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const connect = (signal?: AbortSignal, base = BASE) =>
  new KyTransport().stream({
    method: 'GET',
    url: new URL('/events/stream', base),
    headers: { accept: 'text/event-stream', authorization: 'Bearer testkey' },
    timeoutMs: 3_000,
    ...(signal === undefined ? {} : { signal }),
  })

const bytes = (text: string) => new TextEncoder().encode(text)

describe.each([
  ['with node:http', undefined],
  [
    'without node:http, as in a browser',
    () => {
      throw new Error('no such module')
    },
  ],
  ['with an empty module in place of node:http, as some bundlers have it', () => ({ default: {} })],
] as const)('an event stream %s', (name, module) => {
  beforeAll(() => {
    if (module === undefined) return
    for (const name of ['node:http', 'node:https']) vi.doMock(name, module)
  })
  afterAll(() => {
    for (const name of ['node:http', 'node:https']) vi.doUnmock(name)
  })

  test('uses node:http exactly if that module can be loaded', async () => {
    const expected = name === 'with node:http' ? 'function' : 'undefined'
    expect([typeof (await loadNodeRequest('http:')), typeof (await loadNodeRequest('https:'))]).toEqual([expected, expected])
  })

  test.each([BASE, 'https://orchestrator.test'])('arrives in pieces from %s, with its status and headers', async (base) => {
    const seen: unknown[] = []
    server.use(
      http.get(`${base}/events/stream`, ({ request }) => {
        seen.push(request.headers.get('accept'), request.headers.get('authorization'))
        const body = new ReadableStream<Uint8Array>({
          start(controller) {
            controller.enqueue(bytes('one '))
            controller.enqueue(bytes('two'))
            controller.close()
          },
        })
        return new HttpResponse(body, { headers: { 'content-type': 'text/event-stream' } })
      }),
    )
    const { status, headers, body } = await connect(undefined, base)
    let text = ''
    for await (const piece of body) text += typeof piece === 'string' ? piece : new TextDecoder().decode(piece)
    expect([status, headers.get('content-type'), text]).toEqual([200, 'text/event-stream', 'one two'])
    expect(seen).toEqual(['text/event-stream', 'Bearer testkey'])
  })

  test('rejects with the reason of an abort, and cancels the rest of the body', async () => {
    const cancelled = Promise.withResolvers<void>()
    server.use(
      http.get(`${BASE}/events/stream`, () => {
        const body = new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(bytes('one')),
          cancel: () => cancelled.resolve(),
        })
        return new HttpResponse(body)
      }),
    )
    const abort = new AbortController()
    const { body } = await connect(abort.signal)
    const pieces = body[Symbol.asyncIterator]()
    expect((await pieces.next()).done).toBe(false)
    const next = failureOf(pieces.next())
    abort.abort('left')
    expect(await next).toBe('left')
    await cancelled.promise
  })

  test('rejects with a ConnectionError that does not show the key if it cannot be opened', async () => {
    server.use(http.get(`${BASE}/events/stream`, () => HttpResponse.error()))
    const error = await failureOf(connect())
    expect(error).toBeInstanceOf(ConnectionError)
    expect(JSON.stringify(error) + String(error)).not.toContain('testkey')
  })

  test('rejects without showing the key if no header can hold that key', async () => {
    const url = new URL('/events/stream', BASE)
    const error = await failureOf(
      new KyTransport().stream({ method: 'GET', url, headers: { authorization: 'Bearer test\nkey' }, timeoutMs: 1 }),
    )
    expect(error).toBeInstanceOf(ConnectionError)
    for (let link: unknown = error; link instanceof Error; link = link.cause)
      expect(`${link.message}${link.stack}`).not.toMatch(/test\s*key/)
  })
})
