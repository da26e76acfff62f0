import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expectOptions, type NamesOf } from '../runtime/validate.ts'
import type { FakeOrchestrator, Outlet } from './fake-orchestrator.ts'
import type { Surface } from './generation.ts'
import type { FakeResponse } from './http.ts'

/** Where a fake orchestrator listens. */
export interface ListenOptions {
  /** @default a free one */
  port?: number | undefined
  /** @default '127.0.0.1' */
  host?: string | undefined
  /** Which of v1's two ports this is. @default 'public' */
  surface?: Surface | undefined
}

const LISTEN_OPTION_NAMES: NamesOf<ListenOptions> = { port: true, host: true, surface: true }

/** A fake orchestrator on a real socket. */
export interface FakeServer extends AsyncDisposable {
  /** `http://127.0.0.1:40123` */
  readonly url: string
  readonly port: number
  /** Ends all connections and stops listening. */
  close(): Promise<void>
}

/** Serves a fake orchestrator with Node's own server. */
export async function serve(fake: FakeOrchestrator, outlets: Set<Outlet>, options: ListenOptions): Promise<FakeServer> {
  expectOptions(options, LISTEN_OPTION_NAMES)
  // Loaded here, so that a fake used as a transport needs no Node.
  const { createServer } = await import('node:http')
  const { port = 0, host = '127.0.0.1', surface = 'public' } = options
  const server = createServer((request, response) => void answer(fake, surface, request, response))
  await listenOn(server, port, host)
  const address = server.address() as AddressInfo
  // One change at a time: a server that is stopping cannot listen yet, and each try to listen adds listeners.
  let isWanted = true
  let isListening = true
  let changing: Promise<void> | undefined
  const change = async (): Promise<void> => {
    try {
      while (isWanted !== isListening) {
        const listens = isWanted
        await (listens ? listenOn(server, address.port, host) : stop(server))
        isListening = listens
      }
    } finally {
      changing = undefined
    }
  }
  const want = async (listens: boolean): Promise<void> => {
    isWanted = listens
    if (changing === undefined && isWanted !== isListening) changing = change()
    await changing
  }
  const outlet: Outlet = { onDown: () => void want(false), onUp: () => void want(true) }
  outlets.add(outlet)
  const close = async (): Promise<void> => {
    outlets.delete(outlet)
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

async function answer(fake: FakeOrchestrator, surface: Surface, request: IncomingMessage, response: ServerResponse): Promise<void> {
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
    // No answer: what the caller of a transport sees as a broken connection.
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
      // A slow reader loses messages.
      if (!response.writableNeedDrain) response.write(text)
    },
    onEnd: () => response.end(),
  })
  response.once('close', stop)
}
