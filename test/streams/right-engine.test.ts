import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { playback, setup } from '../support/setup.ts'

describe('a slot', () => {
  it('[I1] a lease that expired is not revived on a list from before that', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 60_000 })
    const lease = await client.acquireEngine()
    await clock.advance(60_000)
    fake.startElsewhere({ containerId: lease.engine.containerId })
    await clock.advance(5_000)
    expect(await lease.startStream(playback()).catch((e) => e)).toMatchObject({ code: 'CAPACITY' })
  })

  it('a predecessor’s stream that we ended is no load, in a list from before', async () => {
    const { client, fake } = setup({ engines: 1 }, { cacheTtlMs: 60_000 })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: 'left-behind' })
    await client.listEngines()
    expect(await client.streamEnded('left-behind')).toMatchObject({ outcome: 'delivered' })
    await client.acquireEngine({ waitMs: 0 })
  })

  it('[I1] streamStarted() without a container id counts on the engine that the orchestrator names', async () => {
    const { client, fake, clock } = setup({ engines: 1, latencyMs: 0 }, { dialect: 'unversioned', cacheTtlMs: 60_000 })
    const { host, port } = fake.engines[0] ?? { host: '', port: 0 }
    fake.latencyMs = (route) => (route === 'GET /engines' ? 1_000 : 10)
    const listing = client.listEngines() // read at 500, arrives at 1000
    await clock.advance(600)
    const s = client.streamStarted({ ...playback(), engine: { host, port } })
    await clock.advance(100)
    expect((await s).state).toBe('live')
    await clock.advance(400)
    await listing
    const result = await client.acquireEngine({ waitMs: 0 }).catch((e) => e)
    expect(result).toMatchObject({ code: 'CAPACITY' })
  })

  it('a stream that is renamed while it is ended leaks no slot', async () => {
    const store = laterStore(2)
    const { client, fake, clock } = setup({ engines: 1 }, { store, dialect: 'unversioned' })
    const lease = await client.acquireEngine()
    const body = JSON.stringify({ id: 'theirs', container_id: lease.engine.containerId, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: 'POST /events/stream_started' })
    const original = store.releaseStream
    let ending: Promise<unknown> | undefined
    store.releaseStream = (id) => {
      const p = original(id)
      if (id === 'ours' && ending === undefined) {
        ending = client.streamEnded('ours')
      }
      return p
    }
    await lease.startStream({ ...playback(), streamId: 'ours' })
    await ending
    for (let i = 0; i < 5; i += 1) await clock.settle()
    expect(client.metrics().streams.live).toBe(0)
    await client.acquireEngine({ waitMs: 0 })
  })

  it('[I1] a stream that is renamed opens no gap', async () => {
    const store = laterStore(3)
    const { client, fake, clock } = setup({ engines: 1 }, { store, dialect: 'unversioned' })
    const lease = await client.acquireEngine()
    const body = JSON.stringify({ id: 'theirs', container_id: lease.engine.containerId, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: 'POST /events/stream_started' })
    let least = 9
    const sample = () => {
      const u = store.inner.usage().get(lease.engine.containerId)
      least = Math.min(least, (u?.leaseCount ?? 0) + (u?.streamIds.size ?? 0))
    }
    const starting = lease.startStream({ ...playback(), streamId: 'ours' })
    for (let i = 0; i < 40; i += 1) {
      await new Promise(setImmediate)
      sample()
    }
    await starting
    void clock
    expect(least).toBe(1)
  })
})
