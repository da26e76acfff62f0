import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { CapacityError, CircuitOpenError, ConnectionError, MalformedResponseError, ResponseError } from '../../src/errors.ts'
import type { Logger } from '../../src/runtime/logger.ts'
import type { Transport } from '../../src/runtime/transport.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

const KEY = 's3cr3t/"k&y\\+<é>'
const FORMS = {
  unchanged: KEY,
  'escaped as JSON': JSON.stringify(KEY).slice(1, -1),
  'escaped as ASCII-only JSON': JSON.stringify(KEY).slice(1, -1).replace('é', '\\u00e9'),
  'escaped as JSON by Go': JSON.stringify(KEY).slice(1, -1).replace('&', '\\u0026').replace('<', '\\u003c').replace('>', '\\u003e'),
  'escaped as JSON with escaped slashes': JSON.stringify(KEY).slice(1, -1).replace('/', '\\/'),
  'percent-escaped': encodeURIComponent(KEY),
  'percent-escaped in lower case': encodeURIComponent(KEY).toLowerCase(),
  'encoded as a form': new URLSearchParams([['k', KEY]]).toString().slice(2),
  'escaped as HTML': KEY.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;').replace('"', '&quot;'),
}

/** Everything that a logger could print of an error: hidden fields, the stack and all causes. */
function everything(error: unknown): string {
  const parts: string[] = []
  const seen = new Set<unknown>()
  const visit = (value: unknown): void => {
    if (typeof value === 'string') parts.push(value)
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    parts.push(inspect(value, { depth: null, showHidden: true, maxStringLength: null }))
    for (const key of Reflect.ownKeys(value)) visit(Reflect.get(value, key))
  }
  visit(error)
  return parts.join('\n')
}

/** Makes one call with the key that fails. Resolves with its error, and with all text in the error and in the log lines. */
async function failedCall(target: StubOrchestrator | Transport): Promise<{ error: unknown; text: string }> {
  const logged: unknown[] = []
  const log = (...entry: unknown[]): void => void logged.push(entry)
  const logger: Logger = { debug: log, info: log, warn: log, error: log }
  const { api } = wire(target, { apiKey: KEY, logger, onFailure: (...entry) => log(entry) })
  const error = await rejection(api.provision({}))
  return { error, text: everything([error, logged]) }
}

function expectNoKey(text: string): void {
  for (const form of Object.values(FORMS)) expect(text).not.toContain(form)
  expect(text).not.toContain('s3cr3t')
}

describe('an API key that an orchestrator echoes', () => {
  for (const [form, echoed] of Object.entries(FORMS)) {
    test.each([
      ['a 404 answer', { status: 404, body: `no such thing for Bearer ${echoed}!` }],
      ['a 401 answer', { status: 401, body: `{"detail":"bad token ${echoed}"}` }],
      ['a refusal that is only text', { status: 503, body: `{"detail":"VPN ${echoed}"}` }],
      ['a refusal with a code', { status: 503, body: `{"detail":{"code":"x_${echoed}","message":"${echoed}"}}` }],
      ['an answer that is not JSON', { status: 200, body: `<p>${echoed}</p>` }],
      ['an answer of another shape', { status: 200, body: JSON.stringify({ authorization: echoed }) }],
      ['an answer that is cut off within the key', { status: 404, body: `${'.'.repeat(505)}${echoed}` }],
      ['an answer that repeats the key 1,000 times', { status: 404, body: echoed.repeat(1_000) }],
    ])(`is replaced by *** in errors and log lines: ${form}, in %s`, async (_, answer) => {
      const stub = new StubOrchestrator(() => ({ ...answer, headers: { 'x-echo': 'y' } }))
      const { error, text } = await failedCall(stub)
      expect(stub.requests[0]?.headers['authorization']).toBe(`Bearer ${KEY}`)
      expect(error).toBeInstanceOf(Error)
      expect(text).toContain('***')
      expectNoKey(text)
    })
  }
})

describe('an API key that a transport throws', () => {
  const request = { headers: { authorization: `Bearer ${KEY}` } }
  test.each([
    ['the message of an error', () => new Error(`invalid header: Bearer ${KEY}`)],
    ['the fields of an error', () => Object.assign(new Error('failed'), { request, options: request })],
    ['the code of an error', () => Object.assign(new Error('failed'), { code: `E_${KEY}` })],
    ['the name of an error', () => Object.assign(new Error('failed'), { name: KEY })],
    ['the causes of an error', () => new Error('failed', { cause: new Error(KEY, { cause: Object.assign(new Error('x'), { request }) }) })],
    ['an AggregateError', () => new AggregateError([new Error(KEY)], KEY)],
    ['a thrown string', () => KEY],
    ['a thrown object', () => request],
    ['a ConnectionError', () => new ConnectionError(KEY, { maybeProcessed: false, cause: new Error(KEY) })],
    ['a ResponseError', () => new ResponseError(KEY, { status: 500, body: KEY, cause: Object.assign(new Error('x'), { request }) })],
    ['a MalformedResponseError', () => new MalformedResponseError(KEY, { body: KEY })],
    [
      'a CapacityError',
      () =>
        new CapacityError(KEY, {
          reason: KEY,
          shouldWait: true,
          canRetry: true,
          cause: new CircuitOpenError(KEY, { retryAfterMs: 1, cause: KEY }),
        }),
    ],
  ])('is not in errors and log lines if it was in %s', async (_, make) => {
    const { error, text } = await failedCall({ request: () => Promise.reject(make()) })
    expect(error).toBeInstanceOf(Error)
    expectNoKey(text)
  })
})

test('a ConnectionError of the transport stays the same object and keeps maybeProcessed when the key is removed from its message', async () => {
  const own = new ConnectionError(`refused for ${KEY}`, { maybeProcessed: false })
  const { error } = await failedCall({ request: () => Promise.reject(own) })
  expect(error).toBe(own)
  expect(error).toMatchObject({
    message: 'POST http://orchestrator.test:8000/provision/acestream (unversioned): refused for ***',
    maybeProcessed: false,
  })
})
