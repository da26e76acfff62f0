import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CircuitOpenError, ConnectionError, MalformedResponseError, OrchestratorError } from '../../src/errors.ts'
import type { Transport } from '../../src/runtime/transport.ts'
import { rejection, wire } from './stub-orchestrator.ts'

const ENGINES = { route: 'GET /engines', method: 'GET', path: 'engines' } as const
const failing = (request: () => unknown): Promise<unknown> => {
  // What a host without TypeScript may give us.
  const transport: unknown = { request }
  return rejection(wire(transport as Transport).requester.send(ENGINES))
}
const throwing = (error: unknown): Promise<unknown> =>
  failing(() => {
    throw error
  })
const withCode = (code: string, cause?: unknown): Error => Object.assign(new Error('failed', { cause }), { code })

describe('whether the orchestrator may have seen a request that got no answer', () => {
  test.each([
    ['a refused connection', withCode('ECONNREFUSED')],
    ['an unknown name', withCode('ENOTFOUND')],
    ['a name server that is down', withCode('EAI_AGAIN')],
    ['no way to the host', withCode('EHOSTUNREACH')],
    ['no way to the network', withCode('ENETUNREACH')],
    ["undici's time-out for connecting", withCode('UND_ERR_CONNECT_TIMEOUT')],
    ['the same as a cause', new TypeError('fetch failed', { cause: withCode('ECONNREFUSED') })],
    ['the same deeper down', new Error('a', { cause: new Error('b', { cause: withCode('ENOTFOUND') }) })],
    [
      'each address refused',
      new TypeError('fetch failed', { cause: new AggregateError([withCode('ECONNREFUSED'), withCode('ENETUNREACH')]) }),
    ],
    ['an older Bun', Object.assign(new TypeError('Unable to connect.'), { code: 'ConnectionRefused' })],
    [
      'Deno',
      new TypeError('fetch failed', {
        cause: new Error('error sending request for url (http://o/): client error (Connect): tcp connect error'),
      }),
    ],
  ])('%s: certainly not', async (_, error) => {
    expect(await throwing(error)).toMatchObject({ name: 'ConnectionError', maybeProcessed: false, retryable: true })
  })

  test.each([
    ['a connection that broke', withCode('ECONNRESET')],
    ['a socket that was closed', new TypeError('fetch failed', { cause: withCode('UND_ERR_SOCKET') })],
    ['one address refused and one broken', new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNRESET')])],
    ['Deno, once connected', new TypeError('fetch failed', { cause: new Error('client error (SendRequest): connection closed') })],
    ['an error that says nothing', new Error('oops')],
    ['text', 'ECONNREFUSED'],
    ['nothing', undefined],
    ['null', null],
    ['an object', { message: 'x' }],
    [
      'an error that is its own cause',
      Object.defineProperty(new Error('loop'), 'cause', { get: () => Object.assign(new Error('loop'), { cause: {} }) }),
    ],
  ])('%s: possibly', async (_, error) => {
    expect(await throwing(error)).toMatchObject({ name: 'ConnectionError', maybeProcessed: true })
  })
})

test('an error whose every property throws is a failed connection like any other', async () => {
  const hostile = new Proxy(new Error('x'), {
    get: () => {
      throw new Error('trap')
    },
  })
  expect(await throwing(hostile)).toBeInstanceOf(ConnectionError)
})

test('a transport may also reject, and keeps its own errors of our kind', async () => {
  expect(await failing(() => Promise.reject(withCode('ECONNREFUSED')))).toMatchObject({ maybeProcessed: false })
  const own = new CircuitOpenError('mine', { retryAfterMs: 5 })
  expect(await failing(() => Promise.reject(own))).toBe(own)
})

test('a foreign error is not kept, but a copy of what it says is', async () => {
  const error = Object.assign(new TypeError('fetch failed', { cause: withCode('ECONNRESET') }), { request: { headers: {} } })
  const { cause, message } = Object(await throwing(error))
  expect(message).toBe('GET http://orchestrator.test:8000/engines: no answer: ECONNRESET')
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
])('an answer %j of the transport makes no sense', async (answer) => {
  expect(await failing(() => answer)).toBeInstanceOf(MalformedResponseError)
})

test.each([
  ['missing', undefined],
  ['an object', { 'Retry-After': '7' }],
  ['pairs', [['retry-after', '7']]],
  ['a map', new Map([['retry-after', '7']])],
  ['nonsense', { 'not a name': 7 }],
  ['a number', 7],
])('headers that are %s are taken for what they are worth', async (name, headers) => {
  const error = await failing(() => ({ status: 503, headers, body: '' }))
  const understood = ['an object', 'pairs', 'a map'].includes(name)
  expect(error).toMatchObject({ status: 503, retryAfterMs: understood ? 7_000 : undefined })
})

test('an answer of 16 MiB is refused, also as an error', async () => {
  const body = 'x'.repeat(16 * 1_024 * 1_024)
  for (const status of [200, 500]) expect(await failing(() => ({ status, body }))).toBeInstanceOf(MalformedResponseError)
})

test('whatever a transport answers or throws, what comes out is an error of ours', async () => {
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
