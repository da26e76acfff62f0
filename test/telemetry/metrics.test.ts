import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../support/setup.ts'

describe('metrics', () => {
  it('are all zero for a new client', () => {
    const { client } = setup()
    expect(client.metrics()).toEqual({
      requests: { total: 0, failed: 0, byRoute: {} },
      engineCache: { hits: 0, misses: 0, coalesced: 0, stale: 0, hitRate: 0 },
      engines: { listed: 0, slots: 0 },
      leases: { active: 0, acquired: 0, expired: 0, waiting: 0 },
      streams: { live: 0, shared: 0, viewers: 0, lingering: 0 },
      events: { started: 0, ended: 0, duplicatesPrevented: 0, retried: 0, pending: 0, undeliverable: 0, misapplied: 0 },
      provisioning: { requested: 0, completed: 0, refused: 0 },
      circuit: 'closed',
    })
  })

  it('are a copy: a host can change them without effect, and later requests do not change them', async () => {
    const { client } = setup({}, { dialect: 'unversioned' })
    const before = client.metrics()
    await client.listEngines()
    expect(before.requests).toEqual({ total: 0, failed: 0, byRoute: {} })
    const snapshot = client.metrics()
    snapshot.requests.byRoute['GET /engines'] = 99
    snapshot.leases.active = 99
    expect(client.metrics()).toMatchObject({ requests: { byRoute: { 'GET /engines': 1 } }, leases: { active: 0 } })
  })

  it('count the requests that the orchestrator received by route, and the failed ones', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned', retry: { attempts: 1 } })
    const stream = await (await client.acquireEngine()).startStream(playback())
    await client.checkHealth()
    fake.inject({ kind: 'status', status: 500, route: 'GET /streams' })
    await failureOf(client.listStreams())
    await stream.end()
    const { total, byRoute } = fake.counters.requests
    expect(client.metrics().requests).toEqual({ total, failed: 1, byRoute })
    expect(byRoute).toEqual({
      'GET /engines': 1,
      'POST /events/stream_started': 1,
      'GET /orchestrator/status': 1,
      'GET /streams': 1,
      'POST /events/stream_ended': 1,
    })
  })

  it('count engine lists by their source: requested, cached, shared with another caller, or stale', async () => {
    const { client, fake, clock } = setup({ latencyMs: 10 }, { dialect: 'unversioned' })
    await during(clock, Promise.all(Array.from({ length: 4 }, () => client.listEngines()))) // 1 miss, 3 coalesced
    for (let i = 0; i < 4; i += 1) await client.listEngines() // 4 hits
    await clock.advance(2_000)
    const outage = fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await client.listEngines() // a miss that is answered with the stale list
    outage.remove()
    expect(client.metrics().engineCache).toEqual({ hits: 4, misses: 2, coalesced: 3, stale: 1, hitRate: 7 / 9 })
  })

  it('count leases that are active, acquired and expired, waiting callers, and live streams', async () => {
    const { client, clock } = setup({ engines: 2 }, { leaseTtlMs: 5_000 })
    await client.acquireEngine()
    const stream = await (await client.acquireEngine()).startStream(playback())
    const waiting = client.acquireEngine({ provision: false })
    await clock.advance(1_000)
    expect(client.metrics()).toMatchObject({ leases: { active: 1, acquired: 2, expired: 0, waiting: 1 }, streams: { live: 1 } })
    await clock.advance(4_000)
    const lease = await waiting
    expect(client.metrics()).toMatchObject({ leases: { active: 1, acquired: 3, expired: 1, waiting: 0 }, streams: { live: 1 } })
    await stream.end()
    await lease.release()
    expect(client.metrics()).toMatchObject({ leases: { active: 0, acquired: 3, expired: 1, waiting: 0 }, streams: { live: 0 } })
  })

  it('count pending events and the outcomes of events', async () => {
    const { client, fake, clock } = setup({ engines: 3 }, { deliveryTimeoutMs: 0 })
    const leases = [await client.acquireEngine(), await client.acquireEngine(), await client.acquireEngine()]
    fake.latencyMs = 100
    const starting = Promise.all(leases.map((lease, index) => lease.startStream(playback(`${index}`.repeat(40)))))
    await clock.advance(50)
    expect(client.metrics().events).toMatchObject({ pending: 3, started: 0 })
    const streams = await during(clock, starting)
    expect(client.metrics().events).toMatchObject({ pending: 0, started: 3 })
    fake.inject({ kind: 'reset', route: 'POST /events/stream_ended' })
    const ending = Promise.all(streams.map((stream) => stream.end()))
    expect(client.metrics().events.pending).toBe(3)
    await during(clock, ending)
    await streams[1]?.end()
    expect(client.metrics().events).toEqual({
      started: 3,
      ended: 2,
      duplicatesPrevented: 1,
      retried: 0,
      pending: 0,
      undeliverable: 1,
      misapplied: 0,
    })
  })

  it('count requests for engines by their outcome', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    await during(clock, client.acquireEngine())
    fake.setProvisioning({ refuse: 'vpn_error' })
    await failureOf(client.provisionEngine())
    expect(client.metrics().provisioning).toEqual({ requested: 2, completed: 1, refused: 1 })
  })
})
