import { CapacityError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const provisions = (byRoute: Record<string, number>) => byRoute['POST /provision/acestream'] ?? 0

describe('asking for engines', () => {
  it('hazard 19: v1 is not asked for an engine when the need is gone before the request leaves', async () => {
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

  it('hazard 19: v1 is not asked for a waiter who left behind another request', async () => {
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

  it('a store that answers later asks for no more engines than needed', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 1_000 }, { store: laterStore(1) })
    await client.acquireEngine()
    const leases = await during(clock, Promise.all([client.acquireEngine(), client.acquireEngine(), client.acquireEngine()]))
    await clock.advance(10_000)
    expect(leases).toHaveLength(3)
    expect(provisions(fake.counters.requests.byRoute)).toBe(3)
  })

  it.each([1, 2, 3, 5])('nor, after %i turns, where everybody excludes the engine there is', async (turns) => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 1_000 }, { store: laterStore(turns) })
    const held = await client.acquireEngine()
    const exclude = [held.engine.containerId]
    const leases = await during(clock, Promise.all([1, 2, 3].map(() => client.acquireEngine({ exclude }))))
    await clock.advance(10_000)
    expect(leases).toHaveLength(3)
    expect(provisions(fake.counters.requests.byRoute)).toBe(3)
  })

  it('provisionEngine() as the first call, whose answer is lost, is not answered with an engine from before', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 5_000 })
    const old = fake.engines.map((e) => e.containerId)
    fake.inject({ kind: 'lost-answer', route: 'POST /provision/acestream' })
    const engine = await during(clock, client.provisionEngine())
    expect(old).not.toContain(engine.containerId)
  })

  it('nor, where the list is old, with one that came meanwhile by itself', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 5_000 })
    await client.listEngines()
    await clock.advance(3_600_000)
    fake.addEngine()
    const old = fake.engines.map((e) => e.containerId)
    fake.inject({ kind: 'lost-request', route: 'POST /provision/acestream' })
    const result = await during(
      clock,
      client.provisionEngine().catch((e) => e),
    )
    expect(result).toBeInstanceOf(CapacityError)
    void old
  })

  it('several requests whose answers were lost read the list together', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { provisionTimeoutMs: 20_000, dialect: 'unversioned' })
    await client.listEngines()
    fake.inject({ kind: 'reset', route: 'POST /provision/acestream', times: 10 })
    const before = fake.counters.requests.byRoute['GET /engines'] ?? 0
    const all = Promise.all(Array.from({ length: 10 }, () => client.provisionEngine().catch((e) => e)))
    await clock.advance(10_000)
    expect((fake.counters.requests.byRoute['GET /engines'] ?? 0) - before).toBeLessThanOrEqual(22)
    await during(clock, all)
  })

  it('an engine that came by hand ends the hold of an earlier refusal', async () => {
    const { client, clock, fake } = setup({ engines: 1, maxReplicas: 20 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    await during(clock, failureOf(client.acquireEngine({ waitMs: 1_000 })))
    fake.setProvisioning({ refuse: undefined })
    await during(clock, client.provisionEngine())
    await client.acquireEngine({ waitMs: 0 }) // takes the engine that came by hand
    const lease = await during(
      clock,
      client.acquireEngine({ waitMs: 10_000 }).catch((e) => e),
    )
    expect(lease).toHaveProperty('engine')
  })

  it('a request that was lost on its way to v1 does not switch provisioning off for good', async () => {
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
