import { CapacityError, type EngineLease } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { ProvisionBackoff } from '../../../src/engines/provisioning/provision-backoff.ts'
import { connect, during, failureOf, setup } from '../../support/setup.ts'

const ROUTE = 'POST /provision/acestream'
const provisions = (byRoute: Record<string, number>) => byRoute[ROUTE] ?? 0
const many = (count: number, acquire: () => Promise<EngineLease>) => Array.from({ length: count }, acquire)

describe('requests for a new engine', () => {
  it.each([
    ['3 by default', {}, 3],
    ['5 by maxConcurrentProvisions: 5', { maxConcurrentProvisions: 5 }, 5],
    ['1 by maxConcurrentProvisions: 1', { maxConcurrentProvisions: 1 }, 1],
  ])('are limited to %s at a time', async (_, options, most) => {
    const { client, clock, fake } = setup({ engines: 1, maxReplicas: 20, provisionDelayMs: 4_000 }, options)
    await client.acquireEngine()
    const waiting = Promise.all(many(8, () => client.acquireEngine({ waitMs: 120_000 })))
    await clock.advance(3_900)
    expect(provisions(fake.counters.requests.byRoute)).toBe(most)
    await during(clock, waiting)
    expect(fake.engines).toHaveLength(9)
    expect(provisions(fake.counters.requests.byRoute)).toBe(8)
  })

  it('are sent only for waiters beyond the slots of engines that were already requested', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 4_000 }, { maxStreamsPerEngine: 10 })
    await Promise.all(many(10, () => client.acquireEngine()))
    const waiting = many(3, () => client.acquireEngine())
    await clock.advance(1_000)
    waiting.push(...many(7, () => client.acquireEngine())) // the requested engine has slots for them too
    await clock.advance(1_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    waiting.push(client.acquireEngine()) // but not for this one
    await clock.advance(1_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
    await during(clock, Promise.all(waiting))
    await clock.advance(30_000)
    expect(fake.engines).toHaveLength(3)
  })

  it('are not sent for a caller with waitMs 0, which is rejected after the refresh of an old list', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 20_000 })
    await client.acquireEngine()
    const waiting = client.acquireEngine({ waitMs: 60_000 })
    await clock.advance(1_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    fake.inject({ kind: 'delay', route: 'GET /engines', delayMs: 2_500, times: 1 })
    await clock.advance(2_000)
    const rejected = failureOf(client.acquireEngine({ waitMs: 0 }))
    await clock.advance(1_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    expect(await during(clock, rejected)).toMatchObject({ code: 'CAPACITY', reason: 'full' })
    await during(clock, waiting)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })

  it('are not sent when the engine that the host requested has slots for all waiters', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 4_000 }, { maxStreamsPerEngine: 10 })
    await Promise.all(many(10, () => client.acquireEngine()))
    const byHost = client.provisionEngine()
    await clock.advance(100)
    const waiting = Promise.all(many(10, () => client.acquireEngine()))
    const { containerId } = await during(clock, byHost)
    expect((await during(clock, waiting)).map(({ engine }) => engine.containerId)).toEqual(Array.from({ length: 10 }, () => containerId))
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })

  it('are sent for a waiter once the request of the host has failed', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.inject({ kind: 'status', status: 409, route: ROUTE, delayMs: 3_000 })
    const byHost = failureOf(client.provisionEngine())
    await clock.advance(100)
    const waiting = client.acquireEngine()
    await during(clock, byHost)
    expect((await during(clock, waiting)).engine.containerId).not.toBe('')
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
  })

  it('are sent though a lease will expire before the engine is started, and not again after it expired', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 20_000 }, { leaseTtlMs: 10_000 })
    await client.acquireEngine()
    const waiting = client.acquireEngine()
    await clock.advance(1_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1) // the slot that expires in 9 s does not count
    await clock.advance(10_000)
    await waiting
    await clock.advance(60_000)
    expect(fake.engines).toHaveLength(2)
  })

  it('are not sent any more when engines that nobody requested have served all waiters', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 600_000 }, { maxStreamsPerEngine: 5, maxConcurrentProvisions: 1 })
    await Promise.all(many(5, () => client.acquireEngine()))
    const waiting = many(10, () => client.acquireEngine())
    await clock.advance(1_000)
    const added = [fake.addEngine(), fake.addEngine()]
    const leases = await during(clock, Promise.all(waiting))
    expect(new Set(leases.map(({ engine }) => engine.containerId))).toEqual(new Set(added))
    await clock.advance(5_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })
})

