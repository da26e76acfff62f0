import { CapacityError } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, failureOf, playback, setup } from '../../support/setup.ts'

const provisions = (byRoute: Record<string, number>) => byRoute['POST /provision/acestream'] ?? 0

/** Generations whose provisioning works; 2026-04 always answers 500. */
describe.each(GENERATIONS.filter((generation) => generation !== '2026-04'))('a new engine of %s', (generation) => {
  it('is requested when all engines are full, and leased under the address that the list shows', async () => {
    const { client, clock, fake } = setup({ generation, engines: 1 })
    const held = await client.acquireEngine()
    const lease = await during(clock, client.acquireEngine())
    expect(lease.engine.containerId).not.toBe(held.engine.containerId)
    const listed = (await client.listEngines({ fresh: true })).find((engine) => engine.containerId === lease.engine.containerId)
    expect(lease.engine).toEqual(listed)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    expect(client.metrics().provisioning).toEqual({ requested: 1, completed: 1, refused: 0 })
  })

  it('is requested twice for 20 waiters and a limit of 10 streams for each engine', async () => {
    const { client, clock, fake } = setup({ generation, engines: 1, maxReplicas: 20 }, { maxStreamsPerEngine: 10 })
    await Promise.all(Array.from({ length: 10 }, () => client.acquireEngine()))
    const leases = await during(clock, Promise.all(Array.from({ length: 20 }, () => client.acquireEngine())))
    expect(new Set(leases.map((lease) => lease.engine.containerId)).size).toBe(2)
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
    expect(fake.engines).toHaveLength(3)
  })

  it('is not requested for callers with provision: false or waitMs: 0', async () => {
    const { client, clock, fake } = setup({ generation, engines: 1 })
    await client.acquireEngine()
    await during(clock, failureOf(client.acquireEngine({ provision: false, waitMs: 5_000 })))
    await failureOf(client.acquireEngine({ waitMs: 0 }))
    await clock.advance(10_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(0)
  })

  it('H4: is not requested again when the answer is lost, but found in the list', async () => {
    const { client, clock, fake } = setup({ generation, engines: 1 }, { provisionTimeoutMs: 8_000 })
    await client.acquireEngine()
    fake.inject({ kind: 'lost-answer', route: 'POST /provision/acestream' })
    const lease = await during(clock, client.acquireEngine())
    expect(fake.engines.map((engine) => engine.containerId)).toContain(lease.engine.containerId)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    expect(fake.engines).toHaveLength(2)
  })

  it.each([408, 502, 504])(
    'H4: is the result of provisionEngine() if a proxy answers %i but the orchestrator started it',
    async (status) => {
      const { client, clock, fake } = setup({ generation, engines: 1 }, { provisionTimeoutMs: 8_000 })
      fake.inject({ kind: 'status', status, applied: true, route: 'POST /provision/acestream' })
      const engine = await during(clock, client.provisionEngine())
      expect(fake.engines.map(({ containerId }) => containerId)).toContain(engine.containerId)
      expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    },
  )

  it('H14: is not requested when the list cannot be read: that does not prove that all engines are full', async () => {
    // Without `watch`: a pushed list would prove that all engines are full.
    const { client, clock, fake } = setup({ generation, engines: 1 }, { watch: false })
    await client.acquireEngine()
    fake.inject({ kind: 'refused', route: ['GET /engines', 'GET /streams'], times: Number.POSITIVE_INFINITY })
    await during(clock, failureOf(client.acquireEngine({ waitMs: 10_000 })))
    expect(provisions(fake.counters.requests.byRoute)).toBe(0)
  })

  it('provisionEngine() resolves with the engine once it is listed', async () => {
    const { client, clock, fake } = setup({ generation, engines: 1 })
    const engine = await during(clock, client.provisionEngine({ labels: { purpose: 'test' } }))
    expect(fake.engines.map(({ containerId }) => containerId)).toContain(engine.containerId)
    expect(engine.port).toBeGreaterThan(0)
  })
})

describe('H12: an orchestrator that takes 4 s to start an engine', () => {
  it('serves 20 waiters with 2 requests, 2 engines and no error, though requestTimeoutMs is 3 s', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 4_000 }, { maxStreamsPerEngine: 10, requestTimeoutMs: 3_000 })
    await Promise.all(Array.from({ length: 10 }, () => client.acquireEngine()))
    const leases = await during(clock, Promise.all(Array.from({ length: 20 }, () => client.acquireEngine())))
    expect(leases).toHaveLength(20)
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
    expect(fake.engines).toHaveLength(3)
  })
})

