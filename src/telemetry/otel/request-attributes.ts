import type { Attributes } from '@opentelemetry/api'
import { errorTypeOf } from '../error-type.ts'
import type { ClientEvents } from '../events.ts'

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/** The attributes that spans and metrics of a request share, with few values each. As OpenTelemetry's conventions for HTTP clients. */
export function requestAttributes({ route, method, url, status, error }: ClientEvents['request:finished']): Attributes {
  return {
    'http.request.method': method,
    ...serverOf(url),
    'url.template': route.slice(method.length + 1),
    ...(status === undefined ? {} : { 'http.response.status_code': status }),
    ...(error === undefined ? {} : { 'error.type': status === undefined || status < 400 ? errorTypeOf(error) : String(status) }),
  }
}

/** By URL: there are few. */
const servers = new Map<string, Attributes>()
const MAX_SERVERS = 100

function serverOf(url: string): Attributes {
  const known = servers.get(url)
  if (known !== undefined) return known
  const server = parseServer(url)
  if (servers.size < MAX_SERVERS) servers.set(url, server)
  return server
}

function parseServer(url: string): Attributes {
  // A URL from which a secret was removed may be none any more.
  if (!URL.canParse(url)) return {}
  const { protocol, hostname, port } = new URL(url)
  const portNumber = port === '' ? DEFAULT_PORTS[protocol] : Number(port)
  return { 'server.address': hostname.replace(/^\[|\]$/g, ''), ...(portNumber === undefined ? {} : { 'server.port': portNumber }) }
}
