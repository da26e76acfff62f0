import { Inspection, type InspectionParts } from '../orchestrator/inspection.ts'
import type { Obstacle, ObstacleKind } from '../orchestrator/obstacles.ts'

/** Where an orchestrator was found that is not at the base URL, and in what this address differs. */
export interface Elsewhere {
  readonly url: string
  readonly as: 'path' | 'dialect' | 'tls' | 'ipv4' | 'default_port'
}

/** Answers that may come from the right server at a wrong path. */
const AT_ANOTHER_PATH: ReadonlySet<ObstacleKind> = new Set(['missing', 'html', 'redirect', 'unreadable'])
/** Failures after which the port may be wrong. */
const AT_ANOTHER_PORT: ReadonlySet<ObstacleKind> = new Set(['refused', 'missing', 'html', 'redirect', 'unreadable', 'not-http', 'broken'])
/** Prefixes under which a reverse proxy often publishes the orchestrator. */
const USUAL_PREFIXES = ['/orchestrator', '/acestream-orchestrator', '/acestream']
const DEFAULT_PORT = '8000'
/** An address that was only guessed gets less time. */
const MAX_WAIT_MS = 1_500

/**
 * Looks for the orchestrator near a base URL where it is not: at other paths of the same server, with TLS, with IPv4 in place of IPv6, and at its
 * default port. The key is sent only to the origin of the base URL.
 */
export async function findElsewhere(parts: InspectionParts, obstacle: Obstacle): Promise<Elsewhere | undefined> {
  const { baseUrl, dialect } = parts
  const { kind, redirectsTo } = obstacle
  const attempts: { url: URL; as: Elsewhere['as']; finds?: ObstacleKind }[] = []
  const add = (as: Elsewhere['as'], change: (url: URL) => void, finds?: ObstacleKind): void => {
    const url = new URL(baseUrl)
    change(url)
    if (url.href !== baseUrl.href || as === 'dialect') attempts.push({ url, as, ...(finds && { finds }) })
  }
  if (AT_ANOTHER_PATH.has(kind)) {
    if (dialect !== 'auto') add('dialect', () => {})
    for (const path of pathsNear(baseUrl, redirectsTo)) add('path', (url) => assignPath(url, path))
  }
  if (baseUrl.protocol === 'http:' && ['broken', 'not-http', 'unreadable', 'missing'].includes(kind)) {
    // A failed handshake because of the certificate shows TLS too.
    add('tls', (url) => assignProtocol(url, 'https:'), 'tls')
  }
  if (kind === 'refused' && baseUrl.hostname === '[::1]') add('ipv4', (url) => assignHost(url, '127.0.0.1'))
  if (AT_ANOTHER_PORT.has(kind) && baseUrl.protocol === 'http:') {
    add('default_port', (url) => {
      assignPath(url, '/')
      url.port = DEFAULT_PORT
    })
  }
  const isFound = await Promise.all(attempts.map(({ url, finds }) => isOrchestratorAt(parts, url, finds)))
  const found = attempts.find((_, index) => isFound[index])
  return found === undefined ? undefined : { url: shownUrl(found.url), as: found.as }
}

/** Whether an orchestrator answers at a URL, or a failure of the kind `finds` shows that it would. */
async function isOrchestratorAt(parts: InspectionParts, url: URL, finds: ObstacleKind | undefined): Promise<boolean> {
  const isSameOrigin = url.origin === parts.baseUrl.origin
  const requestTimeoutMs = Math.min(parts.requestTimeoutMs, MAX_WAIT_MS)
  const secrets = isSameOrigin ? {} : { apiKey: undefined, headers: {} }
  const inspection = await Inspection.open({ ...parts, ...secrets, baseUrl: url, dialect: 'auto', requestTimeoutMs })
  const found = await inspection.readEngines()
  if ('listed' in found) return true
  // v1's internal port rejects every request without a key, in its own words.
  if (found.obstacle.kind === 'denied' && inspection.hasRefused) return true
  return found.obstacle.kind === finds && !found.obstacle.detail.includes('does not speak TLS')
}

/** The paths to try, the longest first: the parents of the path, and the target of a redirect; at the root the usual prefixes. */
function pathsNear({ pathname, origin }: URL, redirectsTo: string | undefined): readonly string[] {
  const segments = pathname.split('/').filter((segment) => segment !== '')
  const parents = segments.map((_, index) => `/${segments.slice(0, segments.length - 1 - index).join('/')}`)
  const target = redirectsTo === undefined ? null : URL.parse(redirectsTo)
  const redirected = target !== null && target.origin === origin ? [target.pathname.replace(/\/(?:api\/v1\/)?engines\/?$/, '') || '/'] : []
  return [...redirected, ...parents, ...(segments.length === 0 ? USUAL_PREFIXES : [])]
}

function assignPath(url: URL, path: string): void {
  url.pathname = path
}

function assignProtocol(url: URL, protocol: string): void {
  // The default port of http stays: what was port 80 is not port 443.
  const port = url.port === '' ? '80' : url.port
  url.protocol = protocol
  url.port = port
}

function assignHost(url: URL, hostname: string): void {
  url.hostname = hostname
}

function shownUrl({ origin, pathname }: URL): string {
  return `${origin}${pathname === '/' ? '' : pathname}`
}