describe('a refusal to start an engine', () => {
  it.each([
    ['vpn_disconnected', 60_000, true, true],
    ['circuit_breaker', 300_000, true, false],
    ['vpn_error', 60_000, true, true],
  ] as const)(
    'with the reason %s gives retryAfterMs, so that a host can answer 503 with Retry-After',
    async (reason, retryAfterMs, shouldWait, canRetry) => {
      const { client, clock, fake } = setup({ engines: 1 })
      await client.acquireEngine()
      fake.setProvisioning({ refuse: reason })
      const error = await during(clock, failureOf(client.acquireEngine()))
      expect(error).toBeInstanceOf(CapacityError)
      expect(error).toMatchObject({ reason, shouldWait, canRetry })
      expect((error as CapacityError).retryAfterMs).toBeGreaterThan(retryAfterMs - 10_000)
      expect((error as CapacityError).retryAfterMs).toBeLessThanOrEqual(retryAfterMs)
      expect(client.metrics().provisioning).toMatchObject({ requested: 1, refused: 1 })
    },
  )

  it('with the advice not to wait rejects a caller after 2 s', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'general_error' })
    const before = clock.now()
    const error = await during(clock, failureOf(client.acquireEngine()))
    expect(error).toMatchObject({ reason: 'general_error', shouldWait: false, canRetry: false })
    expect(clock.now() - before).toBe(2_000)
  })

  it('for 60 s does not reject a caller with waitMs 120,000, which gets an engine later', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const waiting = client.acquireEngine({ waitMs: 120_000 })
    await clock.advance(50_000)
    expect(client.metrics().leases.waiting).toBe(1)
    fake.setProvisioning({ refuse: undefined })
    expect((await during(clock, waiting)).engine.containerId).toBeDefined()
    expect(provisions(fake.counters.requests.byRoute)).toBeLessThanOrEqual(3)
  })

  it('holds back later requests: 20 callers one after the other cause one request', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    for (let i = 0; i < 20; i += 1)
      expect(await during(clock, failureOf(client.acquireEngine()))).toMatchObject({ reason: 'circuit_breaker' })
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })

  it('makes a waiter accept an unhealthy engine, as a last resort', async () => {
    const { client, clock, fake } = setup({ engines: 2 })
    const [sick] = fake.engines.map((engine) => engine.containerId)
    fake.updateEngine(sick ?? '', { healthStatus: 'unhealthy' })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'general_error' })
    expect((await during(clock, client.acquireEngine())).engine.containerId).toBe(sick)
  })

  it('in plain text, as older releases send it, is understood', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'circuit_breaker', textErrors: true })
    expect(await during(clock, failureOf(client.acquireEngine()))).toMatchObject({ reason: 'circuit_breaker', retryAfterMs: 178_000 })
  })

  it('because of a wrong API key has the reason unauthorized, and only one request is sent', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { apiKey: 'wrong' })
    await client.acquireEngine()
    const error = await during(clock, failureOf(client.acquireEngine()))
    expect(error).toMatchObject({
      code: 'CAPACITY',
      reason: 'unauthorized',
      canRetry: false,
      isAdvised: false,
      cause: { code: 'AUTHENTICATION' },
    })
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })

  it('because a proxy in front of the orchestrator wants credentials of its own has the reason unauthorized, and blames no key', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    const headers = { 'www-authenticate': 'Basic realm="media"' }
    fake.inject({ kind: 'status', status: 401, headers, route: 'POST /provision/acestream' })
    await client.acquireEngine()
    const error = await during(clock, failureOf(client.acquireEngine()))
    expect(error).toMatchObject({ code: 'CAPACITY', reason: 'unauthorized' })
    expect((error as Error).message).toMatch(
      /The request for an engine was not authorized: POST .*a proxy in front of the orchestrator wants basic/,
    )
    expect((error as Error).message).not.toContain('API key')
  })

  it('is thrown by provisionEngine() too', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    expect(await failureOf(client.provisionEngine())).toMatchObject({ code: 'CAPACITY', reason: 'vpn_disconnected', retryAfterMs: 60_000 })
  })

  it('without advice, like the 500 of 2026-04, rejects no waiter: a slot may still become free', async () => {
    const { client, clock } = setup({ generation: '2026-04', engines: 1 })
    const held = await client.acquireEngine()
    const waiting = client.acquireEngine()
    await clock.advance(10_000)
    await held.release()
    expect((await waiting).engine.containerId).toBe(held.engine.containerId)
    const error = await during(clock, failureOf(client.acquireEngine({ waitMs: 2_000 })))
    expect(error).toMatchObject({ code: 'CAPACITY', reason: 'full' })
    expect((error as CapacityError).retryAfterMs).toBeGreaterThan(0)
  })
})

describe('H11: a status that reports canProvision: false', () => {
  it('does not stop the Python orchestrator from starting an engine beyond its maximum', async () => {
    const { client, clock, fake } = setup({ engines: 1, maxReplicas: 1 })
    await client.acquireEngine()
    expect((await client.checkHealth()).provisioning).toMatchObject({ canProvision: false, code: 'max_capacity' })
    const lease = await during(clock, client.acquireEngine())
    expect(fake.engines.map((engine) => engine.containerId)).toContain(lease.engine.containerId)
  })
})

