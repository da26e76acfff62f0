import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { inTurn } from '../../examples/proxy/turns.ts'
import { eventually, stage } from './stage.ts'

/** A viewer that writes to its connection by hand. */
interface RawViewer {
  readonly socket: net.Socket
  /** Everything that it got. */
  text(): string
  /** Resolves when the proxy has closed the connection. */
  readonly closed: Promise<unknown>
}

async function connect(url: string): Promise<RawViewer> {
  const { hostname, port } = new URL(url)
  const socket = net.connect(Number(port), hostname).on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  return { socket, text: () => text, closed: once(socket, 'close') }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: proxy\r\n\r\n`

describe('pipelined requests on one connection', () => {
  it('hold one slot: the second is not begun before the first response has ended', async () => {
    const { engines, client, proxy, url } = await stage({ client: { maxStreamsPerEngine: 8 } })
    const { socket, text } = await connect(url)
    socket.write([1, 2, 3, 4, 5, 6].map((id) => get(`/content_id/${id}`)).join(''))
    await eventually(() => expect(text()).toContain('200 OK'))
    // Another viewer gets its answer after the proxy has read all six requests.
    expect((await fetch(`${url}/ace/status`)).status).toBe(200)
    expect([engines[0]?.requestCount, proxy.viewers, client.metrics().streams.live]).toEqual([1, 1, 1])
    engines[0]?.finish()
    await eventually(() => expect(engines[0]?.requestCount).toBe(2))
    expect([proxy.viewers, engines[0]?.peak]).toEqual([1, 1])
    socket.destroy()
    await eventually(() => expect([proxy.viewers, client.metrics().streams.live, engines[0]?.sessions.size]).toEqual([0, 0, 0]))
    expect(engines[0]?.requestCount).toBe(2)
  })

  it('are answered in order', async () => {
    const { url } = await stage()
    const { socket, text } = await connect(url)
    socket.write(get('/a') + get('/ace/status') + get('/b') + get('/ace/status'))
    await eventually(() => expect(text().match(/HTTP\/1\.1 \d+/g)).toHaveLength(4))
    expect(text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200'])
  })

  it('do not inherit the time limit of the response before, which would close the connection of a viewer who waits', async () => {
    const limits: (number | undefined)[] = []
    const server = http.createServer(
      inTurn((request, response) => {
        limits.push(request.socket.timeout)
        response.end()
        response.setTimeout(600_000)
      }),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { socket } = await connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    socket.write(get('/1') + get('/2') + get('/3'))
    await eventually(() => expect(limits).toHaveLength(3))
    expect(limits.slice(1)).toEqual([0, 0])
  })

  it('of which more than 16 wait close the connection, and the slot is free', async () => {
    const { client, proxy, url } = await stage()
    const { socket, closed } = await connect(url)
    socket.write(Array.from({ length: 18 }, (_, id) => get(`/content_id/${id}`)).join(''))
    await closed
    await eventually(() => expect([proxy.viewers, client.metrics().streams.live, client.metrics().leases.active]).toEqual([0, 0, 0]))
  })
})

describe('a connection', () => {
  it('gets status 408 if the head of a request does not arrive within headersTimeoutMs', async () => {
    const { proxy, url } = await stage({ proxy: { limits: { headersTimeoutMs: 50 } } })
    const { socket, text, closed } = await connect(url)
    socket.write('GET /ace/getstream?id=a HTTP/1.1\r\nHost: pro')
    await closed
    expect(text()).toMatch(/^HTTP\/1\.1 408 /)
    expect(proxy.viewers).toBe(0)
  })

  it('is closed if the body of a request does not arrive within requestTimeoutMs, and its stream ends', async () => {
    const { client, proxy, url } = await stage({ proxy: { limits: { headersTimeoutMs: 50, requestTimeoutMs: 50 } } })
    const { socket, closed } = await connect(url)
    socket.write('GET /ace/getstream?id=a HTTP/1.1\r\nHost: proxy\r\nContent-Length: 1000000\r\n\r\nx')
    await closed
    await eventually(() => expect([proxy.viewers, client.metrics().streams.live]).toEqual([0, 0]))
  })

  it('gets status 431 if the headers are too long', async () => {
    const { url } = await stage()
    for (const head of [`GET /ace/getstream?id=${'a'.repeat(20_000)} HTTP/1.1\r\n`, `GET / HTTP/1.1\r\nX-A: ${'a'.repeat(20_000)}\r\n`]) {
      const { socket, text, closed } = await connect(url)
      socket.write(`${head}Host: proxy\r\n\r\n`)
      await closed
      expect(text()).toMatch(/^HTTP\/1\.1 431 /)
    }
  })

  it('gets status 400 if it sends no HTTP', async () => {
    const { url } = await stage()
    const { socket, text, closed } = await connect(url)
    socket.write('\x16\x03\x01\x02\x00\x01\x00\r\n\r\n')
    await closed
    expect(text()).toMatch(/^HTTP\/1\.1 400 /)
  })

  it('is asked to close by the last of maxRequestsPerConnection responses, and gets status 503 after it', async () => {
    const { url } = await stage({ proxy: { limits: { maxRequestsPerConnection: 2 } } })
    const { socket, text } = await connect(url)
    socket.write(get('/ace/status').repeat(3))
    await eventually(() => expect(text().match(/^HTTP.*|^Connection: .*/gm)).toHaveLength(6))
    const lines = text().match(/^HTTP\/1.1 \d+|^Connection: [\w-]+/gm)
    const [kept, closed, refused] = [
      ['HTTP/1.1 200', 'Connection: keep-alive'],
      ['HTTP/1.1 200', 'Connection: close'],
      ['HTTP/1.1 503', 'Connection: close'],
    ]
    expect(lines).toEqual([kept, closed, refused].flat())
  })
})
