import type { TransportRequest } from '../runtime/transport.ts'
import type { FakeRequest } from './http.ts'

/** v1's internal port. */
const INTERNAL_PORT = '8083'

/** Converts a client's request to the one that arrives at the orchestrator: a reverse proxy has removed its path prefix. */
export function toFakeRequest(request: TransportRequest, isRoute: (method: string, path: string) => boolean): FakeRequest {
  const { method, url, headers, body, signal } = request
  let authorization: string | undefined
  let contentType: string | undefined
  for (const name in headers) {
    const lower = name.toLowerCase()
    if (lower === 'authorization') authorization = headers[name]
    else if (lower === 'content-type') contentType = headers[name]
  }
  const path = stripPrefix(url.pathname, (candidate) => isRoute(method, candidate)) + url.search
  return { method, path, authorization, contentType, body, signal, surface: surfaceOf(url) }
}

/** Returns the port of v1 that a URL means: port 8083 is internal, any other is public. */
export const surfaceOf = (url: URL): 'public' | 'internal' => (url.port === INTERNAL_PORT ? 'internal' : 'public')

/** Removes the path prefix of the base URL. `/api/v1` is never such a prefix: a generation that does not have it must respond 404. */
function stripPrefix(pathname: string, isRoute: (path: string) => boolean): string {
  if (isRoute(pathname)) return pathname
  const version = pathname.lastIndexOf('/api/v1/')
  if (version !== -1) return pathname.slice(version)
  for (let at = pathname.indexOf('/', 1); at !== -1; at = pathname.indexOf('/', at + 1)) {
    const rest = pathname.slice(at)
    if (isRoute(rest)) return rest
  }
  return pathname
}
