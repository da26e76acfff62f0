import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createSocketServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { ConnectionError, MalformedResponseError, RequestTimeoutError } from '../../src/errors.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { failureOf } from '../support/setup.ts'

const open: Server[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of open.splice(0)) await new Promise((resolve) => server.close(resolve))
})

async function listen(server: Server): Promise<URL> {
  server.on('connection', (socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(server)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  return new URL(`http://127.0.0.1:${address.port}/engines`)
}

const serve = (listener: RequestListener): Promise<URL> => listen(createServer(listener))

const send = (url: URL, options: { clock?: ManualClock; timeoutMs?: number; signal?: AbortSignal } = {}) => {
  const { clock, timeoutMs = 600_000, signal } = options
  const headers = { accept: 'application/json', authorization: 'Bearer testkey' }
  const transport = new KyTransport(clock === undefined ? {} : { clock })
  return transport.request({ method: 'GET', url, headers, timeoutMs, ...(signal === undefined ? {} : { signal }) })
}

test('an answer comes over a real socket', async () => {
  const url = await serve((request, response) => response.end(request.headers.authorization))
  expect(await send(url)).toMatchObject({ status: 200, body: 'Bearer testkey' })
})

test('a refused connection rejects with an error that says that the request was not processed', async () => {
  const url = await serve((_, response) => response.end())
  await new Promise((resolve) => open.pop()?.close(resolve))
  const error = await failureOf(send(url))
  expect(error).toBeInstanceOf(ConnectionError)
  expect(error).toMatchObject({
    maybeProcessed: false,
    message: expect.stringContaining(`GET ${url.href}: no answer: ECONNREFUSED: nothing listens there. Check the port`),
  })
})

test('a host name that does not exist rejects with an error that says that the request was not processed', async () => {
  expect(await failureOf(send(new URL('http://no-such-host.invalid/engines')))).toMatchObject({
    name: 'ConnectionError',
    maybeProcessed: false,
  })
})

test('a connection that breaks before the answer rejects with an error that says that the request may have been processed', async () => {
  const server = createSocketServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.resetAndDestroy())
  })
  expect(await failureOf(send(await listen(server)))).toMatchObject({ name: 'ConnectionError', maybeProcessed: true })
})

describe('a connection that breaks within the body', () => {
  test.each([
    ['of known length', { 'content-length': '100' }],
    ['in chunks', {}],
  ])('%s rejects the request, and returns no partial answer', async (_, headers) => {
    const url = await serve((_request, response) => {
      response.writeHead(200, headers)
      response.write('[{"container_id":"a"}', () => response.destroy())
    })
    expect(await failureOf(send(url))).toMatchObject({ name: 'ConnectionError', maybeProcessed: true })
  })
})

test('an answer that is not HTTP rejects with a ConnectionError', async () => {
  const server = createSocketServer((socket) => {
    socket.on('error', () => {})
    socket.end('SSH-2.0-OpenSSH_9.6\r\n')
  })
  expect(await failureOf(send(await listen(server)))).toMatchObject({ name: 'ConnectionError', maybeProcessed: true })
})

/** Resolves when the client has closed the connection of this request. */
const connectionClosed = (request: IncomingMessage): Promise<void> =>
  new Promise((resolve) => request.socket.once('close', () => resolve()))

test('a body that does not end within the time-out rejects the request and closes the connection', async () => {
  const clock = new ManualClock()
  const begun = Promise.withResolvers<IncomingMessage>()
  const url = await serve((request, response) => {
    response.write('[', () => begun.resolve(request))
  })
  const failure = failureOf(send(url, { clock, timeoutMs: 1_000 }))
  const closed = connectionClosed(await begun.promise)
  await clock.advance(1_000)
  expect(await failure).toBeInstanceOf(RequestTimeoutError)
  await closed
})

test("a caller's abort closes the connection", async () => {
  const controller = new AbortController()
  const received = Promise.withResolvers<IncomingMessage>()
  const url = await serve((request) => received.resolve(request))
  const failure = failureOf(send(url, { signal: controller.signal }))
  const closed = connectionClosed(await received.promise)
  controller.abort('left')
  expect(await failure).toBe('left')
  await closed
})

describe('a redirect to another host', () => {
  test.each([301, 302, 303, 307, 308])('with status %i sends that host neither a request nor the key', async (status) => {
    const keysElsewhere: (string | undefined)[] = []
    const elsewhere = await serve((request, response) => {
      keysElsewhere.push(request.headers.authorization)
      response.end('[]')
    })
    const url = await serve((_, response) => response.writeHead(status, { location: elsewhere.href }).end('moved'))
    expect(await send(url)).toMatchObject({ status, body: 'moved' })
    expect(keysElsewhere).toStrictEqual([])
  })
})

describe('an answer of 16 MiB', () => {
  const size = 16 * 1_024 * 1_024
  const flood = (response: ServerResponse): void => {
    const chunk = Buffer.alloc(256 * 1_024, 32)
    let written = 0
    const write = (): void => {
      while (written < size && !response.destroyed) {
        written += chunk.length
        if (!response.write(chunk)) return void response.once('drain', write)
      }
      response.end()
    }
    write()
  }

  test.each([
    ['with a content-length', { 'content-length': String(size) }],
    ['without a content-length', {}],
  ])('%s is rejected before its end, and its connection is closed', async (_, headers) => {
    const closed: Promise<void>[] = []
    const url = await serve((request, response) => {
      closed.push(connectionClosed(request))
      response.writeHead(200, headers)
      flood(response)
    })
    expect(await failureOf(send(url))).toBeInstanceOf(MalformedResponseError)
    await closed[0]
  })
})

test('a hundred requests in sequence use fewer than five connections', async () => {
  const ports = new Set<number | undefined>()
  const url = await serve((request, response) => {
    ports.add(request.socket.remotePort)
    response.end('[]')
  })
  for (let count = 0; count < 100; count++) await send(url)
  // Not always one: a request may start before the connection of the last one is free again.
  expect(ports.size).toBeLessThan(5)
})
