import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { ConnectionError, RequestTimeoutError } from '../../src/errors.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { failureOf } from '../support/setup.ts'

const open: Server[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of open.splice(0)) await new Promise((resolve) => server.close(resolve))
})

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener)
  server.on('connection', (socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(server)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  return new URL(`http://127.0.0.1:${address.port}/events/stream`)
}

const connect = (url: URL, options: { clock?: ManualClock; signal?: AbortSignal } = {}) => {
  const { clock, signal } = options
  const headers = { accept: 'text/event-stream', authorization: 'Bearer testkey' }
  const transport = new KyTransport(clock === undefined ? {} : { clock })
  return transport.stream({
    method: 'GET',
    url,
    headers,
    timeoutMs: clock === undefined ? 600_000 : 1_000,
    ...(signal === undefined ? {} : { signal }),
  })
}

const connectionClosed = (request: IncomingMessage): Promise<void> =>
  new Promise((resolve) => request.socket.once('close', () => resolve()))

async function textOf(body: AsyncIterable<string | Uint8Array>): Promise<string> {
  let text = ''
  for await (const piece of body) text += typeof piece === 'string' ? piece : new TextDecoder().decode(piece)
  return text
}

test('a streamed answer resolves with its headers, and its body arrives in pieces as it is sent', async () => {
  const sent = Promise.withResolvers<() => void>()
  const url = await serve((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-key': String(request.headers.authorization) })
    response.write('one ')
    sent.resolve(() => void response.end('two'))
  })
  const { status, headers, body } = await connect(url)
  expect([status, headers.get('content-type'), headers.get('x-key')]).toEqual([200, 'text/event-stream', 'Bearer testkey'])
  const text = textOf(body)
  const end = await sent.promise
  end()
  expect(await text).toBe('one two')
})

test('the time-out covers the headers, not the body', async () => {
  const clock = new ManualClock()
  const url = await serve((_, response) => void response.write('one'))
  const { body } = await connect(url, { clock })
  expect(clock.pendingCount).toBe(0)
  await clock.advance(60_000)
  const pieces = body[Symbol.asyncIterator]()
  expect((await pieces.next()).done).toBe(false)
  await pieces.return?.()
})

test('headers that do not arrive within the time-out reject the request', async () => {
  const clock = new ManualClock()
  const received = Promise.withResolvers<IncomingMessage>()
  const url = await serve((request) => received.resolve(request))
  const abort = new AbortController()
  const failure = failureOf(connect(url, { clock, signal: abort.signal }))
  const closed = connectionClosed(await received.promise)
  await clock.advance(1_000)
  expect(await failure).toBeInstanceOf(RequestTimeoutError)
  abort.abort()
  await closed
})

describe('an abort', () => {
  test('closes the connection while the body is read', async () => {
    const abort = new AbortController()
    const received = Promise.withResolvers<IncomingMessage>()
    const url = await serve((request, response) => {
      response.write('one')
      received.resolve(request)
    })
    const { body } = await connect(url, { signal: abort.signal })
    const reading = failureOf(textOf(body))
    const closed = connectionClosed(await received.promise)
    abort.abort('left')
    expect(await reading).toBe('left')
    await closed
  })

  test('closes the connection while the body is not read', async () => {
    const abort = new AbortController()
    const received = Promise.withResolvers<IncomingMessage>()
    const url = await serve((request, response) => {
      response.writeHead(404).write('not found')
      received.resolve(request)
    })
    expect((await connect(url, { signal: abort.signal })).status).toBe(404)
    const closed = connectionClosed(await received.promise)
    abort.abort('left')
    await closed
  })

  test('closes the connection before the headers arrived', async () => {
    const abort = new AbortController()
    const received = Promise.withResolvers<IncomingMessage>()
    const url = await serve((request) => received.resolve(request))
    const failure = failureOf(connect(url, { signal: abort.signal }))
    const closed = connectionClosed(await received.promise)
    abort.abort('left')
    expect(await failure).toBe('left')
    await closed
  })
})

test('a reader that stops reading closes the connection', async () => {
  const received = Promise.withResolvers<IncomingMessage>()
  const url = await serve((request, response) => {
    response.write('one')
    received.resolve(request)
  })
  const { body } = await connect(url)
  const closed = connectionClosed(await received.promise)
  for await (const _ of body) break
  await closed
  expect(sockets[0]?.destroyed).toBe(true)
})

test('a connection that breaks within the body makes the read reject', async () => {
  const url = await serve((_, response) => void response.write('one', () => response.destroy()))
  const { body } = await connect(url)
  expect(await failureOf(textOf(body))).toBeInstanceOf(Error)
})

test('a refused connection rejects with a ConnectionError that does not show the key', async () => {
  const url = await serve(() => {})
  await new Promise((resolve) => open.pop()?.close(resolve))
  const error = await failureOf(connect(url))
  expect(error).toBeInstanceOf(ConnectionError)
  expect(JSON.stringify(error) + String(error)).not.toContain('testkey')
})

test('a redirect is not followed', async () => {
  const requestsElsewhere: unknown[] = []
  const elsewhere = await serve((request, response) => {
    requestsElsewhere.push(request.headers)
    response.end()
  })
  const url = await serve((_, response) => void response.writeHead(307, { location: elsewhere.href }).end())
  expect((await connect(url)).status).toBe(307)
  expect(requestsElsewhere).toEqual([])
})
