import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { AuthenticationError, MalformedResponseError, RequestTimeoutError } from '../../src/errors.ts'
import { WireClock } from '../support/msw.ts'
import { bodyText, rowsOf } from './captured.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

const PYTHON_ENGINE = { container_id: 'a', host: 'h', port: 1, streams: [], monitor_stream_count: 0 }
const GO_ENGINE = { ...PYTHON_ENGINE, draining: false }

const auto = (stub: StubOrchestrator, base = 'http://orchestrator.test:8000') => wire(stub, { dialect: 'auto', baseUrl: new URL(base) })

describe('the dialect of an orchestrator', () => {
  test.each([
    ['a 404 of 2025-10', 404, '{"detail":"Not Found"}', 'unversioned'],
    ["a 404 of v1's internal port", 404, '404 page not found\n', 'unversioned'],
    ['engines with the field draining', 200, JSON.stringify([GO_ENGINE]), 'v1'],
    ['an empty list', 200, '[]', 'v1'],
    ['engines of which one has the field draining', 200, JSON.stringify([PYTHON_ENGINE, { ...PYTHON_ENGINE, draining: null }]), 'v1'],
    ['engines of 2026-04, which answers under both paths', 200, JSON.stringify([PYTHON_ENGINE]), 'unversioned'],
    ['engines without any field that differs', 200, JSON.stringify([{ container_id: 'a', host: 'h', port: 1 }]), 'v1'],
  ])('is detected with one request, from %s', async (_, status, body, dialect) => {
    const stub = new StubOrchestrator(() => ({ status, body }))
    const { api } = auto(stub)
    expect(api.dialect).toBeUndefined()
    expect(await api.resolveDialect()).toBe(dialect)
    expect(await api.resolveDialect()).toBe(dialect)
    expect(api.dialect).toBe(dialect)
    expect(stub.requestLines).toStrictEqual(['GET /api/v1/engines'])
  })

  test.each([
    ['python-2025-10', 'unversioned'],
    ['python-2026-04', 'unversioned'],
    ['go-v1', 'v1'],
  ] as const)('is detected from the recorded answer of %s', async (generation, dialect) => {
    const row = rowsOf(generation).find((recorded) => recorded.request.path === '/api/v1/engines' && bodyText(recorded) !== '[]')
    if (row === undefined) throw new Error('not recorded')
    const { api } = auto(new StubOrchestrator(() => ({ status: row.response.status, body: bodyText(row) })))
    expect(await api.resolveDialect()).toBe(dialect)
  })
})

test.each([
  ['http://o/api/v1', '/api/v1/engines'],
  ['http://o/api/v1/', '/api/v1/engines'],
  ['http://o/proxy/api/v1//', '/proxy/api/v1/engines'],
])('a base URL %s means v1 without a request to detect it, and the prefix is not doubled', async (base, path) => {
  const stub = new StubOrchestrator(() => ({ body: [] }))
  const { api } = auto(stub, base)
  expect(api.dialect).toBe('v1')
  await api.listEngines()
  expect(stub.requests[0]?.url.pathname).toBe(path)
})

test.each([
  ['http://o', 'v1', '/api/v1/engines'],
  ['http://o/some/where', 'v1', '/some/where/api/v1/engines'],
  ['http://o/some/where/', 'unversioned', '/some/where/engines'],
  ['http://o/api/v1', 'v1', '/api/v1/engines'],
  ['http://o/api/v1', 'unversioned', '/api/v1/engines'],
] as const)('with the base URL %s and the dialect %s, the first request goes to %s', async (base, dialect, path) => {
  const stub = new StubOrchestrator(() => ({ body: [] }))
  const { api } = wire(stub, { dialect, baseUrl: new URL(base) })
  expect(api.dialect).toBe(dialect)
  await api.listEngines()
  expect(stub.requests[0]?.url.pathname).toBe(path)
})

