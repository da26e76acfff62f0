import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CloseReport, Logger } from 'acestream-orchestrator-client'
import type { EngineSource } from './engine-source.ts'
import { hlsRoutes, playHls } from './hls.ts'
import { HlsChannels } from './hls-channels.ts'
import { DEFAULT_LIMITS, type ServerLimits, serverOptions } from './limits.ts'
import { operationRoutes } from './operation.ts'
import type { ReadinessCheck } from './readiness.ts'
import { RequestCounts } from './request-counts.ts'
import { createRouter } from './router.ts'
import { Feed } from './status/feed.ts'
import { renderSections } from './status/sections.ts'
import { Status, type StatusOptions } from './status/state.ts'
import { statusRoutes } from './status/status-routes.ts'
import { inTurn } from './turns.ts'
import { contentRoutes, playVideo } from './video.ts'
import type { RescueFigures } from './viewer.ts'
import { Viewers } from './viewers.ts'

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
  /** How long a viewer may read more slowly than the video arrives. Then it is dropped. @default 30_000 */
  slowViewerTimeoutMs?: number
  /** Whether all paths of a content answer with HLS instead of MPEG-TS. @default false */
  isHls?: boolean
  /** How long an HLS session continues without requests. @default 30_000 */
  hlsTimeoutMs?: number
  /** How long viewers of HLS get the same playlist before the proxy requests it from the engine again. @default 500 */
  playlistAgeMs?: number
  /** Time limit for the stop command of a session. @default 2_000 */
  stopTimeoutMs?: number
  /** Path before all paths of the proxy, such as `/tv`. @default '' */
  basePath?: string
  /** Whether the log has the address of `X-Forwarded-For`. Only if a reverse proxy sets it: a viewer could invent it. @default false */
  isProxyTrusted?: boolean
  /** Whether the proxy can serve viewers, for `/readyz`. @default it can */
  whyNotReady?: ReadinessCheck
  /** What the status page at `/` shows. @default no engines, no details */
  status?: StatusOptions
  /** Limits of the connections of viewers. @default DEFAULT_LIMITS */
  limits?: Partial<ServerLimits>
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
  /**
   * Refuses new viewers, and waits until the present ones are gone, at most `drainMs` (by default it does not wait). Then ends every
   * viewer's playback, and closes the engine source, which ends all streams. The last two steps take at most `timeoutMs` each.
   */
  close(options?: { timeoutMs?: number; drainMs?: number }): Promise<CloseReport>
}

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Creates an HTTP server with the paths of an AceStream engine. It serves viewers from all engines of an orchestrator. */
export function createProxy(options: ProxyOptions): StreamProxy {
  const { source, log = SILENT, scheme = 'http', basePath = '', isHls = false, isProxyTrusted = false } = options
  const { headerTimeoutMs = 10_000, idleTimeoutMs = 60_000, hlsTimeoutMs = 30_000, playlistAgeMs = 500 } = options
  const {
    capacityTimeoutMs = 30_000,
    lingerMs = 5_000,
    stopTimeoutMs = 2_000,
    slowViewerTimeoutMs = 30_000,
    whyNotReady = async () => undefined,
  } = options
  const figures: RescueFigures = { rescued: 0, cutOff: 0, tooSlow: 0 }
  const viewers = new Viewers()
  const times = { headerTimeoutMs, idleTimeoutMs, capacityTimeoutMs, lingerMs, stopTimeoutMs, slowViewerTimeoutMs, playlistAgeMs }
  const parts = { scheme, ...times, log, figures }
  const status = new Status({ source, viewers, figures, options: options.status ?? {}, changed: () => feed.changed() })
  const feed = new Feed({ render: async () => ({ ...renderSections(await status.read()) }) })
  const counts = new RequestCounts()
  const channels = new HlsChannels({ ...parts, hlsTimeoutMs })
  const hls = { ...parts, viewers, channels, activity: status.activity, hlsTimeoutMs }
  const play = isHls ? playHls(hls) : playVideo(parts, status.activity, viewers)
  const routes = [
    ...contentRoutes(play),
    ...hlsRoutes(hls),
    ...operationRoutes({ source, viewers, figures, counts, whyNotReady }),
    ...statusRoutes(status, feed),
  ]
  const route = createRouter(routes, { basePath, isProxyTrusted, counts, log })
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const serveInTurn = inTurn((request, response) => void route(request, response))
  const server = http.createServer(serverOptions(limits), serveInTurn)
  server.maxRequestsPerSocket = limits.maxRequestsPerConnection
  let closing: Promise<CloseReport> | undefined

  async function shutDown(timeoutMs: number, drainMs: number): Promise<CloseReport> {
    viewers.refuseNew()
    feed.changed()
    // Keep listening meanwhile: a viewer who gets a `Retry-After` comes back later, and a probe gets the reason.
    if (drainMs > 0) await atMost(drainMs, viewers.gone())
    feed.close()
    status.close()
    server.close()
    viewers.abort('proxy_closing')
    await atMost(timeoutMs, viewers.gone())
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
    close({ timeoutMs = 10_000, drainMs = 0 } = {}) {
      closing ??= shutDown(timeoutMs, drainMs)
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
