import { ConnectionError, OrchestratorError } from '../errors.ts'
import { listCauses, listFailures, readText, setErrorField } from './error-fields.ts'
import type { Redact } from './redaction.ts'
import { wasNeverSent } from './unreachable.ts'

/** The fields of this library's errors that may contain foreign text. */
const TEXT_FIELDS = ['message', 'stack', 'body', 'reason', 'argument'] as const
/**
 * Makes a {@link ConnectionError} of any error that a transport threw. It contains no part of the request, which may hold the API key.
 *
 * @param label names the request in the message
 */
export function toConnectionError(label: string, error: unknown, redact: Redact): ConnectionError {
  const links = listFailures(error).map(toLink)
  const code = links.find((link) => link.code !== '')?.code
  const message = links.findLast((link) => link.message !== '')?.message
  const why = redact(code ?? message ?? 'the connection failed')
  const cause = copyRedacted(error, redact)
  // Without the attempts that an error has: one of several may have sent the request.
  const tlsAdvice = findAdvice(listCauses(error).map(toLink), TLS_ADVICE)
  // A failed TLS handshake sends nothing of the request. It fails again until the configuration is changed.
  if (tlsAdvice !== undefined)
    return new ConnectionError(`${label}: no TLS connection: ${why}: ${tlsAdvice}`, { maybeProcessed: false, retryable: false, cause })
  const found = findAdvice(links, NETWORK_ADVICE)
  const advice = found === NETWORK.broken && label.includes(' https://') ? NETWORK.brokenTls : found
  return new ConnectionError(`${label}: no answer: ${why}${advice === undefined ? '' : `: ${advice}`}`, {
    maybeProcessed: !wasNeverSent(error),
    cause,
  })
}

/** The message of a {@link ConnectionError} without the advice about the network. */
export function withoutNetworkAdvice(message: string): string {
  const advice = Object.values(NETWORK).find((text) => message.endsWith(`: ${text}`))
  return advice === undefined ? message : message.slice(0, -advice.length - 2)
}

/**
 * Removes secrets from an error of this library. A transport of the host may have put any text into it. Returns the same object, so that
 * its fields are kept. Foreign causes are replaced by redacted copies.
 */
export function redactError<Failure extends OrchestratorError>(error: Failure, redact: Redact): Failure {
  for (const link of listCauses(error)) {
    if (!(link instanceof OrchestratorError)) break
    for (const field of TEXT_FIELDS) {
      const before = readText(link, field)
      const after = redact(before)
      if (after !== before) setErrorField(link, field, after)
    }
    const { cause } = link
    if (cause !== undefined && !(cause instanceof OrchestratorError)) setErrorField(link, 'cause', copyRedacted(cause, redact))
  }
  return error
}

/**
 * Copies a foreign error with its name, message, code and causes only. HTTP clients put the request with its headers into other fields.
 */
function copyRedacted(error: unknown, redact: Redact): Error | undefined {
  return listCauses(error).reduceRight<Error | undefined>((inner, link) => {
    const message = typeof link === 'string' ? link : readText(link, 'message')
    const copy = new Error(redact(message), inner === undefined ? undefined : { cause: inner })
    const name = readText(link, 'name')
    if (name !== '') copy.name = redact(name)
    const code = readText(link, 'code')
    return code === '' ? copy : Object.assign(copy, { code: redact(code) })
  }, undefined)
}

const UNTRUSTED =
  'the issuer of the certificate is not trusted. On Node, set NODE_EXTRA_CA_CERTS to a PEM file with its CA, or start with --use-system-ca'
const OUTDATED = 'the certificate is not valid at this time: renew it, and check the clocks of both machines'
const WRONG_NAME = 'the certificate is for another name. Set baseUrl to a name of the certificate'
const NOT_TLS = 'the port does not speak TLS: set baseUrl to http://, or to the port for https'
const HANDSHAKE_FAILED =
  'the TLS handshake failed. If the port does not speak TLS, set baseUrl to http://. Otherwise check the TLS settings'
const NOTHING_IN_COMMON =
  'client and server have no TLS version, cipher or name in common, or the server requires a client certificate. Check its TLS settings'

/** What to do about failures, by the codes of their errors, and for errors without a known code by their messages. */
interface Advice {
  readonly byCode: ReadonlyMap<string, string>
  readonly byMessage: readonly (readonly [RegExp, string])[]
}

