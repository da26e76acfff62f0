import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'acestream-orchestrator-client'
import { refuse, toRefusal } from './answers.ts'
import { clientAddress } from './forwarded.ts'
import { withFields } from './log.ts'
import type { RequestCounts } from './request-counts.ts'
import { parseTarget, withoutPrefix } from './request-target.ts'
import { type Exchange, findRoute, type Match, type Route, segmentsOf } from './routes.ts'

/** Options of {@link createRouter}. */
export interface RouterOptions {
  /** Path before every route: `/tv`, or an empty text. */
  basePath: string
  /** Whether the viewer's address is that of the header `X-Forwarded-For`. */
  isProxyTrusted: boolean
  counts: RequestCounts
  log: Logger
}

const METHODS = 'GET, HEAD, OPTIONS'
/** A request id that is safe in a log and in a header. */
const REQUEST_ID = /^[\w.:-]{1,64}$/
/** How long a browser may keep the response to an OPTIONS request, seconds. */
const PREFLIGHT_MAX_AGE_S = 86_400

/** Creates a function that answers each request with the first route that matches. */
export function createRouter(routes: readonly Route[], { basePath, isProxyTrusted, counts, log }: RouterOptions) {
  const base = segmentsOf(basePath || '/')

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const startedAt = performance.now()
    const id = requestIdOf(request)
    const client = clientAddress(request, isProxyTrusted)
    const target = parseTarget(request.url ?? '')
    const segments = target && withoutPrefix(target.segments, base)
    const match = segments && findRoute(routes, segments)
    response.setHeader('x-request-id', id)
    // A write to a closed connection emits an error. The `close` event reports the disconnect.
    response.on('error', () => undefined)
    response.once('close', () => {
      const { method } = request
      counts.countResponse(match?.route.path ?? 'other', String(statusOf(response) ?? 'none'))
      const fields = { requestId: id, client, method, path: match?.route.path, status: statusOf(response) }
      log[match?.route.isFrequent === true ? 'debug' : 'info']('request', { ...fields, ms: Math.round(performance.now() - startedAt) })
    })
    if (match?.route.isCrossOrigin) allowEveryOrigin(response)
    const query = target?.query ?? new URLSearchParams()
    const parameters = match?.parameters ?? {}
    const exchange = { request, response, parameters, query, id, client, log: withFields(log, { requestId: id }) }
    await answer(match, exchange, counts)
  }
}

async function answer(match: Match | undefined, exchange: Exchange, counts: RequestCounts): Promise<void> {
  const { request, response, log } = exchange
  const { method = '', url } = request
  if (method === 'OPTIONS' && (match !== undefined || url === '*')) return void response.writeHead(204, { allow: METHODS }).end()
  if (match === undefined) return refuse(response, { status: 404, reason: 'not_found', error: 'unknown path' })
  if (method !== 'GET' && method !== 'HEAD') {
    const error = 'unsupported method; expected GET, HEAD or OPTIONS'
    return refuse(response, { status: 405, reason: 'method_not_allowed', error }, { allow: METHODS })
  }
  try {
    await match.route.serve(exchange)
  } catch (error) {
    const refusal = toRefusal(error)
    counts.countRefusal(refusal.reason)
    if (refusal.status >= 500 && !response.destroyed) log.warn('A viewer was refused', { ...refusal, cause: error })
    refuse(response, refusal)
  }
}

/** Uses the id of the request if it is safe, so that the logs of several servers can be joined. */
function requestIdOf({ headers }: IncomingMessage): string {
  const id = headers['x-request-id']
  return typeof id === 'string' && REQUEST_ID.test(id) ? id : randomUUID()
}

/** Status of the response, or `undefined` if the connection was closed before one was sent. */
function statusOf({ headersSent, statusCode }: ServerResponse): number | undefined {
  return headersSent ? statusCode : undefined
}

function allowEveryOrigin(response: ServerResponse): void {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-allow-methods', METHODS)
  response.setHeader('access-control-allow-headers', '*')
  response.setHeader('access-control-expose-headers', 'retry-after, x-request-id')
  response.setHeader('access-control-max-age', PREFLIGHT_MAX_AGE_S)
}
