import { describe, expect, test } from 'vitest'
import { AuthenticationError, CapacityError, ResponseError } from '../../src/errors.ts'
import type { StartEvent } from '../../src/model/stream.ts'
import { WireClock } from '../support/msw.ts'
import { rejection, StubOrchestrator, type Wire, wire } from './stub-orchestrator.ts'

const SESSION = { playbackSessionId: 'ps', statUrl: 'http://e/stat', commandUrl: 'http://e/cmd', isLive: true }
const START: StartEvent = { streamId: 's', address: { host: 'e', port: 1 }, keyType: 'infohash', key: 'k', session: SESSION, labels: {} }
const clock = new WireClock(Date.parse('2026-01-01T00:00:00Z'))
const refused = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  rejection(wire(new StubOrchestrator(() => ({ status, body, headers })), { clock }).api.provision({}))

const refusal = (code: string, recovery_eta_seconds: number | null, can_retry: boolean, should_wait: boolean) => ({
  detail: { error: 'provisioning_blocked', code, message: 'why', recovery_eta_seconds, can_retry, should_wait },
})

describe('the CapacityError of a refusal', () => {
  test.each([
    [
      503,
      refusal('vpn_disconnected', 60, true, true),
      { reason: 'vpn_disconnected', retryAfterMs: 60_000, canRetry: true, shouldWait: true },
    ],
    [
      503,
      refusal('circuit_breaker', 298, false, true),
      { reason: 'circuit_breaker', retryAfterMs: 298_000, canRetry: false, shouldWait: true },
    ],
    [503, refusal('circuit_breaker', 0, true, true), { reason: 'circuit_breaker', retryAfterMs: 0, canRetry: true, shouldWait: true }],
    [503, refusal('vpn_error', 60, true, true), { reason: 'vpn_error', retryAfterMs: 60_000, canRetry: true, shouldWait: true }],
    [
      500,
      refusal('general_error', null, false, false),
      { reason: 'general_error', retryAfterMs: undefined, canRetry: false, shouldWait: false },
    ],
    [503, { detail: { code: 'max_capacity' } }, { reason: 'max_capacity', retryAfterMs: undefined, canRetry: false, shouldWait: true }],
    [503, { detail: { code: 'vpn_error' } }, { reason: 'vpn_error', retryAfterMs: undefined, canRetry: true, shouldWait: true }],
    [503, { detail: { message: 'VPN is down' } }, { reason: 'vpn_disconnected', retryAfterMs: 60_000, canRetry: true, shouldWait: true }],
    [409, refusal('max_capacity', 30, false, true), { reason: 'max_capacity', retryAfterMs: 30_000, canRetry: false, shouldWait: true }],
    [429, { detail: 'capacity reached' }, { reason: 'max_capacity', retryAfterMs: 30_000, canRetry: false, shouldWait: true }],
  ])('has the reason and the advice of the answer: %i %j', async (status, body, advice) => {
    const error = await refused(status, body)
    expect(error).toBeInstanceOf(CapacityError)
    expect(error).toMatchObject({ ...advice, cause: { name: 'ResponseError', status } })
  })
})

describe('the CapacityError of an older refusal, which is only text', () => {
  test.each([
    ['VPN connection is required but currently disconnected', 'vpn_disconnected', 60_000, true, true],
    ['Provisioning blocked: circuit breaker is open', 'circuit_breaker', 180_000, false, true],
    ['Maximum capacity reached', 'max_capacity', 30_000, false, true],
    ['Failed to provision engine: no free ports in range', 'general_error', undefined, false, false],
  ])('has the reason and the advice that match the text: %s', async (text, reason, retryAfterMs, canRetry, shouldWait) => {
    const advice = { reason, retryAfterMs, canRetry, shouldWait }
    expect(await refused(503, { detail: text })).toMatchObject({ name: 'CapacityError', ...advice })
    expect(await refused(500, text)).toMatchObject({ name: 'CapacityError', ...advice })
  })

  test('advises not to wait for a 500 without a reason, which 2026-04 always answers', async () => {
    const advice = { reason: 'general_error', retryAfterMs: undefined, shouldWait: false, canRetry: false, retryable: false }
    expect(await refused(500, 'Internal Server Error')).toMatchObject({ name: 'CapacityError', ...advice })
    expect(await refused(500, '')).toMatchObject({ name: 'CapacityError', ...advice })
  })
})

test.each([
  ['seconds', '7', 7_000],
  ['a date', 'Thu, 01 Jan 2026 00:00:12 GMT', 12_000],
  ['a date in the past', 'Wed, 31 Dec 2025 23:59:59 GMT', 0],
  ['nonsense', 'soon', 60_000],
  ['a negative number', '-5', 60_000],
])('a valid Retry-After replaces the estimate in the body, an invalid one is ignored: %s', async (_, value, retryAfterMs) => {
  expect(await refused(503, refusal('vpn_error', 60, true, true), { 'retry-after': value })).toMatchObject({ retryAfterMs })
})

test.each([
  ['1000000000', 300, 300_000],
  ['1000000000', 10, 60_000],
  ['120', 300, 120_000],
  ['1000000000', null, 60_000],
])(
  'Retry-After: %s with an estimate of %s s in the body means a wait of %i ms: the header counts up to 60 s or up to a longer estimate',
  async (...row) => {
    const [value, etaSeconds, retryAfterMs] = row
    const error = await refused(503, refusal('circuit_breaker', etaSeconds, false, true), { 'retry-after': value })
    expect(error).toMatchObject({ retryAfterMs })
  },
)

test('a refusal that only has Retry-After advises to wait', async () => {
  expect(await refused(503, 'upstream is starting', { 'retry-after': '3' })).toMatchObject({
    retryAfterMs: 3_000,
    shouldWait: true,
    retryable: true,
  })
})

test('a refusal of 5,000 characters is read as a whole, though its error shows only an excerpt', async () => {
  const detail = { message: 'x'.repeat(5_000), code: 'vpn_error', recovery_eta_seconds: 60, can_retry: true, should_wait: true }
  const error = await refused(503, { detail })
  expect(error).toMatchObject({ reason: 'vpn_error', retryAfterMs: 60_000 })
  expect(String(error).length).toBeLessThan(1_000)
})

test.each([401, 403])('a %i means a wrong API key, not a refusal', async (status) => {
  expect(await refused(status, { detail: 'invalid token' })).toBeInstanceOf(AuthenticationError)
})

test.each([400, 404, 409, 422, 429, 502, 504])('a %i whose body is no refusal is a ResponseError', async (status) => {
  const error = await refused(status, [{ detail: 'capacity' }])
  expect(error).toBeInstanceOf(ResponseError)
  expect(error).toMatchObject({ status })
})

test.each([
  ['the engine list', (api: Wire['api']) => api.listEngines()],
  ['a start', (api: Wire['api']) => api.startStream(START)],
  ['an end', (api: Wire['api']) => api.endStream({ streamId: 's' })],
])('a 503 in answer to %s is a ResponseError, not a CapacityError, even if its body is a refusal', async (_, call) => {
  const body = refusal('vpn_error', 60, true, true)
  const { api } = wire(new StubOrchestrator(() => ({ status: 503, body, headers: { 'retry-after': '9' } })))
  const error = await rejection(call(api))
  expect(error).toBeInstanceOf(ResponseError)
  expect(error).toMatchObject({ status: 503, retryAfterMs: 9_000, retryable: true })
})
