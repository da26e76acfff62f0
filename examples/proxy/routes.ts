import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'acestream-orchestrator-client'

/** One request and its response. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The segments that the route names: `key` for `/content_id/:key`. */
  readonly parameters: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Identifies the request in logs and in `X-Request-Id`. */
  readonly id: string
  /** Address of the viewer, `undefined` if the connection is closed already. */
  readonly client: string | undefined
  /** Adds the request id to each line. */
  readonly log: Logger
}

/** A path, and the handler of its requests. Every route has the methods GET, HEAD and OPTIONS; the router answers OPTIONS. */
export interface Route {
  /** Without the base path. `:name` matches one segment. */
  readonly path: string
  /** Whether web pages of other origins may read the responses (CORS). @default false */
  readonly isCrossOrigin?: boolean
  /** Whether requests are logged only at the level `debug`, because programs send many of them. @default false */
  readonly isFrequent?: boolean
  /** Answers a request. An error that it throws is converted to a refusal, unless the response has begun. */
  serve(exchange: Exchange): void | Promise<void>
}

/** A route that matches a path, and the segments that the route names. */
export interface Match {
  readonly route: Route
  readonly parameters: Readonly<Record<string, string>>
}

/** Finds the first route that matches the segments of a path. */
export function findRoute(routes: readonly Route[], segments: readonly string[]): Match | undefined {
  for (const route of routes) {
    const parameters = match(segmentsOf(route.path), segments)
    if (parameters !== undefined) return { route, parameters }
  }
  return undefined
}

/** Splits a path that begins with a slash. `/` has no segments. */
export function segmentsOf(path: string): readonly string[] {
  return path === '/' ? [] : path.slice(1).split('/')
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined
  const parameters: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    const expected = pattern[index] ?? ''
    if (expected.startsWith(':')) parameters[expected.slice(1)] = segment
    else if (expected !== segment) return undefined
  }
  return parameters
}
