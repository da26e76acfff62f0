import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CloseReport, Logger } from 'acestream-orchestrator-client'
import { refuse, sendJson, toRefusal } from './answers.ts'
import { parseContent } from './content.ts'
import type { EngineSource } from './engine-source.ts'
import { Departure } from './play.ts'
import { type RescueFigures, serveViewer } from './viewer.ts'

/** What a proxy is made of. Times are milliseconds. */
export interface ProxyOptions {
  source: EngineSource
  /** @default 'http' */
  scheme?: 'http' | 'https'
  /** @default 10_000 */
  headerTimeoutMs?: number
  /** @default 60_000 */
  idleTimeoutMs?: number
  /** @default 30_000 */
  capacityTimeoutMs?: number
  /** @default 2_000 */
  stopTimeoutMs?: number
  /** @default silent */
  log?: Logger
}

/** A proxy that can be embedded: `main.ts` is one user of it, the tests are another. */
export interface StreamProxy {
  listen(address?: { host?: string; port?: number }): Promise<{ url: string; port: number }>
  /** Viewers being served or waiting for an engine. */
  readonly viewers: number
  /** How viewers fared whose engine failed in the midst of the stream. */
  readonly figures: Readonly<RescueFigures>
  /** Stops accepting, ends every playback, then closes the engine source. Takes at most `timeoutMs` for each of the two. */
  close(options?: { timeoutMs?: number }): Promise<CloseReport>
}

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const GET_STREAM = '/ace/getstream'
const STATUS = '/ace/status'

/** An HTTP server with the paths of an engine, behind which are all engines of an orchestrator. */
export function createProxy(options: ProxyOptions): StreamProxy {
  const { source, log = SILENT, scheme = 'http' } = options
  const { headerTimeoutMs = 10_000, idleTimeoutMs = 60_000, capacityTimeoutMs = 30_000, stopTimeoutMs = 2_000 } = options
  const figures: RescueFigures = { rescued: 0, cutOff: 0 }
  const parts = { source, scheme, headerTimeoutMs, idleTimeoutMs, capacityTimeoutMs, stopTimeoutMs, log, figures }
  const viewers = new Map<AbortController, Promise<void>>()
  // A viewer whose network died says nothing: without probes its slot would stay taken.
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: 30_000 }
  const server = http.createServer(keepAlive, (request, response) => void route(request, response))
  let closing: Promise<CloseReport> | undefined

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '/' } = request
    const target = URL.parse(url, 'http://proxy')
    const path = target?.pathname.replace(/\/$/, '')
    if (target === null || (path !== GET_STREAM && path !== STATUS)) {
      return refuse(response, { status: 404, reason: 'not_found', error: `nothing here but ${GET_STREAM} and ${STATUS}` })
    }
    if (method !== 'GET' && method !== 'HEAD') {
      return refuse(response, { status: 405, reason: 'method_not_allowed', error: 'only GET and HEAD' }, { allow: 'GET, HEAD' })
    }
    if (path === STATUS) return sendJson(response, 200, { status: 'ok', viewers: viewers.size, ...figures, ...source.metrics() })
    try {
      const content = parseContent(target.searchParams)
      if (closing !== undefined) throw new Departure('proxy_closing')
      // Players ask for the type before they ask for the stream; that takes no engine.
      if (method === 'HEAD') return void response.writeHead(200, { 'content-type': 'video/mp2t' }).end()
      await admit(response, (departure) => serveViewer(parts, content, response, departure))
    } catch (error) {
      const refusal = toRefusal(error)
      if (refusal.status >= 500 && !response.destroyed) log.warn('A viewer was refused', { ...refusal, cause: error })
      refuse(response, refusal)
    }
  }

  async function admit(response: ServerResponse, serve: (departure: AbortSignal) => Promise<void>): Promise<void> {
    const departure = new AbortController()
    // What is written while the viewer hangs up has nowhere to go; that they left is told below.
    response.on('error', () => undefined)
    response.once('close', () => {
      // Closes after a proper end too: only whoever hung up before has left.
      if (!response.writableFinished) departure.abort(new Departure('client_disconnected'))
    })
    const served = serve(departure.signal)
    viewers.set(
      departure,
      served.catch(() => {}),
    )
    await served.finally(() => viewers.delete(departure))
  }

  async function shutDown(timeoutMs: number): Promise<CloseReport> {
    server.close()
    for (const viewer of viewers.keys()) viewer.abort(new Departure('proxy_closing'))
    await atMost(timeoutMs, Promise.all(viewers.values()))
    const report = await source.close({ timeoutMs })
    server.closeAllConnections()
    return report
  }

  return {
    async listen({ host, port = 0 } = {}) {
      server.listen(port, host)
      await once(server, 'listening')
      const { address, family, port: actual } = server.address() as AddressInfo
      const anywhere = host === undefined ? 'localhost' : address
      return { url: `http://${family === 'IPv6' && host !== undefined ? `[${anywhere}]` : anywhere}:${actual}`, port: actual }
    },
    get viewers() {
      return viewers.size
    },
    figures,
    close({ timeoutMs = 10_000 } = {}) {
      closing ??= shutDown(timeoutMs)
      return closing
    },
  }
}

async function atMost(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([work, timeUp]).finally(() => clearTimeout(timer))
}
