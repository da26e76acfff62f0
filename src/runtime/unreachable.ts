import { listCauses, readField, readText } from './error-fields.ts'

/** Codes of Node, undici and older Bun for a connection that was never made: the request was certainly not sent. */
const NEVER_SENT_CODES: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'ConnectionRefused',
  'FailedToOpenSocket',
])
/** Codes for a host that cannot be reached: the codes above, and codes after which a part of the request may have been sent. */
const UNREACHABLE_CODES: ReadonlySet<unknown> = new Set([...NEVER_SENT_CODES, 'ETIMEDOUT', 'EHOSTDOWN', 'ENETDOWN', 'ConnectionTimeout'])
/** Deno's `fetch` has no codes. Its message says that the connection failed. */
const DENO_NEVER_SENT = /: client error \(Connect\)/

/** Whether an error of any HTTP client, or one of its causes, says that a host cannot be reached or refuses connections. */
export function isUnreachable(error: unknown): boolean {
  return hasCode(error, UNREACHABLE_CODES)
}

/** Whether an error says that a connection was never made, so that no part of the request was sent. */
export function wasNeverSent(error: unknown): boolean {
  return hasCode(error, NEVER_SENT_CODES)
}

function hasCode(error: unknown, codes: ReadonlySet<unknown>): boolean {
  return listCauses(error).some((link) => {
    if (codes.has(readField(link, 'code')) || DENO_NEVER_SENT.test(readText(link, 'message'))) return true
    // Node tries each address of a host. Each attempt must have such a code: otherwise one may have connected before it failed.
    const attempts = readField(link, 'errors')
    return Array.isArray(attempts) && attempts.length > 0 && attempts.every((attempt) => codes.has(readField(attempt, 'code')))
  })
}
