import { type AddressInfo, createServer } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { loadConnect } from '../../src/runtime/connect.ts'
import { failureOf } from '../support/setup.ts'

async function openConnect() {
  const connect = await loadConnect()
  if (connect === undefined) throw new Error('Node has sockets')
  return connect
}

it.each(['127.0.0.1', '::1'])('a connection to %s is made, sends nothing, and is closed at once', async (host) => {
  const received: unknown[] = []
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const server = createServer((socket) => {
    socket
      .on('data', (data) => received.push(data))
      .on('error', () => {})
      .on('close', () => resolve())
    socket.resume()
  })
  await new Promise<void>((listening) => server.listen(0, host, listening))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  await (await openConnect())({ host, port }, { signal: new AbortController().signal })
  await closed
  expect(received).toEqual([])
})

it('a connection that is refused rejects with the error of the system', async () => {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  const error = await failureOf((await openConnect())({ host: '127.0.0.1', port }, { signal: new AbortController().signal }))
  expect(error).toMatchObject({ code: 'ECONNREFUSED' })
})

it('an aborted signal ends the connection, before it begins and later', async () => {
  const connect = await openConnect()
  expect(await failureOf(connect({ host: '127.0.0.1', port: 1 }, { signal: AbortSignal.abort('early') }))).toBe('early')
  const late = new AbortController()
  const connecting = failureOf(connect({ host: 'localhost', port: 1 }, { signal: late.signal }))
  late.abort()
  expect(await connecting).toBeInstanceOf(Error)
})
