import type { Problem, ProblemCode } from '../model/diagnosis.ts'
import { isOfProxy, type Obstacle, type ObstacleKind } from '../orchestrator/obstacles.ts'
import type { Elsewhere } from './elsewhere.ts'

/** Where the client looked for the orchestrator, and with what. */
export interface Target {
  /** The base URL, without secrets. */
  readonly shown: string
  readonly baseUrl: URL
  readonly hasKey: boolean
  readonly requestTimeoutMs: number
}

const SET_URL = 'Set baseUrl (ACEXY_ORCH_URL)'
const SET_KEY = 'Set apiKey (ACEXY_ORCH_APIKEY) to the API_KEY of the orchestrator'
const IS_IT_RUNNING = 'Check that the orchestrator is running, and its port: 8000 unless you changed it'
const LOGIN = /log-?in|sign-?in|(?<![a-z])(?:o?auth(?![a-z])|authent|autheli|authori[sz]|sso(?![a-z]))/i
const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/

/**
 * Describes why the orchestrator cannot be read, and what to do.
 *
 * @param elsewhere where an orchestrator was found instead, if it was
 * @param isConnected whether a TCP connection is possible; `undefined`: that is not known
 */
export function problemOf(obstacle: Obstacle, target: Target, elsewhere: Elsewhere | undefined, isConnected: boolean | undefined): Problem {
  const described = PROBLEMS[obstacle.kind](obstacle, target, isConnected)
  return elsewhere === undefined ? described : foundProblem(obstacle, target, elsewhere, described)
}

/** The problem when the orchestrator was found at another path, port, scheme or address of the same host. */
function foundProblem({ detail }: Obstacle, { shown, baseUrl }: Target, { url, as }: Elsewhere, described: Problem): Problem {
  switch (as) {
    case 'default_port':
      return { ...described, remedy: `An orchestrator answers at ${url}. ${SET_URL} to this address.` }
    case 'dialect':
      return {
        code: 'wrong_dialect',
        message: `The orchestrator at ${shown} does not have the API that the option dialect names.`,
        remedy: "Remove the option dialect, or set it to 'auto': one request finds the API.",
      }
    case 'path':
      return {
        code: 'wrong_path',
        message: `There is no orchestrator at the path ${baseUrl.pathname}, but there is one at ${url}.`,
        remedy: `${SET_URL} to ${url}. A path in it must be the prefix that a reverse proxy adds, and nothing else.`,
      }
    case 'tls':
      return {
        code: 'tls_required',
        message: `The port speaks TLS, but the address begins with http:// (${detail}).`,
        remedy: `${SET_URL} to ${url}.`,
      }
    case 'ipv4':
      return {
        code: 'connection_refused',
        message: `The orchestrator listens on IPv4 only, and ${shown} is an IPv6 address.`,
        remedy: `${SET_URL} to ${url}.`,
      }
  }
}

type Describe = (obstacle: Obstacle, target: Target, isConnected: boolean | undefined) => Problem

