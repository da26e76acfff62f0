import * as v from 'valibot'
import { AuthenticationError, MalformedResponseError, ResponseError } from '../errors.ts'
import { MAX_BODY_BYTES, toBodyTooLargeError } from '../runtime/body.ts'
import type { Redact } from '../runtime/redaction.ts'
import { addLocation, type RequestLocation } from './request-location.ts'
import { parseRetryAfter } from './timestamps.ts'

/** An answer of the orchestrator, or of a proxy in front of it. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
  readonly location: RequestLocation
}

const AnswerSchema = v.object({
  status: v.pipe(v.number(), v.integer(), v.minValue(100), v.maxValue(599)),
  headers: v.optional(v.unknown()),
  body: v.string(),
})

/**
 * Checks what a transport returned for a request.
 *
 * @throws {@link MalformedResponseError} if it is no answer, or if its body is longer than 8 MiB
 */
export function answerFrom(returned: unknown, location: RequestLocation): Answer {
  const result = v.safeParse(AnswerSchema, returned)
  if (!result.success) throw new MalformedResponseError(`${location.label}: the transport returned no status, headers and body`)
  const { status, body } = result.output
  if (body.length > MAX_BODY_BYTES) throw toBodyTooLargeError(location.label, status)
  return { status, headers: headersFrom(result.output.headers), body, location }
}

const IterableSchema = v.custom<Iterable<unknown>>((value) => typeof value === 'object' && value !== null && Symbol.iterator in value)
const HeaderPairsSchema = v.array(v.tuple([v.string(), v.string()]))

/** Reads the headers that a transport returned: `Headers`, another implementation of it, pairs, or an object. Empty if unreadable. */
export function headersFrom(headers: unknown): Headers {
  if (headers instanceof Headers) return headers
  try {
    const pairs = v.is(IterableSchema, headers) ? [...headers] : Object.entries(headers ?? {})
    return new Headers(v.parse(HeaderPairsSchema, pairs))
  } catch {
    return new Headers()
  }
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

function meaningOf(status: number, headers: Headers, body: string, { url }: RequestLocation, redact: Redact): string {
  if (status >= 300 && status <= 399) {
    const target = headers.has('location') ? URL.parse(headers.get('location') ?? '', url) : null
    const to = target === null ? '' : redact(`, this one goes to ${target.origin}${target.pathname}`)
    return `redirects are not followed${to}; ${wrongServiceHint(url)}`
  }
  // A 5xx with a web page comes from a proxy that cannot reach the orchestrator: `baseUrl` is right.
  const html = status < 500 ? htmlHint(body, url) : undefined
  return html ?? body.slice(0, QUOTED_LENGTH).trim()
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
export function decode<Output>(text: JsonText, schema: v.GenericSchema<unknown, Output>): Output {
  const result = v.safeParse(schema, parseJson(text), { abortEarly: true, abortPipeEarly: true })
  if (result.success) return result.output
  throw malformed(text, expectation(result.issues[0], 'body'))
}

/**
 * Describes a wrong value by its path and the expected type: `engines.0.port: expected integer`. It never shows the value, which may be a secret.
 *
 * @param whole name of the value if it is wrong as a whole
 */
export function expectation(issue: v.BaseIssue<unknown>, whole: string): string {
  return `${v.getDotPath(issue) ?? whole}: expected ${issue.expected ?? issue.message}`
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

/** Explains an HTML page that came in place of an answer; `undefined` if the body is not HTML. */
function htmlHint(body: string, url: string): string | undefined {
  return HTML.test(body) ? `HTML: ${wrongServiceHint(url)}` : undefined
}

function wrongServiceHint(url: string): string {
  return `a login page or another service answers at ${URL.parse(url)?.origin ?? url}; check baseUrl`
}
