import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CloseReport, Logger } from 'acestream-orchestrator-client'
import { refuse, sendJson, toRefusal } from './answers.ts'
import { parseContent } from './content.ts'
import type { EngineSource } from './engine-source.ts'
import { PlaybackAborted, type RescueFigures, serveViewer } from './viewer.ts'

/** Options of {@link createProxy}. Times are in milliseconds. */
export interface ProxyOptions {
  /** Provides the engines. */
  source: EngineSource
  /** Scheme of the engines' HTTP API. @default 'http' */
  scheme?: 'http' | 'https'
  /** Time limit for the response of an engine, and again for the first byte of the stream. @default 10_000 */
  headerTimeoutMs?: number
  /** How long an engine may send nothing during a stream. @default 60_000 */
  idleTimeoutMs?: number
  /** How long a viewer waits for a free slot. @default 30_000 */
  capacityTimeoutMs?: number
  /** How long a stream continues after its last viewer has left, so that a viewer who comes back finds it. @default 5_000 */
  lingerMs?: number
  /** Time limit for the stop command of a session. @default 2_000 */
  stopTimeoutMs?: number
  /** @default silent */
  log?: Logger
}

/** A proxy that can be embedded, as `main.ts` and the tests do. */
export interface StreamProxy {
  listen(address?: { host?: string; port?: number }): Promise<{ url: string; port: number }>
  /** Number of viewers that are served or wait for an engine. */
  readonly viewers: number
  /** Counts of viewers whose engine failed during the stream. */
  readonly figures: Readonly<RescueFigures>
  /** Stops accepting viewers, ends every viewer's playback, and then closes the engine source, which ends all streams. The last two steps take at most `timeoutMs` each. */
  close(options?: { timeoutMs?: number }): Promise<CloseReport>
}

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const GET_STREAM = '/ace/getstream'
const STATUS = '/ace/status'

/** Creates an HTTP server with the paths of an AceStream engine. It serves viewers from all engines of an orchestrator. */
export function createProxy(options: ProxyOptions): StreamProxy {
  const { source, log = SILENT, scheme = 'http' } = options
  const { headerTimeoutMs = 10_000, idleTimeoutMs = 60_000, capacityTimeoutMs = 30_000 } = options
  const { lingerMs = 5_000, stopTimeoutMs = 2_000 } = options
  const figures: RescueFigures = { rescued: 0, cutOff: 0 }
  const parts = { source, scheme, headerTimeoutMs, idleTimeoutMs, capacityTimeoutMs, lingerMs, stopTimeoutMs, log, figures }
  const viewers = new Map<AbortController, Promise<void>>()
  // A viewer whose network fails closes no connection. Probes detect that, and free the slot.
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: 30_000 }
  const server = http.createServer(keepAlive, (request, response) => void route(request, response))
  let closing: Promise<CloseReport> | undefined

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '/' } = request
    const target = URL.parse(url, 'http://proxy')
    const path = target?.pathname.replace(/\/$/, '')
    if (target === null || (path !== GET_STREAM && path !== STATUS)) {
      return refuse(response, { status: 404, reason: 'not_found', error: `unknown path; expected ${GET_STREAM} or ${STATUS}` })
    }
    if (method !== 'GET' && method !== 'HEAD') {
      return refuse(
        response,
        { status: 405, reason: 'method_not_allowed', error: 'unsupported method; expected GET or HEAD' },
        { allow: 'GET, HEAD' },
      )
    }
    if (path === STATUS) return sendJson(response, 200, { status: 'ok', viewers: viewers.size, ...figures, ...source.metrics() })
    try {
      const content = parseContent(target.searchParams)
      if (closing !== undefined) throw new PlaybackAborted('proxy_closing')
      // Players request the content type first. That needs no engine.
      if (method === 'HEAD') return void response.writeHead(200, { 'content-type': 'video/mp2t' }).end()
      await admit(response, (signal) => serveViewer(parts, content, response, signal))
    } catch (error) {
      const refusal = toRefusal(error)
      if (refusal.status >= 500 && !response.destroyed) log.warn('A viewer was refused', { ...refusal, cause: error })
      refuse(response, refusal)
    }
  }

  async function admit(response: ServerResponse, serve: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const controller = new AbortController()
    // A write to a closed connection emits an error. The `close` event below handles the disconnect.
    response.on('error', () => undefined)
    response.once('close', () => {
      // A complete response closes too. Only an incomplete one means that the viewer disconnected.
      if (!response.writableFinished) controller.abort(new PlaybackAborted('client_disconnected'))
    })
    const served = serve(controller.signal)
    viewers.set(
      controller,
      served.catch(() => {}),
    )
    await served.finally(() => viewers.delete(controller))
  }

  async function shutDown(timeoutMs: number): Promise<CloseReport> {
    server.close()
    for (const controller of viewers.keys()) controller.abort(new PlaybackAborted('proxy_closing'))
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
      const shownHost = host === undefined ? 'localhost' : address
      return { url: `http://${family === 'IPv6' && host !== undefined ? `[${shownHost}]` : shownHost}:${actual}`, port: actual }
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
