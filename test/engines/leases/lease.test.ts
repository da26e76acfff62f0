import { CapacityError, InvalidArgumentError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { failureOf, playback, setup } from '../../support/setup.ts'

describe('a lease', () => {
  it('[I6] comes back when it is released, once, however often that is said', async () => {
    const { client } = setup({ engines: 1 }, { maxStreamsPerEngine: 2 })
    const [first, second] = [await client.acquireEngine(), await client.acquireEngine()]
    await Promise.all([first.release(), first.release(), first.release()])
    const third = await client.acquireEngine({ waitMs: 0 })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect(client.metrics().leases).toMatchObject({ active: 2, acquired: 3 })
    expect(new Set([first.id, second.id, third.id]).size).toBe(3)
  })

  it('[I6] comes back when its block is left', async () => {
    const { client } = setup({ engines: 1 })
    const attempt = async () => {
      await using lease = await client.acquireEngine({ waitMs: 0 })
      throw new Error(`playback failed on ${lease.engine.containerId.slice(0, 1)}`)
    }
    await failureOf(attempt())
    await failureOf(attempt())
    expect(client.metrics().leases).toMatchObject({ active: 0, acquired: 2 })
  })

  it('[I6] comes back by itself after leaseTtlMs, and says so', async () => {
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

  it('that became a stream does not expire, and its release changes nothing', async () => {
    const { client, clock } = setup({ engines: 1 }, { leaseTtlMs: 10_000 })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(playback())
    await lease.release()
    await clock.advance(60_000)
    expect(stream.state).toBe('live')
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect(client.metrics()).toMatchObject({ leases: { active: 0, expired: 0 }, streams: { live: 1 } })
  })

  it('that expired while the playback was opened still starts a stream where there is room', async () => {
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

  it('starts one stream', async () => {
    const { client } = setup({ engines: 1 }, { maxStreamsPerEngine: 5 })
    const lease = await client.acquireEngine()
    const first = lease.startStream(playback('a'.repeat(40)))
    expect(await failureOf(lease.startStream(playback('b'.repeat(40))))).toBeInstanceOf(InvalidArgumentError)
    expect((await first).state).toBe('live')
    expect(client.metrics().streams.live).toBe(1)
  })

  it('[I6] gives its slot back when the orchestrator refuses the start', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.startStream(playback()))).toMatchObject({ code: 'RESPONSE', status: 422 })
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
    await client.acquireEngine({ waitMs: 0 })
  })

  it('keeps its slot when the start is wrong, so that the host may try again', async () => {
    const { client } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    const wrong = { ...playback(), session: { ...playback().session, statUrl: '' } }
    expect(await failureOf(lease.startStream(wrong))).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'session.statUrl' })
    expect(client.metrics().leases.active).toBe(1)
    expect((await lease.startStream(playback())).state).toBe('live')
  })
})

describe('an engine that fails', () => {
  it('three times in a row gets nothing new for 30 s, then for 60 s, while others have room', async () => {
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

  it('and then runs a stream starts from zero', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const [bad, good] = fake.engines.map((engine) => engine.containerId)
    const onBad = () => client.acquireEngine({ exclude: [good ?? ''], waitMs: 0 })
    for (let i = 0; i < 2; i += 1) await (await onBad()).fail()
    await (await onBad()).startStream(playback())
    for (let i = 0; i < 2; i += 1) await (await onBad()).fail()
    expect((await onBad()).engine.containerId).toBe(bad)
  })

  it('never takes more than half of all engines out', async () => {
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

  it('is counted once for a lease, however often its holder says so', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const [bad, good] = fake.engines.map((engine) => engine.containerId)
    const lease = await client.acquireEngine({ exclude: [good ?? ''] })
    for (let i = 0; i < 5; i += 1) await lease.fail()
    expect((await client.acquireEngine({ exclude: [good ?? ''], waitMs: 0 })).engine.containerId).toBe(bad)
  })
})
