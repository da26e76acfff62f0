import { describe, expect, it } from 'vitest'
import { ConnectionError, OrchestratorError, RequestTimeoutError } from '../../src/errors.ts'
import { setup } from '../support/setup.ts'
import { StubTransport } from '../support/stub-transport.ts'
import { rejection, wire } from './stub-orchestrator.ts'

const LOGIN = '<!DOCTYPE html><html><body><form action="/login"></form></body></html>'
const baseUrl = new URL('http://user:pw@orchestrator.test:8000/orch')

type ConnectionErrorFields = Pick<ConnectionError, 'maybeProcessed' | 'retryable'>
const MAYBE: ConnectionErrorFields = { maybeProcessed: true, retryable: true }
const NEVER: ConnectionErrorFields = { maybeProcessed: false, retryable: true }

describe('the error of a failed request', () => {
  it.each([
    ['a status', () => ({ status: 404, body: 'no such app' }), 'answered 404: no such app'],
    ['a body that is not JSON', () => ({ body: 'hello' }), 'malformed answer: not JSON'],
    ['a body of another shape', () => ({ body: {} }), 'malformed answer: body: expected Array'],
    ['an empty body', () => ({ body: '' }), 'malformed answer: empty'],
    ['a redirect', () => ({ status: 302 }), 'answered 302: redirects are not followed; a login page or another service answers'],
  ])('names the method, the URL and the dialect: %s', async (_, respond, said) => {
    const error = await rejection(wire(new StubTransport(respond), { baseUrl }).api.listStreams({ containerId: 's3cr3t' }))
    expect(error).toBeInstanceOf(OrchestratorError)
    const url = 'http://orchestrator.test:8000/orch/streams'
    expect(error).toMatchObject({ url, dialect: 'unversioned' })
    const { message, stack } = Object(error)
    expect(message.startsWith(`GET ${url} (unversioned): ${said}`)).toBe(true)
    expect(stack).toContain(message)
    expect(message).not.toContain('s3cr3t')
  })

  it.each([
    [
      'a connection that failed',
      () => Object.assign(new Error('failed'), { code: 'ECONNRESET' }),
      'no answer: ECONNRESET: the connection broke. If this lasts, check the port: it may speak TLS (https://), or another protocol',
    ],
    [
      "a transport's own connection error",
      () => new ConnectionError('the tunnel is down', { maybeProcessed: false }),
      'the tunnel is down',
    ],
    [
      'a connection error of the default transport, which names the URL already',
      () => new ConnectionError('GET http://orchestrator.test:8000/api/v1/engines: no answer: ECONNREFUSED', { maybeProcessed: false }),
      'no answer: ECONNREFUSED',
    ],
    ["a transport's time-out", () => new RequestTimeoutError('too late', { timeoutMs: 1 }), 'too late'],
  ])('names the method, the URL and the dialect once: %s', async (_, make, said) => {
    const transport = { request: () => Promise.reject(make()) }
    const error = await rejection(wire(transport, { dialect: 'v1' }).api.listEngines())
    expect(error).toMatchObject({
      message: `GET http://orchestrator.test:8000/api/v1/engines (v1): ${said}`,
      url: 'http://orchestrator.test:8000/api/v1/engines',
      dialect: 'v1',
    })
  })

  const fromDeno = (message: string) => new TypeError('fetch failed', { cause: new Error(message) })
  const fromBun = (code: string, message = code) => Object.assign(new TypeError(message), { code })
  const connecting = 'error sending request for url (http://orchestrator.test:8000/engines): client error (Connect): '

  it.each<[string, Error, RegExp, ConnectionErrorFields]>([
    ['Deno, not HTTP', fromDeno('client error (SendRequest): invalid HTTP version parsed'), /does not speak HTTP\. Check the port$/, MAYBE],
    ['Deno, no such host', fromDeno(`${connecting}dns error: failed to lookup address information`), /cannot be resolved here/, NEVER],
    ['Deno, refused', fromDeno(`${connecting}tcp connect error: Connection refused (os error 111)`), /nothing listens there/, NEVER],
    ['Deno, no route', fromDeno(`${connecting}tcp connect error: No route to host (os error 113)`), /there is no route to the host/, NEVER],
    ['Deno, lost packets', fromDeno(`${connecting}tcp connect error: Connection timed out (os error 110)`), /packets are lost/, NEVER],
    ['Deno, reset', fromDeno('Connection reset by peer (os error 104)'), /the connection broke/, MAYBE],
    ['Deno, closed', fromDeno('client error (SendRequest): connection closed before message completed'), /the connection broke/, MAYBE],
    ['Deno, a blocked port', fromDeno('Fetch failed: Requests to port 6000 are blocked'), /fetch blocks this port/, MAYBE],
    ['Bun, not HTTP', fromBun('InvalidHTTPResponse'), /does not speak HTTP\. Check the port$/, MAYBE],
    [
      'Bun, no TLS',
      fromBun('EPROTO', 'EPROTO: The TLS handshake failed. Does the server speak TLS on this port?'),
      /no TLS connection: EPROTO: the TLS handshake failed\. If the port does not speak TLS, set baseUrl to http:\/\//,
      { maybeProcessed: false, retryable: false },
    ],
  ])('says what to do in the case of an error of another runtime: %s', async (_, thrown, advice, fields) => {
    const transport = { request: () => Promise.reject(thrown) }
    const error = await rejection(wire(transport, { dialect: 'v1' }).api.listEngines())
    expect(error).toMatchObject({ code: 'CONNECTION', message: expect.stringMatching(advice), ...fields })
  })

  it('says of a host with several addresses that one of them refuses, although another has no route', async () => {
    const attempt = (code: string) => Object.assign(new Error(`connect ${code}`), { code })
    const attempts = ['EADDRNOTAVAIL', 'ENETUNREACH', 'ECONNREFUSED'].map(attempt)
    const cause = Object.assign(new AggregateError(attempts), { code: 'EADDRNOTAVAIL' })
    const transport = { request: () => Promise.reject(new TypeError('fetch failed', { cause })) }
    const { message } = Object(await rejection(wire(transport).api.listEngines()))
    expect(message).toContain('no answer: ECONNREFUSED: nothing listens there')
  })

  it('does not say that nothing was sent if only one of several attempts failed at TLS', async () => {
    const attempts = ['ERR_SSL_WRONG_VERSION_NUMBER', 'ECONNRESET'].map((code) => Object.assign(new Error(code), { code }))
    const transport = { request: () => Promise.reject(new AggregateError(attempts)) }
    expect(await rejection(wire(transport).api.listEngines())).toMatchObject({ code: 'CONNECTION', maybeProcessed: true, retryable: true })
  })

  it('advises no TLS for a connection with TLS that broke', async () => {
    const reset = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    const transport = { request: () => Promise.reject(reset) }
    const { message } = Object(await rejection(wire(transport, { baseUrl: new URL('https://orchestrator.test') }).api.listEngines()))
    expect(message).toMatch(/: no answer: ECONNRESET: the connection broke\. If this lasts, check the port: it may speak no TLS/)
  })

  it('names no dialect for the first request, which detects the dialect', async () => {
    const error = await rejection(wire(new StubTransport(() => ({ status: 401, body: '' })), { dialect: 'auto' }).api.listEngines())
    expect(error).toMatchObject({ message: 'GET http://orchestrator.test:8000/api/v1/engines: answered 401' })
    expect(error).not.toHaveProperty('dialect')
  })

  it('has the URL in a field and in the message of its cause if the orchestrator refuses to start an engine', async () => {
    const error = await rejection(wire(new StubTransport(() => ({ status: 503, body: { detail: 'VPN' } }))).api.provision({}))
    expect(error).toMatchObject({
      code: 'CAPACITY',
      url: 'http://orchestrator.test:8000/provision/acestream',
      cause: { message: expect.stringContaining('POST http://orchestrator.test:8000/provision/acestream (unversioned)') },
    })
  })

  it('names the URL of the orchestrator if the circuit is open', async () => {
    const { client, fake } = setup({}, { circuitBreaker: { failureThreshold: 1 }, retry: { attempts: 1 } })
    fake.inject({ kind: 'refused' })
    await client.listEngines().catch(() => {})
    expect(await rejection(client.listEngines())).toMatchObject({
      code: 'CIRCUIT_OPEN',
      url: 'http://orchestrator.test/',
      message: expect.stringContaining('The orchestrator at http://orchestrator.test/ has been failing'),
    })
  })
})

