import { ConnectionError, OrchestratorError } from '../errors.ts'
import type { Redact } from './redaction.ts'

/** Codes that say that no connection was made, so that nothing of the request left. Node's, undici's and older Bun's. */
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
/** Further codes of an attempt to connect that came to nothing, though something may have been sent. */
const UNREACHABLE_CODES: ReadonlySet<unknown> = new Set([...NEVER_SENT_CODES, 'ETIMEDOUT', 'EHOSTDOWN', 'ENETDOWN', 'ConnectionTimeout'])
/** Deno's fetch gives no codes; its text tells where in the exchange it failed. */
const DENO_NEVER_SENT = /: client error \(Connect\)/
/** The fields of our errors that may quote somebody. */
const TEXT_FIELDS = ['message', 'stack', 'body', 'reason', 'argument'] as const
/** A cause chain longer than this is a loop, or of no use to a reader. */
const LONGEST_CHAIN = 8

/** Whether it is certain that the request never left: the connection was refused, or the host's name was not found. */
function isNeverSent(error: unknown): boolean {
  return hasCode(error, NEVER_SENT_CODES)
}

/** Whether an error, of whichever HTTP client, says that a host cannot be reached or refuses connections. Looks into causes. */
export function isUnreachable(error: unknown): boolean {
  return hasCode(error, UNREACHABLE_CODES)
}

function hasCode(error: unknown, codes: ReadonlySet<unknown>): boolean {
  return causes(error).some((cause) => {
    if (codes.has(read(cause, 'code')) || DENO_NEVER_SENT.test(text(cause, 'message'))) return true
    // One of several addresses may have been connected to before it failed.
    const attempts = read(cause, 'errors')
    return Array.isArray(attempts) && attempts.length > 0 && attempts.every((attempt) => codes.has(read(attempt, 'code')))
  })
}

/** Turns whatever a transport threw into a {@link ConnectionError} that holds nothing of the request. */
export function connectionError(label: string, error: unknown, redact: Redact): ConnectionError {
  const chain = causes(error)
  const code = chain.map((cause) => text(cause, 'code')).find((found) => found !== '')
  const message = chain.map((cause) => text(cause, 'message')).findLast((found) => found !== '')
  const what = redact(code ?? message ?? 'the connection failed')
  const cause = sanitised(error, redact)
  const hint = tlsHint(chain.map((link) => ({ code: text(link, 'code'), message: text(link, 'message') })))
  // A handshake that failed carried nothing of the request, and fails again until somebody changes something.
  if (hint !== undefined)
    return new ConnectionError(`${label}: no TLS: ${what}: ${hint}`, { maybeProcessed: false, retryable: false, cause })
  return new ConnectionError(`${label}: no answer: ${what}`, { maybeProcessed: !isNeverSent(error), cause })
}

/**
 * A copy of a foreign error with its name, message, code and causes, and without anything else it may hold: HTTP clients keep the
 * request, with its headers, in theirs.
 */
function sanitised(error: unknown, redact: Redact): Error | undefined {
  return causes(error).reduceRight<Error | undefined>((inner, cause) => {
    const message = typeof cause === 'string' ? cause : text(cause, 'message')
    const copy = new Error(redact(message), inner === undefined ? undefined : { cause: inner })
    const name = text(cause, 'name')
    if (name !== '') copy.name = redact(name)
    const code = text(cause, 'code')
    return code === '' ? copy : Object.assign(copy, { code: redact(code) })
  }, undefined)
}

/**
 * Takes secrets out of one of our own errors, which a transport of the host's may have made with anything in it. The error stays the
 * same object, so that what the transport knew about it is kept; foreign causes become copies.
 */
export function scrub<Failure extends OrchestratorError>(error: Failure, redact: Redact): Failure {
  for (const link of causes(error)) {
    if (!(link instanceof OrchestratorError)) break
    for (const field of TEXT_FIELDS) {
      const before = text(link, field)
      const after = redact(before)
      if (after !== before) replace(link, field, after)
    }
    const { cause } = link
    if (cause !== undefined && !(cause instanceof OrchestratorError)) replace(link, 'cause', sanitised(cause, redact))
  }
  return error
}