describe('H19: v1, which accepts every request for an engine,', () => {
  const v1 = { generation: 'v1', engines: 1 } as const

  it('gets no request when it is at its maximum, and callers are rejected with max_capacity', async () => {
    const { client, clock, fake } = setup({ ...v1, maxReplicas: 1 })
    await client.acquireEngine()
    const error = await during(clock, failureOf(client.acquireEngine({ waitMs: 3_000 })))
    expect(error).toMatchObject({ code: 'CAPACITY', reason: 'max_capacity' })
    expect(provisions(fake.counters.requests.byRoute)).toBe(0)
  })

  it('gets no request while its circuit breaker is open, and callers are rejected with the time until it closes', async () => {
    const { client, clock, fake } = setup({ ...v1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    const error = await during(clock, failureOf(client.acquireEngine({ waitMs: 3_000 })))
    expect(error).toMatchObject({ code: 'CAPACITY', reason: 'circuit_breaker' })
    expect((error as CapacityError).retryAfterMs).toBeGreaterThan(200_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(0)
  })

  it('gets one request while its container runtime is down, and every waiter is rejected with a time to retry', async () => {
    const { client, clock, fake } = setup({ ...v1 }, { provisionTimeoutMs: 20_000 })
    await client.acquireEngine()
    fake.setProvisioning({ runtimeDown: true })
    const errors = await during(clock, Promise.all(Array.from({ length: 20 }, () => failureOf(client.acquireEngine({ waitMs: 3_000 })))))
    for (const error of errors) expect(error).toMatchObject({ code: 'CAPACITY', retryAfterMs: expect.any(Number) })
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })

  it('gets one request, and 2 s later those for the other two waiters', async () => {
    const { client, clock, fake } = setup({ ...v1, provisionDelayMs: 5_000 })
    await client.acquireEngine()
    const waiting = Promise.all(Array.from({ length: 3 }, () => client.acquireEngine({ waitMs: 60_000 })))
    await clock.advance(1_950)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    await clock.advance(2_500)
    expect(provisions(fake.counters.requests.byRoute)).toBe(3)
    expect(new Set((await during(clock, waiting)).map((lease) => lease.engine.containerId)).size).toBe(3)
    expect(provisions(fake.counters.requests.byRoute)).toBe(3)
  })

  it('gets no second request until the engine of the first, which takes 60 s, is listed', async () => {
    const { client, clock, fake } = setup({ ...v1, provisionDelayMs: 60_000 }, { provisionTimeoutMs: 10_000 })
    for (let i = 0; i < 4; i += 1) await during(clock, failureOf(client.provisionEngine()))
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    await clock.advance(30_000)
    expect(fake.engines).toHaveLength(2)
    await during(clock, failureOf(client.provisionEngine()))
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
  })

  it.each([
    ['no second request for ten minutes when it accepted the first', undefined, 590_000, 1],
    ['a second request after two minutes when it may not have received the first', 'lost-request', 130_000, 2],
  ] as const)('gets %s', async (_, kind, laterMs, requests) => {
    const { client, clock, fake } = setup({ ...v1, provisionDelayMs: 3_600_000 }, { provisionTimeoutMs: 5_000 })
    if (kind !== undefined) fake.inject({ kind, route: 'POST /provision/acestream' })
    await during(clock, failureOf(client.provisionEngine()))
    await clock.advance(100_000)
    await during(clock, failureOf(client.provisionEngine()))
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    await clock.advance(laterMs - 120_000)
    await during(clock, failureOf(client.provisionEngine()))
    expect(provisions(fake.counters.requests.byRoute)).toBe(requests)
  })

  it('makes provisionEngine() reject with provision_timeout when no engine appears within provisionTimeoutMs', async () => {
    const { client, clock } = setup({ ...v1, provisionDelayMs: 600_000 }, { provisionTimeoutMs: 10_000 })
    const error = await during(clock, failureOf(client.provisionEngine()))
    expect(error).toMatchObject({ code: 'CAPACITY', reason: 'provision_timeout', shouldWait: true, canRetry: true })
    expect((error as CapacityError).retryAfterMs).toBeGreaterThanOrEqual(1_000)
  })
})

describe('several proxies', () => {
  it('an engine that one proxy requested also serves the waiters of another', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    const other = connect(fake, clock)
    await (await client.acquireEngine()).startStream(playback())
    fake.setProvisioning({ delayMs: 20_000 })
    const waiting = client.acquireEngine({ provision: false, waitMs: 25_000 })
    const theirs = other.provisionEngine()
    await clock.advance(25_000)
    expect((await waiting).engine.containerId).toBe((await theirs).containerId)
  })
})
