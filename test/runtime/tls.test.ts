import { createServer as createPlainServer } from 'node:http'
import { createServer, request } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ConnectionError } from '../../src/errors.ts'
import { toConnectionError } from '../../src/runtime/connection-failure.ts'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../support/self-signed.ts'
import { failureOf, playback } from '../support/setup.ts'

async function listen(server: Server): Promise<{ port: number; connections: () => number }> {
  let connections = 0
  server.on('connection', () => (connections += 1))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, connections: () => connections }
}

function clientOf(port: number, options: object = {}): OrchestratorClient {
  const client = new OrchestratorClient({ baseUrl: `https://127.0.0.1:${port}`, healthIntervalMs: 0, reconcileIntervalMs: 0, ...options })
  onTestFinished(async () => void (await client.close({ timeoutMs: 10 })))
  return client
}

describe('an orchestrator with a TLS error', () => {
  it('gets one connection if its certificate is self-signed, and the error names the problem and the way to trust it', async () => {
    const server = createServer({ cert: SELF_SIGNED_CERTIFICATE, key: SELF_SIGNED_KEY }, (_, response) => response.end('[]'))
    const { port, connections } = await listen(server)
    const failure = await failureOf(clientOf(port).listEngines())
    expect(failure).toMatchObject({ code: 'CONNECTION', retryable: false, maybeProcessed: false })
    expect(failure).toMatchObject({ message: expect.stringMatching(/DEPTH_ZERO_SELF_SIGNED_CERT.*NODE_EXTRA_CA_CERTS/) })
    expect(connections()).toBe(1)
    // The server itself works: a client that trusts the certificate gets an answer.
    const status = await new Promise((resolve, reject) => {
      request({ port, host: '127.0.0.1', ca: SELF_SIGNED_CERTIFICATE }, ({ statusCode }) => resolve(statusCode))
        .on('error', reject)
        .end()
    })
    expect(status).toBe(200)
  })

  it('fails every call with the same error, and the circuit stays closed', async () => {
    const server = createServer({ cert: SELF_SIGNED_CERTIFICATE, key: SELF_SIGNED_KEY }, (_, response) => response.end('[]'))
    const client = clientOf((await listen(server)).port)
    for (let viewer = 0; viewer < 8; viewer += 1) {
      expect(await failureOf(client.listEngines())).toMatchObject({ code: 'CONNECTION', retryable: false })
    }
    expect(client.metrics().circuit).toBe('closed')
  })

  it('gets one connection if its port speaks plain HTTP, and the error says to use http://', async () => {
    const { port, connections } = await listen(createPlainServer((_, response) => response.end('[]')))
    const failure = await failureOf(clientOf(port).listEngines())
    expect(failure).toMatchObject({ code: 'CONNECTION', retryable: false, maybeProcessed: false })
    expect(failure).toMatchObject({ message: expect.stringContaining('set baseUrl to http://') })
    expect(connections()).toBe(1)
  })

  it('loses no event: a start stays queued, and is delivered once the certificate is trusted', async () => {
    const server = createServer({ cert: SELF_SIGNED_CERTIFICATE, key: SELF_SIGNED_KEY }, ({ method }, response) => {
      const started = { id: 'a', container_id: 'c', key_type: 'infohash', key: 'k', status: 'started' }
      const listed = [{ container_id: 'c', host: 'e', port: 1, streams: [] }]
      response.end(JSON.stringify(method === 'POST' ? started : listed))
    })
    const client = clientOf((await listen(server)).port, { dialect: 'unversioned', retry: { baseDelayMs: 1, maxDelayMs: 1 } })
    const stream = await client.streamStarted({ ...playback(), streamId: 'a', engine: { host: 'e', port: 1, containerId: 'c' } })
    expect(stream.state).toBe('announcing')
    const started = new Promise((resolve) => client.once('stream:started', resolve))
    const trusted = getCACertificates('default')
    onTestFinished(() => setDefaultCACertificates(trusted))
    setDefaultCACertificates([...trusted, SELF_SIGNED_CERTIFICATE])
    expect(await started).toEqual({ streamId: 'a', containerId: 'c', durationMs: expect.any(Number) })
    expect(stream.state).toBe('live')
  })

  it('does not prevent acquireEngine() from granting the fallback engine', async () => {
    const server = createServer({ cert: SELF_SIGNED_CERTIFICATE, key: SELF_SIGNED_KEY }, (_, response) => response.end('[]'))
    const { port } = await listen(server)
    const fallbackEngine = { host: 'spare', port: 6_878 }
    expect((await clientOf(port, { fallbackEngine }).acquireEngine()).engine).toMatchObject(fallbackEngine)
  })
})

describe('a connection error', () => {
  const plain = (text: string): string => text
  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'NODE_EXTRA_CA_CERTS'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'NODE_EXTRA_CA_CERTS'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', '--use-system-ca'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', '--use-system-ca'],
    ['CERT_HAS_EXPIRED', 'renew'],
    ['CERT_NOT_YET_VALID', 'clocks'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'another name'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'http://'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'in common'],
  ])('with the code %s is a TLS error: it is not retried, and its message says what to do', (code, hint) => {
    const error = toConnectionError('GET x', new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code }) }), plain)
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error).toMatchObject({ retryable: false, maybeProcessed: false, message: expect.stringContaining(hint) })
  })

  it.each([
    ["Node's EPROTO", 'write EPROTO 00:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../s3.c:354:', 'http://'],
    ['a TLS alert in EPROTO', 'EPROTO 00:error:0A00042E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version', 'in common'],
    ["Deno's issuer", 'client error (Connect): invalid peer certificate: UnknownIssuer', 'NODE_EXTRA_CA_CERTS'],
    ["Deno's date", 'client error (Connect): invalid peer certificate: Expired', 'renew'],
    ["Deno's name", 'client error (Connect): invalid peer certificate: certificate not valid for name "x"', 'another name'],
    ["Deno's plain port", 'client error (Connect): received corrupt message of type InvalidContentType', 'http://'],
  ])('with the text of %s is a TLS error: it is not retried, and its message says what to do', (_, message, hint) => {
    const error = toConnectionError('GET x', new TypeError(message), plain)
    expect(error).toMatchObject({ retryable: false, maybeProcessed: false, message: expect.stringContaining(hint) })
  })

  it.each(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC', 'EPROTO'])(
    'with the code %s is not a TLS error: it is retried, and the request may have been processed',
    (code) => {
      const error = toConnectionError('GET x', Object.assign(new Error('failed'), { code }), plain)
      expect(error).toMatchObject({ retryable: true, maybeProcessed: true })
    },
  )
})
