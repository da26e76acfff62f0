import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expectOptions, type NamesOf } from '../runtime/validate.ts'
import type { Surface } from './generation.ts'
import type { FakeRequest, FakeResponse } from './http.ts'

/** Options of {@link FakeOrchestrator.listen}. */
export interface ListenOptions {
  /** TCP port. @default a free one */
  port?: number | undefined
  /** Address to listen on. @default '127.0.0.1' */
  host?: string | undefined
  /** The port of v1 that this socket imitates. @default 'public' */
  surface?: Surface | undefined
}

const LISTEN_OPTION_NAMES: NamesOf<ListenOptions> = { port: true, host: true, surface: true }

/** A fake orchestrator on a real socket. */
export interface FakeServer extends AsyncDisposable {
  /** Base URL, such as `http://127.0.0.1:40123`. */
  readonly url: string
  /** TCP port. */
  readonly port: number
  /** Closes all connections and stops listening. */
  close(): Promise<void>
}

/** Follows whether the orchestrator accepts connections: a socket server stops and starts listening. */
export interface AvailabilityListener {
  onDown(): void
  onUp(): void
}

/** Answers the requests that arrive on the socket. */
interface RequestHandler {
  handle(request: FakeRequest): Promise<FakeResponse>
}

/** Serves a fake orchestrator with Node's HTTP server. */
export async function serve(fake: RequestHandler, listeners: Set<AvailabilityListener>, options: ListenOptions): Promise<FakeServer> {
  expectOptions(options, LISTEN_OPTION_NAMES)
  // Imported here, so that a fake that is used as a transport does not need Node.
  const { createServer } = await import('node:http')
  const { port = 0, host = '127.0.0.1', surface = 'public' } = options
  const server = createServer((request, response) => void answer(fake, surface, request, response))
  await listenOn(server, port, host)
  const address = server.address() as AddressInfo
  // Make one change at a time: a server that is still stopping cannot listen, and each attempt to listen adds listeners.
  let shouldListen = true
  let isListening = true
  let changing: Promise<void> | undefined
  const change = async (): Promise<void> => {
    try {
      while (shouldListen !== isListening) {
        const listens = shouldListen
        await (listens ? listenOn(server, address.port, host) : stop(server))
        isListening = listens
      }
    } finally {
      changing = undefined
    }
  }
  const want = async (listens: boolean): Promise<void> => {
    shouldListen = listens
    if (changing === undefined && shouldListen !== isListening) changing = change()
    await changing
  }
  const listener: AvailabilityListener = { onDown: () => void want(false), onUp: () => void want(true) }
  listeners.add(listener)
  const close = async (): Promise<void> => {
    listeners.delete(listener)
    await want(false)
  }
  const urlHost = host.includes(':') ? `[${host}]` : host
  return { url: `http://${urlHost}:${address.port}`, port: address.port, close, [Symbol.asyncDispose]: close }
}

function listenOn(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

async function answer(fake: RequestHandler, surface: Surface, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  try {
    const chunks: Uint8Array[] = []
    for await (const chunk of request) chunks.push(chunk as Uint8Array)
    const { authorization, 'content-type': contentType } = request.headers
    const body = Buffer.concat(chunks).toString('utf8')
    const { method = 'GET', url: path = '/' } = request
    send(await fake.handle({ method, path, authorization, contentType, body, surface, signal: gone.signal }), response)
  } catch {
    // The fake broke the connection, so close the socket without a response.
    response.destroy()
  }
}

function send({ status, headers, body, subscribe }: FakeResponse, response: ServerResponse): void {
  response.writeHead(status, headers)
  if (subscribe === undefined) {
    response.end(body)
    return
  }
  response.flushHeaders()
  const stop = subscribe({
    onText: (text) => {
      // A slow reader loses messages, as with a real orchestrator.
      if (!response.writableNeedDrain) response.write(text)
    },
    onEnd: () => response.end(),
  })
  response.once('close', stop)
}
