import * as v from 'valibot'
import { MalformedResponseError } from '../errors.ts'
import { LARGEST_BODY_BYTES } from '../runtime/body.ts'
import type { Redact } from '../runtime/redaction.ts'
import { htmlHint, locate, type Where } from './where.ts'

/** An answer's body, with what an error about it has to say. */
export interface ReceivedBody {
  /** The route or the event it came by. */
  readonly label: string
  readonly status?: number | undefined
  /** Where it came from, where it is an answer. */
  readonly where?: Where
  readonly body: string
  readonly redact: Redact
}

/**
 * Parses a body as JSON of one shape.
 *
 * @throws {@link MalformedResponseError} for everything else, and nothing but that
 */
export function decode<Output>(received: ReceivedBody, schema: v.GenericSchema<unknown, Output>): Output {
  const result = v.safeParse(schema, parseJson(received), { abortEarly: true, abortPipeEarly: true })
  if (result.success) return result.output
  throw malformed(received, expectation(result.issues[0], 'body'))
}

/** The path of a wrong value, or `whole`, and what was expected there; never what was received: that may hold anything. */
export function expectation(issue: v.BaseIssue<unknown>, whole: string): string {
  return `${v.getDotPath(issue) ?? whole}: expected ${issue.expected ?? issue.message}`
}

/** The body as JSON of any shape. */
function parseJson(received: ReceivedBody): unknown {
  // Other transports than ours may hand on more than they should.
  if (received.body.length > LARGEST_BODY_BYTES) throw malformed(received, `longer than ${LARGEST_BODY_BYTES} bytes`)
  try {
    return JSON.parse(received.body)
  } catch {
    // A syntax error quotes the body, so it is not kept as the cause.
    const html = received.where && htmlHint(received.body, received.where)
    throw malformed(received, html ?? (received.body === '' ? 'empty' : 'not JSON'))
  }
}

/** The error for a body that makes no sense. */
export function malformed({ label, status, body, redact, where }: ReceivedBody, what: string): MalformedResponseError {
  const error = new MalformedResponseError(redact(`${label}: malformed answer: ${what}`), { status, body: redact(body) })
  return where === undefined ? error : locate(error, where)
}
