import { ConnectionError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { during, failureOf, setup } from '../../support/setup.ts'

const provisions = (byRoute: Record<string, number>) => byRoute['POST /provision/acestream'] ?? 0
const route = 'POST /provision/acestream'

describe('provisionEngine()', () => {
  it.each(['lost-answer', 'reset-after'] as const)(
    'finds its engine after the fault %s in the answer, and sends no second request',
    async (kind) => {
      const { client, clock, fake } = setup({ engines: 2 }, { provisionTimeoutMs: 5_000 })
      const before = (await client.listEngines()).map((engine) => engine.containerId)
      fake.inject({ kind, route })
      const engine = await during(clock, client.provisionEngine())
      expect(before).not.toContain(engine.containerId)
      expect(fake.engines).toHaveLength(3)
      expect(provisions(fake.counters.requests.byRoute)).toBe(1)
      expect(client.metrics().provisioning).toEqual({ requested: 1, completed: 1, refused: 0 })
    },
  )

  it('rejects at once when the connection is refused', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'refused', route })
    const before = clock.now()
    expect(await failureOf(client.provisionEngine())).toBeInstanceOf(ConnectionError)
    expect(clock.now()).toBe(before)
    expect(client.metrics().provisioning).toEqual({ requested: 1, completed: 0, refused: 1 })
  })

  it.each(['2025-10', 'v1'] as const)(
    'finds its engine though %s answers list requests with 500 for 8 s, as it does while it starts one',
    async (generation) => {
      const { client, clock, fake } = setup({ generation, engines: 1, provisionDelayMs: 1_000 }, { staleIfErrorMs: 0 })
      await client.listEngines()
      const provisioning = client.provisionEngine()
      await clock.settle()
      const failing = fake.inject({ kind: 'status', status: 500, route: 'GET /engines', times: Number.POSITIVE_INFINITY })
      await clock.advance(8_000)
      expect(failing.hits).toBeGreaterThan(1)
      fake.clearFaults()
      await expect(during(clock, provisioning)).resolves.toMatchObject({ containerId: fake.engines[1]?.containerId })
      expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    },
  )

  it('that is aborted only stops waiting: its one request still brings an engine', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 4_000 })
    const abort = new AbortController()
    const waiting = failureOf(client.provisionEngine({ signal: abort.signal }))
    await clock.advance(1_000)
    abort.abort('changed my mind')
    expect(await waiting).toBe('changed my mind')
    await clock.advance(10_000)
    expect(fake.engines).toHaveLength(2)
    expect(client.metrics().provisioning).toEqual({ requested: 1, completed: 1, refused: 0 })
  })

  it('rejects with CLIENT_CLOSED when the client closes, and sends no more requests', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, provisionDelayMs: 60_000 })
    const waiting = failureOf(client.provisionEngine())
    await clock.advance(5_000)
    await client.close()
    expect(await waiting).toMatchObject({ code: 'CLIENT_CLOSED' })
    const { total } = fake.counters.requests
    await clock.advance(30_000)
    expect(fake.counters.requests.total).toBe(total)
    expect(clock.pendingCount).toBe(1) // the timer with which the fake starts the engine
  })
})

describe('H19: v1', () => {
  it('gets one request, and the next 2 s later, though the first engine is not listed yet', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, provisionDelayMs: 5_000, maxReplicas: 6 })
    const provisioning = Promise.all([client.provisionEngine(), client.provisionEngine()])
    await clock.advance(1_900)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    await clock.advance(200)
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
    const [first, second] = await during(clock, provisioning)
    expect(first.containerId).not.toBe(second.containerId)
    expect(provisions(fake.counters.requests.byRoute)).toBe(2)
  })

  it('gets one request when two of three waiters abort within 2 s', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, provisionDelayMs: 5_000 })
    await client.acquireEngine()
    const abort = new AbortController()
    const staying = client.acquireEngine()
    const leaving = [1, 2].map(() => failureOf(client.acquireEngine({ signal: abort.signal })))
    await clock.advance(1_900)
    abort.abort('viewer left')
    await Promise.all(leaving)
    await during(clock, staying)
    await clock.advance(30_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
    expect(fake.engines).toHaveLength(2)
  })

  it('that opens its circuit breaker after the request ends the wait within 3 s, long before provisionTimeoutMs', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1 }, { provisionTimeoutMs: 600_000 })
    fake.setProvisioning({ delayMs: 60_000 })
    const waiting = failureOf(client.provisionEngine())
    await clock.advance(3_000)
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    await clock.advance(3_000)
    expect(await waiting).toMatchObject({ code: 'CAPACITY', reason: 'circuit_breaker', canRetry: false })
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })

  it('with an open circuit breaker gets no request; provisionEngine() rejects with canRetry: false', async () => {
    const { client, fake } = setup({ generation: 'v1', engines: 1 })
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    expect(await failureOf(client.provisionEngine())).toMatchObject({ code: 'CAPACITY', reason: 'circuit_breaker', canRetry: false })
    expect(provisions(fake.counters.requests.byRoute)).toBe(0)
  })
})