describe('an answer with 404', () => {
  it.each<[what: string, call: 'listEngines' | 'provision' | 'status', advice: RegExp]>([
    [
      'to a list',
      'listEngines',
      /answered 404: 404 page not found; an orchestrator has this list\. Check the port and the path of baseUrl/,
    ],
    [
      'to the status',
      'status',
      /answered 404: 404 page not found; the internal port of v1 \(8083\) lacks this path\. Set baseUrl to its port 8000/,
    ],
    ['to a request for an engine', 'provision', /the internal port of v1 \(8083\) lacks this path\. Set baseUrl to its port 8000/],
  ])('%s says what to change', async (_, call, advice) => {
    const { api } = wire(new StubTransport(() => ({ status: 404, body: '404 page not found\n' })))
    const failure = await rejection(api[call]({}))
    expect(String(Object(failure).message)).toMatch(advice)
  })

  it('to an end, which every orchestrator may answer, gives no advice', async () => {
    const { api } = wire(new StubTransport(() => ({ status: 404, body: 'unknown stream' })))
    const end = { streamId: 's', containerId: 'c', reason: 'x' } as never
    expect(await rejection(api.endStream(end))).toMatchObject({ message: expect.stringMatching(/answered 404: unknown stream$/) })
  })
})

describe('an HTML page in place of JSON', () => {
  it.each([
    ['as a success', { body: LOGIN }],
    ['after a comment', { body: ` <!-- x -->\n${LOGIN}` }],
    ['as a 404', { status: 404, body: LOGIN }],
    ['as a 403', { status: 403, body: LOGIN }],
  ])('is reported as a login page or another service at the base URL: %s', async (_, answer) => {
    const { message } = Object(await rejection(wire(new StubTransport(() => answer)).api.listEngines()))
    expect(message).toContain('HTML: a login page or another service answers at http://orchestrator.test:8000; check baseUrl')
    expect(message).not.toContain('<')
  })

  it('is named without its query if a redirect leads to it', async () => {
    const headers = { location: 'https://login.test/sso?token=s3cr3t' }
    const { message } = Object(await rejection(wire(new StubTransport(() => ({ status: 302, headers }))).api.listEngines()))
    expect(message).toContain('this one goes to https://login.test/sso; a login page')
    expect(message).not.toContain('s3cr3t')
  })

  it('advises no other baseUrl if the same server redirects to the same path, for example to set a cookie', async () => {
    const at = async (location: string) =>
      Object(await rejection(wire(new StubTransport(() => ({ status: 302, headers: { location } })), { baseUrl }).api.listEngines()))
        .message
    expect(await at('/orch/engines?visit=1')).toMatch(
      /; a login page or another service answers at http:\/\/orchestrator\.test:8000; check baseUrl$/,
    )
    expect(await at('https://orchestrator.test/orch/engines')).toMatch(
      /; if the orchestrator is there, begin baseUrl with https:\/\/orchestrator\.test$/,
    )
  })

  it('is not reported as a login page if the status is 502, which a reverse proxy answers for a failing orchestrator', async () => {
    const { message } = Object(await rejection(wire(new StubTransport(() => ({ status: 502, body: LOGIN }))).api.listEngines()))
    expect(message).not.toContain('login page')
  })

  it('counts as a failed request', async () => {
    const { client } = setup({}, { transport: new StubTransport(() => ({ body: LOGIN })), dialect: 'unversioned', retry: { attempts: 1 } })
    expect(await rejection(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'MALFORMED_RESPONSE' })
    expect(client.metrics().requests).toMatchObject({ failed: 1 })
  })
})
