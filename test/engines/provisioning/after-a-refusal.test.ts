import { CapacityError } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { ProvisionBackoff } from '../../../src/engines/provisioning/provision-backoff.ts'
import { during, failureOf, setup } from '../../support/setup.ts'

const refused = (work: Promise<unknown>) => failureOf(work) as Promise<CapacityError>

describe('a refusal to start an engine', () => {
  it('does not reject a waiting caller that passed provision: false', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    fake.setProvisioning({ refuse: 'general_error' })
    const withoutProvisioning = client.acquireEngine({ provision: false })
    expect(await during(clock, refused(client.acquireEngine()))).toMatchObject({ reason: 'general_error' })
    expect(client.metrics().leases.waiting).toBe(1)
    await held.release()
    expect((await withoutProvisioning).engine.containerId).toBe(held.engine.containerId)
  })

  it('that asks for a retry in 60 s rejects the caller that can wait 50 s more, and keeps the one that can wait 280 s more', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 20_000 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' }) // answered after 20 s: retry in 60 s
    const before = clock.now()
    const short = refused(client.acquireEngine({ waitMs: 70_000 })).then((error) => ({ error, afterMs: clock.now() - before }))
    const long = failureOf(client.acquireEngine({ waitMs: 300_000, signal: AbortSignal.timeout(0x7fffffff) }))
    await clock.advance(25_000)
    expect(await short).toMatchObject({ error: { reason: 'vpn_disconnected' }, afterMs: 20_000 })
    expect(client.metrics().leases.waiting).toBe(1)
    await client.close()
    expect(await long).toMatchObject({ code: 'CLIENT_CLOSED' })
  })

  it('also rejects later callers, with the rest of its 60 s as retryAfterMs, but at least 1 s', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 600_000 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    await during(clock, refused(client.acquireEngine()))
    const waits: unknown[] = []
    for (const passes of [0, 10_000, 40_000, 9_500]) {
      await clock.advance(passes)
      const { reason, retryAfterMs } = await refused(client.acquireEngine({ waitMs: 0 }))
      waits.push([reason, retryAfterMs])
    }
    expect(waits).toEqual([
      ['vpn_disconnected', 58_000], // the refusal came 2 s ago
      ['vpn_disconnected', 48_000],
      ['vpn_disconnected', 8_000],
      ['vpn_disconnected', 1_000],
    ])
    await clock.advance(30_500)
    expect(await refused(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full', retryAfterMs: 5_000 })
  })

  it('because of the VPN holds back the next request for an engine for 60 s', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 600_000 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const requestedAt: number[] = []
    client.on('provision:requested', () => requestedAt.push(clock.now()))
    const waiting = client.acquireEngine({ waitMs: 90_000 })
    await clock.advance(59_900)
    fake.setProvisioning({ refuse: undefined })
    await during(clock, waiting)
    const [first = 0, second = 0, ...more] = requestedAt
    expect(second - first).toBeGreaterThanOrEqual(60_000)
    expect(more).toEqual([])
  })

  it('is forgotten once an engine was started: the next rejection says full', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    await during(clock, refused(client.acquireEngine()))
    fake.setProvisioning({ refuse: undefined })
    await during(clock, client.provisionEngine())
    await client.acquireEngine({ waitMs: 0 })
    expect(await refused(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full', retryAfterMs: 5_000 })
  })
})

describe('the backoff after a failed request for an engine', () => {
  it.each([
    ['5 s when the refusal has no retry time', undefined, 5_000],
    ['1 s when the retry time is 0', 0, 1_000],
    ['60 s when the retry time is 60 s, as for a VPN', 60_000, 60_000],
    ['60 s when the retry time is 300 s', 300_000, 60_000],
    ['12 s when the retry time is 12 s', 12_000, 12_000],
  ])('lasts %s; for 30 s more the refusal is the reason of rejections', async (_, retryAfterMs, holdMs) => {
    const clock = new ManualClock()
    const backoff = new ProvisionBackoff(clock)
    const refusal = new CapacityError('no', { reason: 'vpn_error', retryAfterMs, shouldWait: true, canRetry: true })
    backoff.record(refusal)
    await clock.advance(holdMs - 1)
    expect([backoff.isHolding, backoff.refusal]).toEqual([true, refusal])
    await clock.advance(1)
    expect([backoff.isHolding, backoff.refusal, backoff.failure]).toEqual([false, undefined, refusal])
    await clock.advance(29_999)
    expect(backoff.failure).toBe(refusal)
    await clock.advance(1)
    expect(backoff.failure).toBeUndefined()
  })

  it('also starts after an error that is no refusal, which explains rejections but has no advice about a retry', () => {
    const backoff = new ProvisionBackoff(new ManualClock())
    const error = new Error('connection lost')
    backoff.record(error)
    expect([backoff.isHolding, backoff.refusal, backoff.failure]).toEqual([true, undefined, error])
  })
})