describe('H19: a request that v1 certainly never received', () => {
  it('is sent again', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1 })
    await client.acquireEngine()
    fake.inject({ kind: 'refused', route: ROUTE })
    await during(clock, client.acquireEngine())
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
    expect(fake.engines).toHaveLength(2)
  })
})

describe('a new engine', () => {
  it('serves as many waiters as it has slots, in order of arrival, while its health is still unknown', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { maxStreamsPerEngine: 4 })
    await Promise.all(many(4, () => client.acquireEngine()))
    const served: number[] = []
    for (let i = 0; i < 9; i += 1) {
      client.acquireEngine({ provision: false }).then(
        () => served.push(i),
        () => {},
      )
    }
    await clock.advance(100)
    fake.addEngine({ healthStatus: 'unknown' })
    await clock.advance(2_000)
    expect(served).toEqual([0, 1, 2, 3])
    fake.addEngine({ healthStatus: 'unknown' })
    await clock.advance(2_000)
    expect(served).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })
})

describe('a refusal while other requested engines are being started', () => {
  it('keeps the two waiters for whom these engines have slots, and rejects the other four', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 4_000 }, { maxStreamsPerEngine: 2 })
    await Promise.all(many(2, () => client.acquireEngine()))
    const body = JSON.stringify({ detail: { code: 'general_error', message: 'no', can_retry: false, should_wait: false } })
    fake.inject({ kind: 'status', status: 500, body, route: ROUTE, times: 2, delayMs: 1_000 })
    const acquiring = many(6, () => client.acquireEngine())
    const outcomes = Promise.all(
      acquiring.map((work) =>
        work.then(
          () => 'served',
          ({ reason }: CapacityError) => reason,
        ),
      ),
    )
    // Three requests are sent: two are refused after 1 s, the third brings its engine after 4 s.
    expect(await during(clock, outcomes)).toEqual(['served', 'served', 'general_error', 'general_error', 'general_error', 'general_error'])
    expect(provisions(fake.counters.requests.byRoute)).toBe(3)
  })

  it('still rejects later callers when these engines are listed, since they were requested before it', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 4_000 })
    await client.acquireEngine()
    const body = JSON.stringify({ detail: { code: 'general_error', message: 'no', can_retry: false, should_wait: false } })
    fake.inject({ kind: 'status', status: 500, body, route: ROUTE, delayMs: 3_000 })
    const outcomes = Promise.all(
      many(3, () => client.acquireEngine()).map((work) => work.then(() => 'served').catch(({ reason }) => reason)),
    )
    expect(await during(clock, outcomes)).toEqual(['served', 'served', 'general_error'])
    expect(await during(clock, failureOf(client.acquireEngine()))).toMatchObject({ reason: 'general_error' })
    expect(provisions(fake.counters.requests.byRoute)).toBe(3)
  })
})