/** Sets a field of an error, which is read-only to everybody else. A new field is hidden, unless it is to be `shown`. */
export function replace(error: object, field: string, value: unknown, shown = false): void {
  const enumerable = Object.getOwnPropertyDescriptor(error, field)?.enumerable ?? shown
  Reflect.defineProperty(error, field, { value, enumerable, configurable: true, writable: true })
}

/** The error and what it names as its cause, outermost first. */
function causes(error: unknown): unknown[] {
  const chain: unknown[] = []
  for (let next = error; next !== undefined && next !== null && chain.length < LONGEST_CHAIN; next = read(next, 'cause')) {
    chain.push(next)
  }
  return chain
}

function text(value: unknown, key: string): string {
  const found = read(value, key)
  return typeof found === 'string' ? found : ''
}

/** A property of something of which nothing is known; a getter of it may even throw. */
function read(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

const TRUST =
  'the certificate is signed by nobody that this process trusts. On Node, set NODE_EXTRA_CA_CERTS to a PEM file with its CA, or start with --use-system-ca'
const DATES = 'the certificate is not valid at this time: renew it, and check the clocks of both machines'
const NAME = 'the certificate is for another name: set baseUrl to a name that it is for'
const PLAIN = 'no TLS is spoken at this port: set baseUrl to http://, or to the port for https'
const TERMS = 'client and server have no version, cipher or name of TLS in common, or the server wants a certificate of the client'

/** The codes of OpenSSL, Node and Bun with which a TLS handshake fails, before anything of a request is sent. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ...[
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'CERT_UNTRUSTED',
    'CERT_REJECTED',
    'CERT_REVOKED',
    'CERT_CHAIN_TOO_LONG',
    'CERT_SIGNATURE_FAILURE',
    'INVALID_CA',
    'INVALID_PURPOSE',
    'PATH_LENGTH_EXCEEDED',
    'UNKNOWN_CERTIFICATE_VERIFICATION_ERROR',
  ].map((code) => [code, TRUST] as const),
  ['CERT_HAS_EXPIRED', DATES],
  ['CERT_NOT_YET_VALID', DATES],
  ['ERR_TLS_CERT_ALTNAME_INVALID', NAME],
  ['HOSTNAME_MISMATCH', NAME],
  ['ERR_SSL_WRONG_VERSION_NUMBER', PLAIN],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', PLAIN],
  ['ERR_SSL_HTTP_REQUEST', PLAIN],
  ...[
    'ERR_SSL_UNSUPPORTED_PROTOCOL',
    'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
    'ERR_SSL_NO_CIPHERS_AVAILABLE',
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'ERR_SSL_DH_KEY_TOO_SMALL',
  ].map((code) => [code, TERMS] as const),
])

/** Texts of runtimes without codes (Deno's rustls), and of Node's `EPROTO`, which stands for any failure of OpenSSL. */
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/invalid peer certificate: (?:Expired|NotValidYet)|certificate (?:has expired|is not yet valid)/i, DATES],
  [/invalid peer certificate: (?:certificate not valid for name|NotValidForName)/i, NAME],
  [/invalid peer certificate|self[- ]signed certificate|unable to verify the first certificate/i, TRUST],
  [/wrong version number|packet length too long|corrupt message of type InvalidContentType/i, PLAIN],
  [/SSL routines.*(?:unsupported protocol|alert protocol version|alert handshake failure|unrecognized name)/i, TERMS],
]

/** What to do about a TLS handshake that failed, from the errors of its chain; `undefined` for any other failure. */
function tlsHint(chain: readonly { readonly code: string; readonly message: string }[]): string | undefined {
  for (const { code } of chain) {
    const hint = HINTS.get(code)
    if (hint !== undefined) return hint
  }
  for (const { message } of chain) {
    const found = TEXTS.find(([pattern]) => pattern.test(message))
    if (found !== undefined) return found[1]
  }
  return undefined
}
