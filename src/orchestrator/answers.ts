import { AuthenticationError, MalformedResponseError, ResponseError } from '../errors.ts'
import { MAX_BODY_BYTES, toBodyTooLargeError } from '../runtime/body.ts'
import type { Redact } from '../runtime/redaction.ts'
import { type Decoder, Mismatch, readArrayOf, readText } from './decoding.ts'
import { addLocation, type RequestLocation } from './request-location.ts'
import { parseRetryAfter } from './timestamps.ts'

/** An answer of the orchestrator, or of a proxy in front of it. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
  readonly location: RequestLocation
}

/**
 * Checks what a transport returned for a request.
 *
 * @throws {@link MalformedResponseError} if it is no answer, or if its body is longer than 8 MiB
 */
export function answerFrom(returned: unknown, location: RequestLocation): Answer {
  const { status, headers, body } = (typeof returned === 'object' && returned !== null ? returned : {}) as Readonly<Record<string, unknown>>
  if (!isStatus(status) || typeof body !== 'string') {
    throw new MalformedResponseError(`${location.label}: the transport returned no status, headers and body`)
  }
  if (body.length > MAX_BODY_BYTES) throw toBodyTooLargeError(location.label, status)
  return { status, headers: headersFrom(headers), body, location }
}

function isStatus(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 100 && Number(value) <= 599
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

/** Reads the headers that a transport returned: `Headers`, another implementation of it, pairs, or an object. Empty if unreadable. */
export function headersFrom(headers: unknown): Headers {
  if (headers instanceof Headers) return headers
  try {
    const pairs = isIterable(headers) ? [...headers] : Object.entries(headers ?? {})
    return new Headers(readArrayOf(pairs, readHeader))
  } catch {
    return new Headers()
  }
}

function readHeader(pair: unknown): [string, string] {
  const [name, value] = Array.isArray(pair) ? pair : []
  return [readText(name), readText(value)]
}

/** Whether a status is a success. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299
}

const QUOTED_LENGTH = 200

/**
 * Makes the error for an answer with a status outside 200-299. Its message explains the most likely cause.
 *
 * @param answer with a body without secrets
 */
export function responseErrorFrom({ status, headers, body, location }: Answer, wallNowMs: number, redact: Redact): ResponseError {
  const ErrorClass = status === 401 || status === 403 ? AuthenticationError : ResponseError
  const meaning = meaningOf(status, headers, body, location, redact)
  const retryAfterMs = parseRetryAfter(headers, wallNowMs)
  return new ErrorClass(`${location.label}: answered ${status}${meaning === '' ? '' : `: ${meaning}`}`, { status, body, retryAfterMs })
}

function meaningOf(status: number, headers: Headers, body: string, { url, label }: RequestLocation, redact: Redact): string {
  if (status >= 300 && status <= 399) {
    const target = headers.has('location') ? URL.parse(headers.get('location') ?? '', url) : null
    const to = target === null ? '' : redact(`, this one goes to ${target.origin}${target.pathname}`)
    const asked = URL.parse(url)
    const isOnlyMoved = target !== null && target.pathname === asked?.pathname && target.origin !== asked.origin
    const advice = isOnlyMoved ? `if the orchestrator is there, begin baseUrl with ${redact(target.origin)}` : wrongServiceHint(url)
    return `redirects are not followed${to}; ${advice}`
  }
  const quoted = body.slice(0, QUOTED_LENGTH).trim()
  // A 5xx with a web page comes from a proxy that cannot reach the orchestrator: `baseUrl` is right.
  if (status >= 500) return looksLikeHtml(body) ? 'HTML: a proxy in front of the orchestrator cannot reach it' : quoted
  if (wantsOtherCredentials(headers)) return `a proxy in front of the orchestrator wants ${schemeOf(headers)} credentials`
  const said = htmlHint(body, url) ?? quoted
  const advice = status === 404 && said === quoted ? ADVICE_ON_404.find(([requests]) => requests.test(label))?.[1] : undefined
  return [said, advice].filter(Boolean).join('; ')
}

/** What it means that a path does not exist which every orchestrator has, by the beginning of the request's label. */
const ADVICE_ON_404: readonly (readonly [RegExp, string])[] = [
  [/^GET \S+\/(?:engines|streams)\b/, 'an orchestrator has this list. Check the port and the path of baseUrl, and the option dialect'],
  [
    /^\S+ \S+\/(?:orchestrator\/status|provision\/acestream)\b/,
    'the internal port of v1 (8083) lacks this path. Set baseUrl to its port 8000',
  ],
]

/** The scheme in `WWW-Authenticate`: `basic`, `bearer`, … `undefined`: there is none. */
export function schemeOf(headers: Headers): string | undefined {
  return /^[\w-]+/.exec(headers.get('www-authenticate') ?? '')?.[0].toLowerCase()
}

/** Whether credentials are wanted that an orchestrator never wants: it knows bearer tokens only. */
function wantsOtherCredentials(headers: Headers): boolean {
  return (schemeOf(headers) ?? 'bearer') !== 'bearer'
}

/** Whether a rejection comes from a proxy in front of the orchestrator, whose own rejections are JSON or plain text, and want a bearer token. */
export function isRejectedByProxy({ headers, body }: Pick<Answer, 'headers' | 'body'>): boolean {
  return wantsOtherCredentials(headers) || looksLikeHtml(body) || /\bhtml\b/i.test(headers.get('content-type') ?? '')
}

/** A text that should be JSON. */
export interface JsonText {
  /** Names the request or the event that brought it, in errors. */
  readonly label: string
  readonly status?: number | undefined
  /** Where the request went, if the text is the body of an answer. */
  readonly location?: RequestLocation
  readonly body: string
  readonly redact: Redact
}

/**
 * Parses a text as JSON of one shape.
 *
 * @throws {@link MalformedResponseError}, and no other error
 */
export function decode<Output>(text: JsonText, read: Decoder<Output>): Output {
  const value = parseJson(text)
  return decodePart(text, () => read(value))
}

/**
 * Decodes a part of a text that was parsed already.
 *
 * @throws {@link MalformedResponseError}, and no other error
 */
export function decodePart<Output>(text: JsonText, read: () => Output): Output {
  try {
    return read()
  } catch (error) {
    throw error instanceof Mismatch ? malformed(text, error.describe('body')) : error
  }
}

/** Makes the error for a text that cannot be used, with the reason. */
export function malformed({ label, status, body, redact, location }: JsonText, reason: string): MalformedResponseError {
  const error = new MalformedResponseError(redact(`${label}: malformed answer: ${reason}`), { status, body: redact(body) })
  return location === undefined ? error : addLocation(error, location)
}

function parseJson(text: JsonText): unknown {
  // A transport of the host may return more than its contract allows.
  if (text.body.length > MAX_BODY_BYTES) throw malformed(text, `longer than ${MAX_BODY_BYTES} bytes`)
  try {
    return JSON.parse(text.body)
  } catch {
    // Without a cause: the message of a `SyntaxError` quotes the body, which may hold secrets.
    const html = text.location && htmlHint(text.body, text.location.url)
    throw malformed(text, html ?? (text.body === '' ? 'empty' : 'not JSON'))
  }
}

const HTML = /^\s*(?:<!--[\s\S]{0,1000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b/i

/** Whether a body begins as a web page does. */
export function looksLikeHtml(body: string): boolean {
  return HTML.test(body)
}

/** Explains an HTML page that came in place of an answer; `undefined` if the body is not HTML. */
function htmlHint(body: string, url: string): string | undefined {
  return looksLikeHtml(body) ? `HTML: ${wrongServiceHint(url)}` : undefined
}

function wrongServiceHint(url: string): string {
  return `a login page or another service answers at ${URL.parse(url)?.origin ?? url}; check baseUrl`
}
