import { CapacityError, InvalidArgumentError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { failureOf, playback, setup } from '../../support/setup.ts'

describe('a lease', () => {
  it('[I6] frees its slot once when it is released three times', async () => {
    const { client } = setup({ engines: 1 }, { maxStreamsPerEngine: 2 })
    const [first, second] = [await client.acquireEngine(), await client.acquireEngine()]
    await Promise.all([first.release(), first.release(), first.release()])
    const third = await client.acquireEngine({ waitMs: 0 })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect(client.metrics().leases).toMatchObject({ active: 2, acquired: 3 })
    expect(new Set([first.id, second.id, third.id]).size).toBe(3)
  })

  it('[I6] is released when its `await using` block throws', async () => {
    const { client } = setup({ engines: 1 })
    const attempt = async () => {
      await using lease = await client.acquireEngine({ waitMs: 0 })
      throw new Error(`playback failed on ${lease.engine.containerId.slice(0, 1)}`)
    }
    await failureOf(attempt())
    await failureOf(attempt())
    expect(client.metrics().leases).toMatchObject({ active: 0, acquired: 2 })
  })

  it('[I6] expires after leaseTtlMs, frees its slot and emits lease:expired', async () => {
    const { client, clock } = setup({ engines: 1 }, { leaseTtlMs: 10_000 })
    const expired: unknown[] = []
    client.on('lease:expired', (event) => expired.push(event))
    const lease = await client.acquireEngine()
    expect(lease.expiresAt.getTime()).toBe(clock.now() + 10_000)
    await clock.advance(9_999)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    await clock.advance(1)
    expect(expired).toEqual([{ leaseId: lease.id, containerId: lease.engine.containerId }])
    await client.acquireEngine({ waitMs: 0 })
    expect(client.metrics().leases).toMatchObject({ active: 1, expired: 1 })
  })

  it('that became a stream does not expire, and releasing it changes nothing', async () => {
    const { client, clock } = setup({ engines: 1 }, { leaseTtlMs: 10_000 })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(playback())
    await lease.release()
    await clock.advance(60_000)
    expect(stream.state).toBe('live')
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect(client.metrics()).toMatchObject({ leases: { active: 0, expired: 0 }, streams: { live: 1 } })
  })

  it('that expired while the playback was opened still starts a stream when its engine has a free slot', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 1_000 })
    const lease = await client.acquireEngine()
    await clock.advance(1_000)
    const stream = await lease.startStream(playback())
    expect(stream.state).toBe('live')
    expect(Object.values(fake.counters.peakLoad)).toEqual([1])
  })

  it('[I1] that expired starts no stream on an engine that is full by now', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { leaseTtlMs: 1_000 })
    const late = await client.acquireEngine()
    await clock.advance(1_000)
    await (await client.acquireEngine({ waitMs: 0 })).startStream(playback('b'.repeat(40)))
    expect(await failureOf(late.startStream(playback()))).toMatchObject({ code: 'CAPACITY', reason: 'lease_expired', canRetry: true })
    expect(Object.values(fake.counters.peakLoad)).toEqual([1])
  })

  it('starts one stream and rejects a second start', async () => {
    const { client } = setup({ engines: 1 }, { maxStreamsPerEngine: 5 })
    const lease = await client.acquireEngine()
    const first = lease.startStream(playback('a'.repeat(40)))
    expect(await failureOf(lease.startStream(playback('b'.repeat(40))))).toBeInstanceOf(InvalidArgumentError)
    expect((await first).state).toBe('live')
    expect(client.metrics().streams.live).toBe(1)
  })

  it('[I6] frees its slot when the orchestrator rejects the start with 422', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.startStream(playback()))).toMatchObject({ code: 'RESPONSE', status: 422 })
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
    await client.acquireEngine({ waitMs: 0 })
  })

  it('keeps its slot when the arguments of the start are invalid, so that the host may try again', async () => {
    const { client } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    const wrong = { ...playback(), session: { ...playback().session, statUrl: '' } }
    expect(await failureOf(lease.startStream(wrong))).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'session.statUrl' })
    expect(client.metrics().leases.active).toBe(1)
    expect((await lease.startStream(playback())).state).toBe('live')
  })
})

describe('an engine that fails', () => {
  it('three times in a row is ejected for 30 s, and after three more failures for 60 s', async () => {
    const { client, clock, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const ejections: unknown[] = []
    client.on('engine:ejected', ({ containerId, ejectedMs }) => ejections.push([containerId, ejectedMs]))
    const [bad, good] = fake.engines.map((engine) => engine.containerId)
    const failOnBad = async () => (await client.acquireEngine({ exclude: [good ?? ''], waitMs: 0 })).fail(new Error('hangs'))
    for (let i = 0; i < 3; i += 1) await failOnBad()
    expect(ejections).toEqual([[bad, 30_000]])
    expect(await failureOf(failOnBad())).toBeInstanceOf(CapacityError)
    await clock.advance(30_000)
    for (let i = 0; i < 3; i += 1) await failOnBad()
    expect(ejections).toEqual([
      [bad, 30_000],
      [bad, 60_000],
    ])
    expect(client.metrics().leases.active).toBe(0)
  })

  it('twice and then runs a stream counts its failures from zero', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const [bad, good] = fake.engines.map((engine) => engine.containerId)
    const onBad = () => client.acquireEngine({ exclude: [good ?? ''], waitMs: 0 })
    for (let i = 0; i < 2; i += 1) await (await onBad()).fail()
    await (await onBad()).startStream(playback())
    for (let i = 0; i < 2; i += 1) await (await onBad()).fail()
    expect((await onBad()).engine.containerId).toBe(bad)
  })

  it('is not ejected when half of all engines already are', async () => {
    const { client, fake } = setup({ engines: 4 }, { maxStreamsPerEngine: 5 })
    const ids = fake.engines.map((engine) => engine.containerId)
    for (const id of ids) {
      const exclude = ids.filter((other) => other !== id)
      for (let i = 0; i < 3; i += 1)
        await client.acquireEngine({ exclude, waitMs: 0 }).then(
          (lease) => lease.fail(),
          () => {},
        )
    }
    const leases = await Promise.all(Array.from({ length: 10 }, () => client.acquireEngine({ waitMs: 0 })))
    expect(new Set(leases.map((lease) => lease.engine.containerId)).size).toBe(2)
  })

  it('counts one failure for a lease on which fail() is called five times', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const [bad, good] = fake.engines.map((engine) => engine.containerId)
    const lease = await client.acquireEngine({ exclude: [good ?? ''] })
    for (let i = 0; i < 5; i += 1) await lease.fail()
    expect((await client.acquireEngine({ exclude: [good ?? ''], waitMs: 0 })).engine.containerId).toBe(bad)
  })
})