/** The codes of OpenSSL, Node and Bun for a failed TLS handshake. */
const TLS_CODES: ReadonlyMap<string, string> = new Map([
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
  ].map((code) => [code, UNTRUSTED] as const),
  ['CERT_HAS_EXPIRED', OUTDATED],
  ['CERT_NOT_YET_VALID', OUTDATED],
  ['ERR_TLS_CERT_ALTNAME_INVALID', WRONG_NAME],
  ['HOSTNAME_MISMATCH', WRONG_NAME],
  ['ERR_SSL_WRONG_VERSION_NUMBER', NOT_TLS],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', NOT_TLS],
  ['ERR_SSL_HTTP_REQUEST', NOT_TLS],
  ...[
    'ERR_SSL_UNSUPPORTED_PROTOCOL',
    'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
    'ERR_SSL_NO_CIPHERS_AVAILABLE',
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'ERR_SSL_DH_KEY_TOO_SMALL',
  ].map((code) => [code, NOTHING_IN_COMMON] as const),
])

/** Messages of Deno, which has no codes, and of the code `EPROTO` of Node and Bun, which covers all failures of OpenSSL. */
const TLS_MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/invalid peer certificate: (?:Expired|NotValidYet)|certificate (?:has expired|is not yet valid)/i, OUTDATED],
  [/invalid peer certificate: (?:certificate not valid for name|NotValidForName)/i, WRONG_NAME],
  [/invalid peer certificate|self[- ]signed certificate|unable to verify the first certificate/i, UNTRUSTED],
  [/wrong version number|packet length too long|corrupt message of type InvalidContentType/i, NOT_TLS],
  [/SSL routines.*(?:unsupported protocol|alert protocol version|alert handshake failure|unrecognized name)/i, NOTHING_IN_COMMON],
  // Bun does not say why.
  [/TLS handshake failed/, HANDSHAKE_FAILED],
]

const TLS_ADVICE: Advice = { byCode: TLS_CODES, byMessage: TLS_MESSAGES }

const NETWORK = {
  unknownHost: 'the host name cannot be resolved here. The name of a Docker service exists only in its Docker network',
  refused: 'nothing listens there. Check the port, and that the orchestrator is running. In a container, localhost is the container itself',
  noRoute: 'there is no route to the host. An address of a Docker network exists only on its machine',
  lost: 'packets are lost on the way. Check the address, and the firewalls between here and there',
  broken: 'the connection broke. If this lasts, check the port: it may speak TLS (https://), or another protocol',
  brokenTls: 'the connection broke. If this lasts, check the port: it may speak no TLS (http://), or another protocol',
  notHttp: 'the service at this port does not speak HTTP. Check the port',
  blocked: 'fetch blocks this port, which belongs to another protocol. Let the orchestrator listen on another port',
} as const

const NETWORK_ADVICE: Advice = {
  byCode: new Map([
    ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL'].map((code) => [code, NETWORK.unknownHost] as const),
    ...['ECONNREFUSED', 'ConnectionRefused'].map((code) => [code, NETWORK.refused] as const),
    ...['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'].map((code) => [code, NETWORK.noRoute] as const),
    ...['ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT'].map((code) => [code, NETWORK.lost] as const),
    ...['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].map((code) => [code, NETWORK.broken] as const),
    ['InvalidHTTPResponse', NETWORK.notHttp],
  ]),
  byMessage: [
    [/HTTP\/1\.1 protocol|HPE_|Parse Error|invalid HTTP|malformed.?HTTP/i, NETWORK.notHttp],
    [/^bad port$|Requests to port \d+ are blocked/, NETWORK.blocked],
    // Deno has no codes.
    [/dns error/, NETWORK.unknownHost],
    [/connection refused|actively refused/i, NETWORK.refused],
    [/no route to host|network is unreachable|unreachable (?:host|network)/i, NETWORK.noRoute],
    [/tcp connect error: .*timed out/i, NETWORK.lost],
    [/connection reset|forcibly closed|closed before message completed/i, NETWORK.broken],
  ],
}

/** The fields of an error, or of one of its causes, that say what failed. */
interface Link {
  readonly code: string
  readonly message: string
}

const toLink = (error: unknown): Link => ({ code: readText(error, 'code'), message: readText(error, 'message') })

/** Finds the advice for a failure in the chain of its errors. `undefined`: there is none for it. */
function findAdvice(chain: readonly Link[], { byCode, byMessage }: Advice): string | undefined {
  for (const { code } of chain) {
    const advice = byCode.get(code)
    if (advice !== undefined) return advice
  }
  for (const { message } of chain) {
    const found = byMessage.find(([pattern]) => pattern.test(message))
    if (found !== undefined) return found[1]
  }
  return undefined
}