const PROBLEMS: Readonly<Record<ObstacleKind, Describe>> = {
  'host-not-found': (_, { baseUrl: { hostname } }) => ({
    code: 'host_not_found',
    message: `The host name "${hostname}" cannot be resolved here.`,
    remedy: hostname.includes('.')
      ? 'Correct the host in baseUrl (ACEXY_ORCH_URL), or the DNS server of this machine.'
      : `If "${hostname}" is a service or container of Docker, its name exists only in its Docker network: attach this proxy to the same network, or use the address of the Docker host and the published port. Otherwise correct the name in baseUrl (ACEXY_ORCH_URL).`,
  }),
  refused: (_, { baseUrl: { hostname, host, protocol } }) => ({
    code: 'connection_refused',
    message: `Nothing listens at ${host.includes(':') && !host.endsWith(']') ? host : `${host}:${protocol === 'https:' ? 443 : 80}`}: the connection was refused.`,
    remedy: LOOPBACK.test(hostname)
      ? `${IS_IT_RUNNING}. In a container, ${hostname} is the container itself: use the name of the orchestrator's service, or the address of its host.`
      : `${IS_IT_RUNNING}. With Docker, publish the port (-p 8000:8000), or attach this proxy to the orchestrator's network.`,
  }),
  'no-route': ({ detail }, { baseUrl: { hostname } }) => ({
    code: 'host_unreachable',
    message: `There is no route from here to ${hostname} (${detail}).`,
    remedy: hostname.startsWith('[')
      ? 'This machine or its container may have no IPv6: use an IPv4 address, or enable IPv6 for the Docker network.'
      : 'Check the network: a Docker network of another machine cannot be reached. Use the address of the Docker host and the published port.',
  }),
  'timed-out': (_, { baseUrl: { host }, requestTimeoutMs }, isConnected) =>
    isConnected === false
      ? {
          code: 'connect_timeout',
          message: `No connection to ${host} within ${requestTimeoutMs} ms: packets are lost on the way.`,
          remedy: 'Check the address, and the firewalls between here and there. A host that is switched off looks the same.',
        }
      : {
          code: 'no_answer',
          message: `${host} accepts connections, but no answer came within ${requestTimeoutMs} ms: the orchestrator hangs.`,
          remedy:
            'Look at its log. It hangs while the container runtime (Docker) does not answer, and for up to 30 s while it stops. Restart it if it stays so. If it is only slow, raise requestTimeoutMs.',
        },
  broken: ({ detail }, { baseUrl: { host } }) =>
    /(?:^|: )bad port$|Requests to port \d+ are blocked$/.test(detail)
      ? {
          code: 'connection_broken',
          message: `No request can be sent to ${host}: fetch blocks ports that belong to other protocols.`,
          remedy: 'Let the orchestrator listen on another port, 8000 for example.',
        }
      : {
          code: 'connection_broken',
          message: `The connection to ${host} broke before an answer came (${detail}).`,
          remedy:
            "Check that the port is that of the orchestrator's API, and that it speaks http: another protocol may be at this port. If it happens only sometimes, look at the log of the orchestrator and of proxies in between.",
        },
  tls: ({ detail }) => {
    const [, cause = 'the TLS handshake failed', advice = detail] = /^no TLS connection: (.*?): (.*)$/s.exec(detail) ?? []
    const isSelfSigned = cause.includes('SELF_SIGNED')
    const isPlain = advice.startsWith('the port does not speak TLS')
    const why = isSelfSigned ? 'its certificate is self-signed' : isPlain ? 'the port does not speak TLS' : advice.replace(/[.:] .*$/s, '')
    return {
      code: 'tls_failed',
      message: `No TLS connection: ${why} (${cause}).`,
      remedy: isPlain
        ? 'Set baseUrl (ACEXY_ORCH_URL) to http://, or to the port for https.'
        : `${advice[0]?.toUpperCase()}${advice.slice(1)}.`,
    }
  },
  'not-http': ({ detail }, { baseUrl: { host } }) => ({
    code: 'not_http',
    message: `The service at ${host} does not speak HTTP (${detail}).`,
    remedy: `${IS_IT_RUNNING}.`,
  }),
  redirect: ({ status, redirectsTo }, { shown, baseUrl }) => {
    const to = redirectsTo === undefined ? null : URL.parse(redirectsTo)
    // The host of the orchestrator may have any name, also one that reads like a login.
    const isLogin = to !== null && LOGIN.test(to.hostname === baseUrl.hostname ? to.pathname : `${to.host}${to.pathname}`)
    const isUpgrade = to !== null && to.protocol === 'https:' && baseUrl.protocol === 'http:' && to.hostname === baseUrl.hostname
    if (isLogin && !isUpgrade) return loginPage(shown, ` (${status}, to ${redirectsTo})`)
    return {
      code: 'redirected',
      message: `${shown} redirects to ${redirectsTo ?? 'another address'} (${status}). Redirects are not followed: they would send the API key elsewhere.`,
      remedy: isUpgrade
        ? `${SET_URL} to https://${to.host}${baseUrl.pathname.replace(/\/$/, '')}.`
        : `${SET_URL} to the address of the orchestrator itself, behind the service that redirects.`,
    }
  },
  html: (_, { shown }) => loginPage(shown, ''),
  denied: (obstacle, { shown, hasKey }) => {
    const { status, scheme } = obstacle
    // The orchestrator rejects reads with 401 only.
    if (status !== 401 || isOfProxy(obstacle)) {
      return {
        code: 'access_denied',
        message: `A proxy in front of the orchestrator rejects the request (${status}${scheme === undefined ? '' : `, it wants ${scheme} credentials`}).`,
        remedy: `Pass its credentials in the option headers, or set baseUrl to an address behind it. ${shown} must answer without a login.`,
      }
    }
    return hasKey
      ? keyRejected(`${shown} rejects the API key (${status}), also for reads.`)
      : keyMissing(`${shown} requires an API key (${status}), and none is set.`)
  },
  missing: ({ status, isHtml }, { shown, baseUrl: { pathname } }) => ({
    code: 'wrong_service',
    message: `Another service answers at ${shown}: it does not have the paths of an orchestrator (${status}${isHtml === true ? ', a web page' : ''}).`,
    remedy: `${IS_IT_RUNNING}. ${
      pathname === '/'
        ? 'If a reverse proxy publishes it under a path, that path belongs to baseUrl: http://host/path.'
        : `Check the path ${pathname} too: it must be the prefix of a reverse proxy. A prefix that is missing, or there twice, looks like this.`
    }`,
  }),
  busy: (_, { shown }) => ({
    code: 'rate_limited',
    message: `${shown} rejects the request because there are too many (429).`,
    remedy: 'Raise the limit of the proxy in front of the orchestrator, or set baseUrl to an address behind it.',
  }),
  failing: ({ status, isHtml, isJson, detail }, { shown }) =>
    // The orchestrator explains a 503 in JSON. A proxy that has no server for the request uses its own words.
    isHtml === true || status === 502 || status === 504 || (status === 503 && isJson !== true)
      ? {
          code: 'gateway_error',
          message: `A proxy in front of the orchestrator answers ${status}: it cannot reach the orchestrator.`,
          remedy: `Check that the orchestrator is running, and the address to which the proxy at ${shown} forwards.`,
        }
      : {
          code: 'orchestrator_error',
          message: `The orchestrator at ${shown} fails: ${detail}.`,
          remedy: 'Look at its log. Often the container runtime (Docker) does not answer.',
        },
  unreadable: ({ detail }, { shown }) => ({
    code: 'malformed_answer',
    message: `${shown} answers, but not as an orchestrator does: ${detail}.`,
    remedy: `${IS_IT_RUNNING}. If it is one, a proxy in between may change its answers, or its release is not supported yet.`,
  }),
}

function loginPage(shown: string, how: string): Problem {
  return {
    code: 'login_page',
    message: `A login page or another website answers at ${shown}${how}.`,
    remedy: `${SET_URL} to the orchestrator itself (port 8000), not to a web interface. If a login protects it, let the API pass without, or send the token of the login in the option headers.`,
  }
}

/** The problem of a key that is wrong. */
export function keyRejected(message: string): Problem {
  return { code: 'key_rejected', message, remedy: `${SET_KEY}. Spaces and quotes around it count: the two must be equal.` }
}

/** The problem of a key that is required and not set. */
export function keyMissing(message: string): Problem {
  return { code: 'key_missing', message, remedy: `${SET_KEY}.` }
}

/** A problem, from its parts. */
export function problem(code: ProblemCode, message: string, remedy: string): Problem {
  return { code, message, remedy }
}
