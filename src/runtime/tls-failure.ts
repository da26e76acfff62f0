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
export function tlsHint(chain: readonly { readonly code: string; readonly message: string }[]): string | undefined {
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
