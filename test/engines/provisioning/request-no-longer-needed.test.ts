import { CapacityError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const provisions = (byRoute: Record<string, number>) => byRoute['POST /provision/acestream'] ?? 0

describe('requests for a new engine', () => {
  it('H19: no request is sent to v1 when the only waiter gets a slot before that', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1 }, { dialect: 'v1' })
    const held = await client.acquireEngine()
    fake.latencyMs = 500
    const waiting = client.acquireEngine()
    await clock.advance(600) // the list has been read; the status is being read
    await held.release()
    await clock.settle()
    const lease = await waiting
    expect(lease.engine.containerId).toBe(held.engine.containerId)
    await clock.advance(20_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(0)
    expect(fake.engines).toHaveLength(1)
  })

  it('H19: no request is sent to v1 for a waiter that aborts while another request is under way', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1, provisionDelayMs: 3_000 }, { dialect: 'v1' })
    await client.acquireEngine()
    const byHost = client.provisionEngine()
    const abort = new AbortController()
    const waiting = failureOf(client.acquireEngine({ signal: abort.signal }))
    await clock.advance(500)
    abort.abort('left')
    await waiting
    await during(clock, byHost)
    await clock.advance(20_000)
    expect(provisions(fake.counters.requests.byRoute)).toBe(1)
  })

  it('three waiters cause three requests with a store that answers later', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 1_000 }, { store: laterStore(1) })
    await client.acquireEngine()
    const leases = await during(clock, Promise.all([client.acquireEngine(), client.acquireEngine(), client.acquireEngine()]))
    await clock.advance(10_000)
    expect(leases).toHaveLength(3)
    expect(provisions(fake.counters.requests.byRoute)).toBe(3)
  })

  it.each([1, 2, 3, 5])(
    'three waiters that exclude the only engine cause three requests with a store that answers after %i turns',
    async (turns) => {
      const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 1_000 }, { store: laterStore(turns) })
      const held = await client.acquireEngine()
      const exclude = [held.engine.containerId]
      const leases = await during(clock, Promise.all([1, 2, 3].map(() => client.acquireEngine({ exclude }))))
      await clock.advance(10_000)
      expect(leases).toHaveLength(3)
      expect(provisions(fake.counters.requests.byRoute)).toBe(3)
    },
  )

  it('provisionEngine() as the first call, whose answer is lost, never resolves with an older engine', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 5_000 })
    const old = fake.engines.map((e) => e.containerId)
    fake.inject({ kind: 'lost-answer', route: 'POST /provision/acestream' })
    const engine = await during(clock, client.provisionEngine())
    expect(old).not.toContain(engine.containerId)
  })

  it('provisionEngine() with an old list, whose request is lost, never resolves with an engine that was added before', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 5_000 })
    await client.listEngines()
    await clock.advance(3_600_000)
    fake.addEngine()
    fake.inject({ kind: 'lost-request', route: 'POST /provision/acestream' })
    const result = await during(
      clock,
      client.provisionEngine().catch((e) => e),
    )
    expect(result).toBeInstanceOf(CapacityError)
  })

  it('ten requests whose answers are lost share their list requests: at most 22 are sent in 10 s', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 20_000, dialect: 'unversioned' })
    await client.listEngines()
    fake.inject({ kind: 'reset', route: 'POST /provision/acestream', times: 10 })
    const before = fake.counters.requests.byRoute['GET /engines'] ?? 0
    const all = Promise.all(Array.from({ length: 10 }, () => client.provisionEngine().catch((e) => e)))
    await clock.advance(10_000)
    expect((fake.counters.requests.byRoute['GET /engines'] ?? 0) - before).toBeLessThanOrEqual(22)
    await during(clock, all)
  })

  it('an engine started by provisionEngine() ends the backoff after an earlier refusal', async () => {
    const { client, clock, fake } = setup({ engines: 1, maxReplicas: 20 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    await during(clock, failureOf(client.acquireEngine({ waitMs: 1_000 })))
    fake.setProvisioning({ refuse: undefined })
    await during(clock, client.provisionEngine())
    await client.acquireEngine({ waitMs: 0 }) // takes that engine
    const lease = await during(
      clock,
      client.acquireEngine({ waitMs: 10_000 }).catch((e) => e),
    )
    expect(lease).toHaveProperty('engine')
  })

  it('a request that was lost on its way to v1 does not stop all later requests', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1 }, { provisionTimeoutMs: 10_000 })
    await (await client.acquireEngine()).startStream(playback())
    await clock.advance(0)
    fake.inject({ kind: 'lost-request', route: 'POST /provision/acestream' })
    await during(
      clock,
      failureOf(client.acquireEngine({ waitMs: 60_000 })).catch(() => undefined),
    )
    let got = false
    for (let hour = 0; hour < 3 && !got; hour += 1) {
      await clock.advance(3_600_000)
      got = await during(
        clock,
        client.acquireEngine({ waitMs: 60_000 }).then(
          () => true,
          () => false,
        ),
      )
      await clock.advance(120_000)
    }
    expect(fake.engines.length).toBeGreaterThan(1)
  })
})
