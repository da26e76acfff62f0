import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CircuitOpenError, ConnectionError, MalformedResponseError, OrchestratorError } from '../../src/errors.ts'
import type { Transport } from '../../src/runtime/transport.ts'
import { rejection, wire } from './stub-orchestrator.ts'

const ENGINES = { route: 'GET /engines', method: 'GET', path: 'engines' } as const
const failing = (request: () => unknown): Promise<unknown> => {
  // A host without TypeScript may pass any object as a transport.
  const transport: unknown = { request }
  return rejection(wire(transport as Transport).requester.send(ENGINES))
}
const throwing = (error: unknown): Promise<unknown> =>
  failing(() => {
    throw error
  })
const withCode = (code: string, cause?: unknown): Error => Object.assign(new Error('failed', { cause }), { code })

/** Makes each error the cause of the one before it, and the first the cause of the last. Returns the first. */
const circular = (...errors: [Error, ...Error[]]): Error => {
  errors.forEach((error, index) => {
    const cause = errors[(index + 1) % errors.length]
    if (error instanceof AggregateError) error.errors.push(cause)
    error.cause = cause
  })
  return errors[0]
}

describe('a request that got no answer', () => {
  test.each([
    ['a refused connection', withCode('ECONNREFUSED')],
    ['an unknown host name', withCode('ENOTFOUND')],
    ['a name server that is down', withCode('EAI_AGAIN')],
    ['no route to the host', withCode('EHOSTUNREACH')],
    ['no route to the network', withCode('ENETUNREACH')],
    ["undici's time-out for connecting", withCode('UND_ERR_CONNECT_TIMEOUT')],
    ['a refused connection as the cause', new TypeError('fetch failed', { cause: withCode('ECONNREFUSED') })],
    ['an unknown host name as the cause of a cause', new Error('a', { cause: new Error('b', { cause: withCode('ENOTFOUND') }) })],
    [
      'a refused connection to each address',
      new TypeError('fetch failed', { cause: new AggregateError([withCode('ECONNREFUSED'), withCode('ENETUNREACH')]) }),
    ],
    ['a refused connection in an older Bun', Object.assign(new TypeError('Unable to connect.'), { code: 'ConnectionRefused' })],
    [
      'a refused connection in Deno',
      new TypeError('fetch failed', {
        cause: new Error('error sending request for url (http://o/): client error (Connect): tcp connect error'),
      }),
    ],
  ])('was certainly not processed, so maybeProcessed is false: %s', async (_, error) => {
    expect(await throwing(error)).toMatchObject({ name: 'ConnectionError', maybeProcessed: false, retryable: true })
  })

  test.each([
    ['a connection that broke', withCode('ECONNRESET')],
    ['a socket that was closed', new TypeError('fetch failed', { cause: withCode('UND_ERR_SOCKET') })],
    ['one address that was refused and one connection that broke', new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNRESET')])],
    ['a closed connection in Deno', new TypeError('fetch failed', { cause: new Error('client error (SendRequest): connection closed') })],
    ['an error without a code', new Error('oops')],
    ['a thrown string', 'ECONNREFUSED'],
    ['a thrown undefined', undefined],
    ['a thrown null', null],
    ['a thrown object', { message: 'x' }],
    ['an error that is its own cause', circular(new Error('loop'))],
    ['two errors that are the cause of each other', circular(new Error('a'), new Error('b'))],
    ['an error that is one of the errors of its cause', circular(new Error('a'), new AggregateError([]))],
    [
      'an error whose cause is a getter that returns a new error each time',
      Object.defineProperty(new Error('loop'), 'cause', { get: () => Object.assign(new Error('loop'), { cause: {} }) }),
    ],
  ])('may have been processed, so maybeProcessed is true: %s', async (_, error) => {
    expect(await throwing(error)).toMatchObject({ name: 'ConnectionError', maybeProcessed: true })
  })
})

test('an error whose properties throw when they are read becomes a ConnectionError', async () => {
  const hostile = new Proxy(new Error('x'), {
    get: () => {
      throw new Error('trap')
    },
  })
  expect(await throwing(hostile)).toBeInstanceOf(ConnectionError)
})

test('a transport may reject instead of throwing, and an OrchestratorError that it rejects with stays the same object', async () => {
  expect(await failing(() => Promise.reject(withCode('ECONNREFUSED')))).toMatchObject({ maybeProcessed: false })
  const own = new CircuitOpenError('mine', { retryAfterMs: 5 })
  expect(await failing(() => Promise.reject(own))).toBe(own)
})

test('the cause of a ConnectionError is a copy of the foreign error with its name, message, code and cause, and no other fields', async () => {
  const error = Object.assign(new TypeError('fetch failed', { cause: withCode('ECONNRESET') }), { request: { headers: {} } })
  const { cause, message } = Object(await throwing(error))
  expect(message).toMatch(/^GET http:\/\/orchestrator\.test:8000\/engines: no answer: ECONNRESET: the connection broke/)
  expect(cause).not.toBe(error)
  expect(cause).toMatchObject({ name: 'TypeError', message: 'fetch failed', cause: { message: 'failed', code: 'ECONNRESET' } })
  expect(Object.keys(cause)).not.toContain('request')
})

test.each([
  undefined,
  null,
  42,
  'text',
  {},
  { status: 200 },
  { status: '200', body: '[]' },
  { status: 0, body: '[]' },
  { status: 99, body: '[]' },
  { status: 600, body: '[]' },
  { status: 200.5, body: '[]' },
  { status: Number.NaN, body: '[]' },
  { status: 200, body: null },
  { status: 200, body: [] },
  { status: 200, body: new Uint8Array() },
])('an answer %j of the transport is rejected as malformed', async (answer) => {
  expect(await failing(() => answer)).toBeInstanceOf(MalformedResponseError)
})

test.each([
  ['missing', undefined],
  ['an object', { 'Retry-After': '7' }],
  ['pairs', [['retry-after', '7']]],
  ['a map', new Map([['retry-after', '7']])],
  ['an object with an invalid name', { 'not a name': 7 }],
  ['a number', 7],
])('Retry-After is read only from headers that are an object, pairs or a map: here they are %s', async (name, headers) => {
  const error = await failing(() => ({ status: 503, headers, body: '' }))
  const understood = ['an object', 'pairs', 'a map'].includes(name)
  expect(error).toMatchObject({ status: 503, retryAfterMs: understood ? 7_000 : undefined })
})

test('an answer of 16 MiB is rejected as malformed, with status 200 and with status 500', async () => {
  const body = 'x'.repeat(16 * 1_024 * 1_024)
  for (const status of [200, 500]) expect(await failing(() => ({ status, body }))).toBeInstanceOf(MalformedResponseError)
})

test('a call fails with an OrchestratorError, whatever value its transport answers or throws', async () => {
  await fc.assert(
    fc.asyncProperty(fc.anything(), fc.boolean(), async (anything, throws) => {
      const outcome = await failing(() => {
        if (throws) throw anything
        return anything
      })
      expect(outcome).toBeInstanceOf(OrchestratorError)
    }),
  )
})