describe('H4: a request for an engine whose answer is lost', () => {
  it('delays no caller: its engine is recognized by a label, and the next request is sent at once', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 4_000 }, { provisionTimeoutMs: 600_000 })
    await client.acquireEngine()
    fake.inject({ kind: 'lost-answer', route: ROUTE })
    await during(clock, client.acquireEngine())
    const before = clock.now()
    await during(clock, client.acquireEngine())
    expect(clock.now() - before).toBeLessThan(8_000)
    expect(fake.engines).toHaveLength(3)
    expect(client.metrics().provisioning).toEqual({ requested: 2, completed: 2, refused: 0 })
  })

  it('does not end with the engine of another proxy: it times out when its own engine does not appear', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 10_000 }, { provisionTimeoutMs: 3_000 })
    await client.acquireEngine()
    fake.inject({ kind: 'lost-answer', route: ROUTE })
    const ours = failureOf(client.provisionEngine())
    await clock.advance(100)
    fake.setProvisioning({ delayMs: 0 })
    const theirs = await during(clock, connect(fake, clock).provisionEngine())
    expect(theirs.containerId).not.toBe('')
    expect(await during(clock, ours)).toMatchObject({ reason: 'provision_timeout' })
  })

  it('does not end with the engine of another request, whether engines have labels or not', async () => {
    for (const hasLabels of [true, false]) {
      const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 5_000 })
      await client.acquireEngine()
      fake.inject({ kind: 'lost-request', route: ROUTE })
      const lost = failureOf(client.provisionEngine())
      await clock.advance(0)
      const found = await during(clock, client.provisionEngine())
      if (!hasLabels) fake.updateEngine(found.containerId, { labels: {} })
      expect(await during(clock, lost)).toMatchObject({ code: 'CAPACITY', reason: 'provision_timeout' })
    }
  })

  it('ends with a new engine that has no labels', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 5_000 })
    await client.acquireEngine()
    fake.inject({ kind: 'lost-request', route: ROUTE })
    const waiting = client.provisionEngine()
    await clock.advance(1_000)
    const added = fake.addEngine({ labels: {} })
    expect((await during(clock, waiting)).containerId).toBe(added)
  })

  it('frees its connection once the engine is listed', async () => {
    const options = { provisionTimeoutMs: 600_000, maxConcurrentRequests: 2 }
    const { client, clock, fake } = setup({ engines: 1, maxReplicas: 20 }, options)
    await client.acquireEngine()
    fake.inject({ kind: 'lost-answer', route: ROUTE, times: 4 })
    for (let i = 0; i < 4; i += 1) await during(clock, client.acquireEngine())
    expect(fake.engines).toHaveLength(5)
    expect(client.metrics().requests.failed).toBe(0)
  })

  it('ends when the client is closed, though its engine never appeared', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 600_000 })
    fake.inject({ kind: 'lost-request', route: ROUTE })
    const waiting = failureOf(client.provisionEngine())
    await clock.advance(1_000)
    await client.close({ timeoutMs: 0 })
    expect(await waiting).toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(clock.pendingCount).toBe(0)
  })
})

describe('an orchestrator that refuses without advice about a retry', () => {
  it('gets 3 requests at once and at most 5 more within 100 s', async () => {
    const { client, clock, fake } = setup({ generation: '2026-04', engines: 1 }, { leaseTtlMs: 600_000 })
    await client.acquireEngine()
    const requestedAt: number[] = []
    client.on('provision:requested', () => requestedAt.push(clock.now()))
    const began = clock.now()
    const waiting = Array.from({ length: 20 }, () => failureOf(client.acquireEngine({ waitMs: 100_000 })))
    await clock.advance(100_000)
    for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(CapacityError)
    const seconds = requestedAt.map((at) => Math.floor((at - began) / 1_000))
    expect(seconds.slice(0, 4)).toEqual([0, 0, 0, expect.any(Number)])
    expect(seconds.length).toBeLessThanOrEqual(3 + 5)
    expect(provisions(fake.counters.requests.byRoute)).toBe(requestedAt.length)
  })

  it('gets no request for 5 s, then 10, 20 and 30 s, and for 5 s again after a success or 30 s later', async () => {
    const clock = new ManualClock()
    const backoff = new ProvisionBackoff(clock)
    const withoutAdvice = new CapacityError('no', { reason: 'general_error', shouldWait: false, canRetry: false, isAdvised: false })
    const holdMs = async (): Promise<number> => {
      backoff.record(withoutAdvice)
      backoff.record(withoutAdvice) // a second refusal at the same moment does not count
      let passed = 0
      for (; backoff.isHolding; passed += 500) await clock.advance(500)
      return passed
    }
    expect([await holdMs(), await holdMs(), await holdMs(), await holdMs(), await holdMs()]).toEqual([
      5_000, 10_000, 20_000, 30_000, 30_000,
    ])
    backoff.reset(clock.now())
    expect(await holdMs()).toBe(5_000)
    await clock.advance(30_000)
    expect(await holdMs()).toBe(5_000)
  })
})
