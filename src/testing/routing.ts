import type { FakeRequest, FakeResponse } from './http.ts'

/** The arguments of a route handler. */
export interface RouteCall {
  readonly request: FakeRequest
  /** The part of the path that matches `{id}`, decoded. */
  readonly id: string
  readonly query: URLSearchParams
}

/** Handles the requests of one route. */
export type RouteHandler = (call: RouteCall) => FakeResponse | Promise<FakeResponse>

/** Labels of the routes of all generations. */
export const ROUTE_LABELS = [
  'GET /auth/status',
  'GET /circuit-breaker',
  'POST /circuit-breaker/reset',
  'DELETE /containers/{id}',
  'GET /containers/{id}',
  'GET /engines',
  'DELETE /engines/{id}',
  'GET /engines/{id}',
  'GET /events/stream',
  'POST /events/stream_ended',
  'POST /events/stream_started',
  'GET /health',
  'POST /health/circuit-breaker/reset',
  'GET /health/status',
  'GET /internal/proxy/select-engine',
  'GET /orchestrator/status',
  'POST /provision/acestream',
  'GET /status',
  'GET /streams',
  'GET /streams/{id}',
  'GET /streams/{id}/stats',
  'GET /version',
  'GET /vpn-nodes',
  'GET /vpn/status',
] as const

/** Handlers by route label, such as `GET /engines/{id}`. */
export type RouteTable = Readonly<Partial<Record<(typeof ROUTE_LABELS)[number], RouteHandler>>>

/** A request whose route is known. */
export interface Resolution {
  /** Such as `GET /engines`, without prefix and ids. All requests of a method without a route share one label: `GET (unknown)`. */
  readonly label: string
  answer(): FakeResponse | Promise<FakeResponse>
}

/** The route of a path. */
export interface PathMatch {
  readonly label: string
  readonly handler: RouteHandler
  readonly id: string
}

interface Pattern {
  readonly prefix: string
  readonly suffix: string
  readonly label: string
  readonly handler: RouteHandler
}

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Finds the handler of a path. */
export class Router {
  readonly #exact = new Map<string, RouteHandler>()
  readonly #patterns: Pattern[] = []
  readonly #paths = new Set<string>()

  constructor(routes: RouteTable) {
    for (const [label, handler] of Object.entries(routes)) {
      const [prefix = '', suffix] = label.split('{id}')
      if (suffix === undefined) {
        this.#exact.set(label, handler)
        this.#paths.add(label.slice(label.indexOf(' ') + 1))
      } else {
        this.#patterns.push({ prefix, suffix, label, handler })
      }
    }
  }

  /** Returns the route of this method and path (without query). */
  match(method: string, path: string): PathMatch | undefined {
    const target = `${method} ${path}`
    const handler = this.#exact.get(target)
    if (handler !== undefined) return { label: target, handler, id: '' }
    for (const { prefix, suffix, label, handler } of this.#patterns) {
      if (!target.startsWith(prefix) || !target.endsWith(suffix)) continue
      const id = target.slice(prefix.length, target.length - suffix.length)
      if (id !== '' && !id.includes('/')) return { label, handler, id: decode(id) }
    }
    return undefined
  }

  /** Whether the path has a route with any method. */
  knows(path: string): boolean {
    return this.#paths.has(path) || ['GET', 'POST', 'DELETE'].some((method) => this.match(method, path) !== undefined)
  }
}

/** Splits a path from its query. */
export function splitPath(path: string): { pathname: string; query: URLSearchParams } {
  const mark = path.indexOf('?')
  return mark === -1
    ? { pathname: path, query: NO_QUERY }
    : { pathname: path.slice(0, mark), query: new URLSearchParams(path.slice(mark + 1)) }
}

const NO_QUERY = new URLSearchParams()
