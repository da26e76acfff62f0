import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { CapacityError, CircuitOpenError, ConnectionError, MalformedResponseError, ResponseError } from '../../src/errors.ts'
import type { Logger } from '../../src/runtime/logger.ts'
import type { Transport } from '../../src/runtime/transport.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

const KEY = 's3cr3t/"k&y\\+<é>'
const FORMS = {
  'as it is': KEY,
  'as JSON': JSON.stringify(KEY).slice(1, -1),
  'as ASCII-only JSON': JSON.stringify(KEY).slice(1, -1).replace('é', '\\u00e9'),
  'as JSON written by Go': JSON.stringify(KEY).slice(1, -1).replace('&', '\\u0026').replace('<', '\\u003c').replace('>', '\\u003e'),
  'as JSON with escaped slashes': JSON.stringify(KEY).slice(1, -1).replace('/', '\\/'),
  'percent-escaped': encodeURIComponent(KEY),
  'percent-escaped in lower case': encodeURIComponent(KEY).toLowerCase(),
  'as a form': new URLSearchParams([['k', KEY]]).toString().slice(2),
  'as HTML': KEY.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;').replace('"', '&quot;'),
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

/** One call with the key, and all that could be seen of its failure. */
async function visibleOf(target: StubOrchestrator | Transport): Promise<{ error: unknown; text: string }> {
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

describe('the API key is in nothing that an orchestrator echoes it in', () => {
  for (const [form, echoed] of Object.entries(FORMS)) {
    test.each([
      ['an error answer', { status: 404, body: `no such thing for Bearer ${echoed}!` }],
      ['a refused key', { status: 401, body: `{"detail":"bad token ${echoed}"}` }],
      ['an old refusal', { status: 503, body: `{"detail":"VPN ${echoed}"}` }],
      ['a refusal', { status: 503, body: `{"detail":{"code":"x_${echoed}","message":"${echoed}"}}` }],
      ['an answer that is not JSON', { status: 200, body: `<p>${echoed}</p>` }],
      ['an answer of another shape', { status: 200, body: JSON.stringify({ authorization: echoed }) }],
      ['an answer at whose cut it stands', { status: 404, body: `${'.'.repeat(505)}${echoed}` }],
      ['an answer full of it', { status: 404, body: echoed.repeat(1_000) }],
    ])(`${form}, in %s`, async (_, answer) => {
      const stub = new StubOrchestrator(() => ({ ...answer, headers: { 'x-echo': 'y' } }))
      const { error, text } = await visibleOf(stub)
      expect(stub.requests[0]?.headers['authorization']).toBe(`Bearer ${KEY}`)
      expect(error).toBeInstanceOf(Error)
      expect(text).toContain('***')
      expectNoKey(text)
    })
  }
})

describe('the API key is in nothing that a transport throws it in', () => {
  const request = { headers: { authorization: `Bearer ${KEY}` } }
  test.each([
    ['message', () => new Error(`invalid header: Bearer ${KEY}`)],
    ['fields', () => Object.assign(new Error('failed'), { request, options: request })],
    ['code', () => Object.assign(new Error('failed'), { code: `E_${KEY}` })],
    ['name', () => Object.assign(new Error('failed'), { name: KEY })],
    ['cause', () => new Error('failed', { cause: new Error(KEY, { cause: Object.assign(new Error('x'), { request }) }) })],
    ['list of errors', () => new AggregateError([new Error(KEY)], KEY)],
    ['place as text', () => KEY],
    ['place as an object', () => request],
    ['connection error of ours', () => new ConnectionError(KEY, { maybeProcessed: false, cause: new Error(KEY) })],
    ['response error of ours', () => new ResponseError(KEY, { status: 500, body: KEY, cause: Object.assign(new Error('x'), { request }) })],
    ['malformed response of ours', () => new MalformedResponseError(KEY, { body: KEY })],
    [
      'capacity error of ours',
      () =>
        new CapacityError(KEY, {
          reason: KEY,
          shouldWait: true,
          canRetry: true,
          cause: new CircuitOpenError(KEY, { retryAfterMs: 1, cause: KEY }),
        }),
    ],
  ])('in its %s', async (_, make) => {
    const { error, text } = await visibleOf({ request: () => Promise.reject(make()) })
    expect(error).toBeInstanceOf(Error)
    expectNoKey(text)
  })
})

test('what a transport knows about its failure survives that the key is taken out of it', async () => {
  const own = new ConnectionError(`refused for ${KEY}`, { maybeProcessed: false })
  const { error } = await visibleOf({ request: () => Promise.reject(own) })
  expect(error).toBe(own)
  expect(error).toMatchObject({
    message: 'POST http://orchestrator.test:8000/provision/acestream (unversioned): refused for ***',
    maybeProcessed: false,
  })
})