describe('the dialect stays unknown, and the next call detects it again', () => {
  test.each([
    ['a 401', 401, '{"error":"unauthorized"}', AuthenticationError],
    ['a 403', 403, 'forbidden', AuthenticationError],
    ['a redirect', 307, '', Error],
    ['a 500', 500, 'Internal Server Error', Error],
    ['a 503', 503, '', Error],
    ['a web page', 200, '<html></html>', MalformedResponseError],
    ['an object', 200, '{"status":"ok"}', MalformedResponseError],
    ['null', 200, 'null', MalformedResponseError],
    ['an engine without an address', 200, '[{"container_id":"a"}]', MalformedResponseError],
  ])('after %s', async (_, status, body, type) => {
    let answer: { status: number; body: unknown } = { status, body }
    const stub = new StubOrchestrator(() => answer)
    const { api } = auto(stub)
    expect(await rejection(api.resolveDialect())).toBeInstanceOf(type)
    expect(await rejection(api.listEngines())).toBeInstanceOf(type)
    expect(api.dialect).toBeUndefined()
    answer = { status: 200, body: [GO_ENGINE] }
    expect(await api.resolveDialect()).toBe('v1')
    expect(stub.requestLines).toStrictEqual(['GET /api/v1/engines', 'GET /api/v1/engines', 'GET /api/v1/engines'])
  })

  test('after a time-out', async () => {
    const clock = new WireClock()
    let isStalled = true
    const stub = new StubOrchestrator(() => (isStalled ? new Promise(() => {}) : { body: [GO_ENGINE] }))
    const { api } = wire(stub, { dialect: 'auto', clock })
    const failed = rejection(api.resolveDialect())
    await clock.advance(3_000)
    expect(await failed).toBeInstanceOf(RequestTimeoutError)
    expect(api.dialect).toBeUndefined()
    isStalled = false
    expect(await api.resolveDialect()).toBe('v1')
    expect(stub.requestLines).toStrictEqual(['GET /api/v1/engines', 'GET /api/v1/engines'])
  })
})

test('concurrent callers share one request to detect the dialect, and the abort of one caller does not abort it for the others', async () => {
  const gate = Promise.withResolvers<void>()
  const stub = new StubOrchestrator(async () => {
    await gate.promise
    return { body: [GO_ENGINE] }
  })
  const { api } = auto(stub)
  const leaving = new AbortController()
  const staying = new AbortController()
  const first = rejection(api.resolveDialect({ signal: leaving.signal }))
  const second = api.resolveDialect({ signal: staying.signal })
  leaving.abort('gone')
  expect(await first).toBe('gone')
  gate.resolve()
  expect(await second).toBe('v1')
  expect(stub.requests).toHaveLength(1)
  expect(stub.requests[0]?.signal?.aborted).toBe(false)
  for (const { signal } of [leaving, staying]) expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})

test('a call whose signal has already aborted sends no request', async () => {
  const stub = new StubOrchestrator(() => ({ body: [] }))
  expect(await rejection(auto(stub).api.listEngines({ signal: AbortSignal.abort('gone') }))).toBe('gone')
  expect(stub.requests).toHaveLength(0)
})

test('a reverse proxy that answers 404 while v1 starts does not fix the dialect: the client detects v1 once it is up', async () => {
  let isUp = false
  const stub = new StubOrchestrator(({ url }) => (isUp && url.pathname.startsWith('/api/v1/') ? { body: [] } : { status: 404 }))
  const { api } = auto(stub)
  expect(await rejection(api.listEngines())).toMatchObject({ status: 404 })
  expect(api.dialect).toBeUndefined()
  isUp = true
  expect(await api.listEngines()).toStrictEqual({ engines: [], streams: [] })
  expect(api.dialect).toBe('v1')
})

test('a configured dialect stays the same after a 404', async () => {
  const { api } = wire(new StubOrchestrator(() => ({ status: 404 })), { dialect: 'v1' })
  await rejection(api.listEngines())
  expect(api.dialect).toBe('v1')
})
