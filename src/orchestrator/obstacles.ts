import { classifyFailure, type OrchestratorError, ResponseError } from '../errors.ts'
import { FAILURES } from '../failures.ts'
import { listFailures, readText } from '../runtime/error-fields.ts'
import type { Redact } from '../runtime/redaction.ts'

/** Why a read of the orchestrator failed, for a diagnosis. The first group got no answer, the second got one. */
export type ObstacleKind =
  | 'host-not-found'
  | 'refused'
  | 'no-route'
  | 'timed-out'
  | 'broken'
  | 'tls'
  | 'not-http'
  // The service redirects, answers with a web page, rejects the credentials, or does not have the route.
  | 'redirect'
  | 'html'
  | 'denied'
  | 'missing'
  | 'busy'
  | 'failing'
  | 'unreadable'

/** What stands between this client and the orchestrator. No text has a secret. */
export interface Obstacle {
  readonly kind: ObstacleKind
  /** The error, without the request that its message names. */
  readonly detail: string
  /** The status of the answer, if there was one. */
  readonly status?: number
  /** Whether the answer was a web page. */
  readonly isHtml?: boolean
  /** Whether the answer looked like an object of JSON. */
  readonly isJson?: boolean
  /** Where a redirect goes: origin and path. */
  readonly redirectsTo?: string
  /** The scheme in `WWW-Authenticate`: `basic`, `bearer`, … */
  readonly scheme?: string
}

/** The parts of an answer that show what answered. */
export interface AnswerTraits {
  readonly status: number
  readonly url: string
  readonly headers: Headers
  readonly body: string
  /** Whether the body begins as a web page does. */
  readonly hasHtml: boolean
  /** The scheme in `WWW-Authenticate`. */
  readonly scheme: string | undefined
}

const KIND_BY_CODE: ReadonlyMap<string, ObstacleKind> = new Map([
  ['ENOTFOUND', 'host-not-found'],
  ['EAI_AGAIN', 'host-not-found'],
  ['EAI_FAIL', 'host-not-found'],
  ['ECONNREFUSED', 'refused'],
  ['ConnectionRefused', 'refused'],
  ['EHOSTUNREACH', 'no-route'],
  ['ENETUNREACH', 'no-route'],
  ['EHOSTDOWN', 'no-route'],
  ['ENETDOWN', 'no-route'],
  ['EADDRNOTAVAIL', 'no-route'],
  ['ETIMEDOUT', 'timed-out'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timed-out'],
])

/** Messages of Node, Deno and Bun for an answer that is not HTTP. */
const NOT_HTTP = /HTTP\/1\.1 protocol|HPE_|invalid HTTP|malformed.?HTTP/i

/** Messages of Deno, which has no codes. */
const KIND_BY_MESSAGE: readonly (readonly [RegExp, ObstacleKind])[] = [
  [/dns error/, 'host-not-found'],
  [/connection refused|actively refused/i, 'refused'],
  [/no route to host|network is unreachable|unreachable (?:host|network)/i, 'no-route'],
  [/tcp connect error: .*timed out/i, 'timed-out'],
]

/** The kind of a connection that failed, by the codes of its errors. */
export function kindOfConnectionError(error: unknown): ObstacleKind {
  for (const link of listFailures(error)) {
    const code = readText(link, 'code')
    if (code.startsWith('HPE_') || code === 'InvalidHTTPResponse') return 'not-http'
    const kind = KIND_BY_CODE.get(code)
    if (kind !== undefined) return kind
    // Older errors of Node and errors of other HTTP clients name the code in the message only.
    const message = readText(link, 'message')
    if (NOT_HTTP.test(message)) return 'not-http'
    const kindByMessage = KIND_BY_CODE.get(/\bE[A-Z_]{5,}\b/.exec(message)?.[0] ?? '')
    if (kindByMessage !== undefined) return kindByMessage
    const found = KIND_BY_MESSAGE.find(([pattern]) => pattern.test(message))
    if (found !== undefined) return found[1]
  }
  return 'broken'
}

/**
 * Finds out why a request failed.
 *
 * @param message of the error, without advice
 */
export function obstacleFrom(error: OrchestratorError, message: string, answer: AnswerTraits | undefined, redact: Redact): Obstacle {
  const detail = redact(withoutLabel(message))
  if (error instanceof ResponseError || error.code === 'MALFORMED_RESPONSE') return answeredObstacle(error, answer, detail, redact)
  if (error.code === 'REQUEST_TIMEOUT') return { kind: 'timed-out', detail }
  return { kind: classifyFailure(error) === FAILURES.noTls ? 'tls' : kindOfConnectionError(error), detail }
}

function answeredObstacle(error: OrchestratorError, answer: AnswerTraits | undefined, detail: string, redact: Redact): Obstacle {
  const status = error instanceof ResponseError ? error.status : (answer?.status ?? 200)
  const contentType = answer?.headers.get('content-type') ?? ''
  const isHtml = /\bhtml\b/i.test(contentType) || answer?.hasHtml === true
  const target = answer?.headers.get('location')
  const to = target === null || target === undefined ? null : URL.parse(target, answer?.url)
  return {
    kind: kindOfStatus(status, isHtml),
    detail,
    status,
    isHtml,
    isJson: /^\s*\{/.test(answer?.body ?? ''),
    ...(to === null ? {} : { redirectsTo: redact(`${to.origin}${to.pathname}`) }),
    ...(answer?.scheme === undefined ? {} : { scheme: answer.scheme }),
  }
}

function kindOfStatus(status: number, isHtml: boolean): ObstacleKind {
  if (status >= 200 && status <= 299) return isHtml ? 'html' : 'unreadable'
  if (status >= 300 && status <= 399) return 'redirect'
  if (status === 401 || status === 403 || status === 407) return 'denied'
  if (status === 404 || status === 405 || status === 410 || status === 501) return 'missing'
  if (status === 429) return 'busy'
  return status >= 500 ? 'failing' : 'unreadable'
}

/** Whether a rejection comes from a proxy in front of the orchestrator, whose own rejections are JSON or plain text, and want a bearer token. */
export function isOfProxy({ kind, isHtml, scheme }: Obstacle): boolean {
  return kind === 'denied' && (isHtml === true || (scheme ?? 'bearer') !== 'bearer')
}

/** The message of an error without the method and the URL at its beginning. */
function withoutLabel(message: string): string {
  return message.replace(/^[A-Z]+ https?:\/\/\S+?(?: \(\w+\))?: (?:no answer: )?/, '')
}
