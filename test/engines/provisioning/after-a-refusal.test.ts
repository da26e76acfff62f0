import { CapacityError } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { ProvisionBackoff } from '../../../src/engines/provisioning/provision-backoff.ts'
import { during, failureOf, setup } from '../../support/setup.ts'

const refused = (work: Promise<unknown>) => failureOf(work) as Promise<CapacityError>

describe('a refusal', () => {
  it('sends nobody away who did not ask for a new engine', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    fake.setProvisioning({ refuse: 'general_error' })
    const modest = client.acquireEngine({ provision: false })
    expect(await during(clock, refused(client.acquireEngine()))).toMatchObject({ reason: 'general_error' })
    expect(client.metrics().leases.waiting).toBe(1)
    await held.release()
    expect((await modest).engine.containerId).toBe(held.engine.containerId)
  })

  it('sends away who has less time left than it takes, and keeps who has more', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 20_000 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' }) // told after 20 s: come back in 60 s
    const before = clock.now()
    const short = refused(client.acquireEngine({ waitMs: 70_000 })).then((error) => ({ error, afterMs: clock.now() - before }))
    const long = failureOf(client.acquireEngine({ waitMs: 300_000, signal: AbortSignal.timeout(0x7fffffff) }))
    await clock.advance(25_000)
    expect(await short).toMatchObject({ error: { reason: 'vpn_disconnected' }, afterMs: 20_000 })
    expect(client.metrics().leases.waiting).toBe(1)
    await client.close()
    expect(await long).toMatchObject({ code: 'CLIENT_CLOSED' })
  })

  it('is repeated to those who come later, with what is left of its wait, never less than a second', async () => {
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
      ['vpn_disconnected', 58_000], // the first was refused 2 s ago
      ['vpn_disconnected', 48_000],
      ['vpn_disconnected', 8_000],
      ['vpn_disconnected', 1_000],
    ])
    await clock.advance(30_500)
    expect(await refused(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full', retryAfterMs: 5_000 })
  })

  it('is not put to the test again before the wait it told of a VPN is over', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 600_000 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const asked: number[] = []
    client.on('provision:requested', () => asked.push(clock.now()))
    const waiting = client.acquireEngine({ waitMs: 90_000 })
    await clock.advance(59_900)
    fake.setProvisioning({ refuse: undefined })
    await during(clock, waiting)
    const [first = 0, second = 0, ...more] = asked
    expect(second - first).toBeGreaterThanOrEqual(60_000)
    expect(more).toEqual([])
  })

  it('is the reason no longer once an engine came', async () => {
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

describe('what the client remembers of a refusal', () => {
  it.each([
    ['no wait is told', undefined, 5_000],
    ['the wait is nothing', 0, 1_000],
    ['the wait is that for a VPN', 60_000, 60_000],
    ['the wait is long', 300_000, 60_000],
    ['the wait is between', 12_000, 12_000],
  ])('where %s holds for so long', async (_, retryAfterMs, holdMs) => {
    const clock = new ManualClock()
    const memory = new ProvisionBackoff(clock)
    const refusal = new CapacityError('no', { reason: 'vpn_error', retryAfterMs, shouldWait: true, canRetry: true })
    memory.remember(refusal)
    await clock.advance(holdMs - 1)
    expect([memory.holds, memory.refusal]).toEqual([true, refusal])
    await clock.advance(1)
    expect([memory.holds, memory.refusal, memory.failure]).toEqual([false, undefined, refusal])
    await clock.advance(29_999)
    expect(memory.failure).toBe(refusal)
    await clock.advance(1)
    expect(memory.failure).toBeUndefined()
  })

  it('an error that is no refusal holds too, and explains, but is no advice', () => {
    const memory = new ProvisionBackoff(new ManualClock())
    const error = new Error('connection lost')
    memory.remember(error)
    expect([memory.holds, memory.refusal, memory.failure]).toEqual([true, undefined, error])
  })
})
