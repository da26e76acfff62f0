import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { during, playback, setup } from '../support/setup.ts'

describe('the load of an engine', () => {
  it('[I1] includes a stream of another proxy: an expired lease starts no stream on an engine that this stream has filled since the last list', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 60_000 })
    const lease = await client.acquireEngine()
    await clock.advance(60_000)
    fake.startElsewhere({ containerId: lease.engine.containerId })
    await clock.advance(5_000)
    expect(await lease.startStream(playback()).catch((e) => e)).toMatchObject({ code: 'CAPACITY' })
  })

  it('no longer includes a stream of another process that this client ended, even if an older list names it', async () => {
    const { client, fake } = setup({ engines: 1 }, { cacheTtlMs: 60_000 })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: 'left-behind' })
    await client.listEngines()
    expect(await client.streamEnded('left-behind')).toMatchObject({ outcome: 'delivered' })
    await client.acquireEngine({ waitMs: 0 })
  })

  it('[I1] includes a stream that is started without a container id, on the engine that the orchestrator names', async () => {
    const { client, fake, clock } = setup({ engines: 1, latencyMs: 0 }, { dialect: 'unversioned', cacheTtlMs: 60_000 })
    const { host, port } = fake.engines[0] ?? { host: '', port: 0 }
    fake.latencyMs = (route) => (route === 'GET /engines' ? 1_000 : 10)
    const listing = client.listEngines() // read at 500 ms, answered at 1,000 ms
    await clock.advance(600)
    const starting = client.streamStarted({ ...playback(), engine: { host, port } })
    await clock.advance(100)
    expect((await starting).state).toBe('live')
    await clock.advance(400)
    await listing
    const result = await client.acquireEngine({ waitMs: 0 }).catch((e) => e)
    expect(result).toMatchObject({ code: 'CAPACITY' })
  })

  it('no longer includes a stream that is ended while the orchestrator gives it another id', async () => {
    const store = laterStore(2)
    const { client, fake, clock } = setup({ engines: 1 }, { store, dialect: 'unversioned' })
    const lease = await client.acquireEngine()
    const body = JSON.stringify({ id: 'theirs', container_id: lease.engine.containerId, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: 'POST /events/stream_started' })
    const original = store.releaseStream
    let ending: Promise<unknown> | undefined
    store.releaseStream = (id) => {
      const released = original(id)
      if (id === 'ours' && ending === undefined) {
        ending = client.streamEnded('ours')
      }
      return released
    }
    await lease.startStream({ ...playback(), streamId: 'ours' })
    await ending
    for (let i = 0; i < 5; i += 1) await clock.settle()
    expect(client.metrics().streams.live).toBe(0)
    await client.acquireEngine({ waitMs: 0 })
  })

  it('[I1] includes a stream to which the orchestrator gives another id, after every change of the store', async () => {
    const store = laterStore()
    const { client, fake, clock } = setup({ engines: 1 }, { store, dialect: 'unversioned' })
    const lease = await client.acquireEngine()
    const body = JSON.stringify({ id: 'theirs', container_id: lease.engine.containerId, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: 'POST /events/stream_started' })
    const loads: number[] = []
    for (const name of ['promote', 'occupy', 'releaseLease', 'releaseStream'] as const) {
      const change = store[name] as (...args: unknown[]) => Promise<unknown>
      const noted = async (...args: unknown[]): Promise<unknown> => {
        const result = await change(...args)
        const usage = store.inner.usage().get(lease.engine.containerId)
        loads.push((usage?.leaseCount ?? 0) + (usage?.streamIds.size ?? 0))
        return result
      }
      Object.assign(store, { [name]: noted })
    }
    await during(clock, lease.startStream({ ...playback(), streamId: 'ours' }))
    await clock.settle()
    // The promotion, the slot of the new id, and the release of the slot of the old id.
    expect(loads).toEqual([1, 2, 1])
    expect([...(store.inner.usage().get(lease.engine.containerId)?.streamIds ?? [])]).toEqual(['theirs'])
  })
})
