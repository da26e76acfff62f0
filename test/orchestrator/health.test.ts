import { describe, expect, test } from 'vitest'
import { WireClock } from '../support/msw.ts'
import { rejection, StubOrchestrator, wire } from './stub-orchestrator.ts'

const statusOf = (body: object) => wire(new StubOrchestrator(() => ({ body: { status: 'healthy', ...body } }))).api.status()
const provisioningOf = async (provisioning: object) => (await statusOf({ provisioning })).provisioning

test('a status without a section on provisioning does not block provisioning', async () => {
  expect(await statusOf({})).toStrictEqual({ status: 'healthy', provisioning: { canProvision: true, shouldWait: true } })
  expect(await statusOf({ provisioning: null })).toMatchObject({ provisioning: { canProvision: true } })
})

test.each([null, 0, 'no', 'false', undefined, true])(
  'can_provision %j does not block provisioning: only false does',
  async (can_provision) => {
    expect(await provisioningOf({ can_provision })).toMatchObject({ canProvision: true })
  },
)

test('a status value that only a later release defines becomes "unknown", not an error', async () => {
  expect(await statusOf({ status: 'reindexing' })).toMatchObject({ status: 'unknown' })
})

test.each([
  ['vpn_disconnected', true],
  ['vpn_something_new', true],
  ['circuit_breaker', true],
  ['max_capacity', true],
  ['general_error', false],
  ['unheard_of', false],
])('if %s blocks provisioning, shouldWait is %s, unless the answer has its own should_wait', async (code, shouldWait) => {
  const block = { code, message: 'why' }
  expect(await provisioningOf({ can_provision: false, blocked_reason: block })).toStrictEqual({
    canProvision: false,
    code,
    reason: 'why',
    shouldWait,
  })
  expect(
    await provisioningOf({ can_provision: false, blocked_reason: block, blocked_reason_details: { should_wait: !shouldWait } }),
  ).toMatchObject({
    shouldWait: !shouldWait,
  })
})

test.each([
  ['VPN not connected', { code: 'vpn_disconnected', retryAfterMs: 60_000, shouldWait: true }],
  ['Circuit breaker is open', { code: 'circuit_breaker', retryAfterMs: 180_000, shouldWait: true }],
  ['Maximum capacity reached', { code: 'max_capacity', retryAfterMs: 30_000, shouldWait: true }],
  ['No idea', { code: 'general_error', shouldWait: false }],
])('an older status whose blocked_reason is the text %j gets the advice for that reason', async (reason, rest) => {
  expect(await provisioningOf({ can_provision: false, blocked_reason: reason })).toStrictEqual({ canProvision: false, reason, ...rest })
})

test.each([
  ['missing', {}],
  ['null', { vpn: null }],
  ['without connected', { vpn: { enabled: false } }],
  ['not a boolean', { vpn: { connected: 'yes' } }],
])('vpnConnected is left out if the VPN status is %s', async (_, body) => {
  expect(await statusOf(body)).not.toHaveProperty('vpnConnected')
})

test('a capacity with a missing, negative or non-numeric count is left out', async () => {
  for (const capacity of [null, {}, { total: 1, used: 'x', available: 0 }, { total: 1, used: -1, available: 2 }]) {
    expect(await statusOf({ capacity })).not.toHaveProperty('capacity')
  }
  expect(await statusOf({ capacity: { total: 3, used: 1, available: 2 } })).toMatchObject({ capacity: { total: 3, used: 1, available: 2 } })
})

describe("the remaining time of v1's open breaker", () => {
  const breaker = (general: object, date?: string, hereMs = 0) => {
    const headers = date === undefined ? {} : { date }
    return wire(new StubOrchestrator(() => ({ headers, body: { general } })), {
      dialect: 'v1',
      clock: new WireClock(hereMs),
    }).api.circuitBreaker()
  }
  const open = { state: 'open', recovery_timeout: 300, last_failure_time: '2026-01-01T00:00:00Z' }

  test.each([
    ['in 1970', 0],
    ['an hour behind', Date.UTC(2025, 11, 31, 23, 1)],
    ['right', Date.UTC(2026, 0, 1, 0, 1)],
    ['an hour ahead', Date.UTC(2026, 0, 1, 1, 1)],
  ])('is computed from its last failure, its time-out and the Date of the answer, with the local clock %s', async (_, hereMs) => {
    expect(await breaker(open, 'Thu, 01 Jan 2026 00:01:00 GMT', hereMs)).toStrictEqual({ retryAfterMs: 240_000 })
  })

  test('is at least 0 and at most the whole time-out, even if a server in between sends a wrong Date', async () => {
    expect(await breaker(open, 'Thu, 01 Jan 2026 02:00:00 GMT')).toStrictEqual({ retryAfterMs: 0 })
    expect(await breaker(open, 'Wed, 31 Dec 2025 23:00:00 GMT')).toStrictEqual({ retryAfterMs: 300_000 })
  })

  test('is the whole time-out if the answer has no Date', async () => {
    for (const hereMs of [0, Date.UTC(2026, 0, 1, 0, 4), Date.UTC(2027, 0, 1)]) {
      expect(await breaker(open, undefined, hereMs)).toStrictEqual({ retryAfterMs: 300_000 })
    }
  })

  test.each([
    { ...open, state: 'closed' },
    { ...open, state: 'half_open' },
    { ...open, last_failure_time: '' },
    { ...open, recovery_timeout: null },
  ])('is not known from %j', async (general) => {
    expect(await breaker(general, 'Thu, 01 Jan 2026 00:01:00 GMT')).toStrictEqual({})
  })

  test('is not requested from the other generations', async () => {
    const stub = new StubOrchestrator(() => ({}))
    expect(await wire(stub).api.circuitBreaker()).toStrictEqual({})
    expect(stub.requests).toHaveLength(0)
  })

  test('is not known if GET /circuit-breaker answers 404, as 2026-04 does after its empty engine list was taken for v1; a 500 is an error', async () => {
    const stub = new StubOrchestrator(({ url }) => (url.pathname.endsWith('engines') ? { body: [] } : { status: 404 }))
    expect(await wire(stub, { dialect: 'auto' }).api.circuitBreaker()).toStrictEqual({})
    expect(await rejection(wire(new StubOrchestrator(() => ({ status: 500 })), { dialect: 'v1' }).api.circuitBreaker())).toMatchObject({
      status: 500,
    })
  })
})
