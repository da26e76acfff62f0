import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, playback, setup } from '../../support/setup.ts'

const ends = (byRoute: Record<string, number>) => byRoute['POST /events/stream_ended'] ?? 0

describe.each(GENERATIONS)('the end of a stream on %s', (generation) => {
  it('is sent once if it is requested 20 times: 19 of the calls resolve as duplicates', async () => {
    const { client, fake } = setup({ generation, engines: 1 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const results = await Promise.all([
      ...Array.from({ length: 10 }, () => stream.end('viewer left')),
      ...Array.from({ length: 10 }, () => client.streamEnded(stream.id)),
    ])
    expect(results.filter(({ outcome }) => outcome === 'delivered')).toEqual([{ outcome: 'delivered', attempts: 1 }])
    expect(results.filter(({ outcome }) => outcome === 'duplicate')).toHaveLength(19)
    expect(ends(fake.counters.requests.byRoute)).toBe(1)
    expect(client.metrics().events).toMatchObject({ started: 1, ended: 1, duplicatesPrevented: 19 })
  })

  it('[I4] H1: ends no other stream if the orchestrator does not know the id', async () => {
    const { client, fake } = setup({ generation, engines: 2 })
    const otherStreams = fake.engines.map(({ containerId }) => fake.startElsewhere({ containerId }))
    for (const id of ['unknown-1', 'unknown-2', 'unknown-1']) await client.streamEnded(id)
    expect(fake.liveStreamIds().toSorted()).toEqual(otherStreams.toSorted())
    expect(fake.counters.innocentsEnded).toBe(0)
    expect(client.metrics().events.misapplied).toBe(0)
  })

  it('[I4] ends no other stream if it is repeated after the client forgot the id', async () => {
    const { client, fake, clock } = setup({ generation, engines: 1 }, { maxStreamsPerEngine: 5, endedRetentionMs: 1_000 })
    const otherStream = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    await stream.end()
    await clock.advance(2_000)
    client.sweep()
    const again = await client.streamEnded(stream.id)
    // 2025-10 keeps an ended stream and moves its `ended_at`. 2026-04 has forgotten it. v1 answers the same in both cases.
    expect(again.outcome).toBe({ '2025-10': 'delivered', '2026-04': 'unknown', v1: 'delivered' }[generation])
    expect(fake.liveStreamIds()).toEqual([otherStream])
  })

  it('[I3] H2: never overtakes the start, for 50 streams that end in the tick in which they start', async () => {
    const { client, fake, clock } = setup({ generation, engines: 5 }, { maxStreamsPerEngine: 10 })
    await client.listEngines()
    fake.latencyMs = () => 50 + ((fake.counters.requests.total * 7_919) % 400)
    const cycles = Array.from({ length: 50 }, async (_, i) => {
      const lease = await client.acquireEngine()
      const starting = lease.startStream({ ...playback(i.toString(16).padStart(40, '0')), streamId: `s${i}` })
      const ending = client.streamEnded(`s${i}`)
      await starting
      return ending
    })
    await clock.advance(10_000)
    expect((await Promise.all(cycles)).every(({ outcome }) => outcome === 'delivered')).toBe(true)
    expect(fake.counters).toMatchObject({ startsApplied: 50, endsApplied: 50, innocentsEnded: 0, namesakesEnded: 0 })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('is delivered by the id of the stream if another process started it', async () => {
    const { client, fake, clock } = setup({ generation, engines: 2 })
    const successor = connect(fake, clock)
    const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'left-behind' })
    expect(await successor.streamEnded(stream.id, 'predecessor died')).toEqual({ outcome: 'delivered', attempts: 1 })
    expect(fake.liveStreamIds()).toEqual([])
  })
})

describe('ending a stream', () => {
  it('resolves as undeliverable without a request if the id is invalid, and the error names streamId', async () => {
    const { client, fake } = setup()
    for (const id of ['', 'x'.repeat(2_049), undefined, 7]) {
      expect(await client.streamEnded(id as string)).toMatchObject({
        outcome: 'undeliverable',
        attempts: 0,
        error: { code: 'INVALID_ARGUMENT', argument: 'streamId' },
      })
    }
    expect(fake.counters.requests.total).toBe(0)
  })

  it('resolves as undeliverable if the connection is refused, and can be repeated', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { deliveryTimeoutMs: 0 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const failed: unknown[] = []
    client.on('delivery:failed', (event) => failed.push(event))
    fake.inject({ kind: 'refused', route: 'POST /events/stream_ended' })
    expect(await during(clock, stream.end())).toMatchObject({ outcome: 'undeliverable', attempts: 1, error: { code: 'CONNECTION' } })
    expect(failed).toMatchObject([{ streamId: stream.id, event: 'ended', error: { code: 'CONNECTION' } }])
    expect(client.metrics().events).toMatchObject({ undeliverable: 1, pending: 0 })
    expect(await client.streamEnded(stream.id)).toMatchObject({ outcome: 'delivered' })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('sends the end after the start if both are called in one tick', async () => {
    const { client, fake } = setup({ engines: 1 })
    const starting = (await client.acquireEngine()).startStream({ ...playback(), streamId: 'blink' })
    expect(await client.streamEnded('blink')).toEqual({ outcome: 'delivered', attempts: 1 })
    expect((await starting).state).toBe('ended')
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    await client.acquireEngine({ waitMs: 0 })
  })

  it('frees the slot at once, before the orchestrator has acknowledged the end', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.latencyMs = 2_000
    const ending = stream.end()
    expect(stream.state).toBe('ending')
    await client.acquireEngine({ waitMs: 0 })
    await clock.advance(3_000)
    await ending
    expect(stream.state).toBe('ended')
  })

  it('[I1] sends the end before the start that takes its slot: the orchestrator never sees the engine over its limit', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const first = await (await client.acquireEngine()).startStream(playback('a'.repeat(40)))
    fake.latencyMs = (route) => (route === 'POST /events/stream_ended' ? 900 : 10)
    void first.end()
    const lease = await client.acquireEngine({ waitMs: 0 })
    const starting = lease.startStream(playback('b'.repeat(40)))
    await clock.advance(2_000)
    expect((await starting).state).toBe('live')
    expect(Object.values(fake.counters.peakLoad)).toEqual([1])
    expect(fake.log.map(({ kind }) => kind)).toEqual(['started', 'ended', 'started'])
  })

  it('ends all streams of its content on 2026-04, and the live one of this client is announced again within 1 s (H6)', async () => {
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 2 }, { reconcileIntervalMs: 30_000 })
    const key = 'k'.repeat(40)
    const stream = await (await client.acquireEngine()).startStream({ ...playback(key), streamId: 'ours' })
    const other = fake.engines.find(({ containerId }) => containerId !== stream.engine.containerId)?.containerId ?? ''
    fake.startElsewhere({ containerId: other, streamId: 'of a predecessor', key })
    expect(await client.streamEnded('of a predecessor')).toMatchObject({ outcome: 'delivered' })
    expect(fake.liveStreamIds()).toEqual([])
    await clock.advance(1_000)
    expect([stream.state, fake.liveStreamIds()]).toEqual(['live', ['ours']])
  })

  it('is counted as misapplied and reported with delivery:failed if the answer names another stream', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const failed: unknown[] = []
    client.on('delivery:failed', (event) => failed.push(event))
    const body = JSON.stringify({ updated: true, stream: { id: 'victim' } })
    fake.inject({ kind: 'status', status: 200, body, route: 'POST /events/stream_ended' })
    expect(await stream.end()).toMatchObject({ outcome: 'unknown', error: { code: 'MALFORMED_RESPONSE' } })
    expect(client.metrics().events.misapplied).toBe(1)
    expect(failed).toMatchObject([{ streamId: stream.id, error: { message: expect.stringContaining('victim') } }])
  })

  it('happens when its `await using` block is left, and frees the slot', async () => {
    const { client, fake } = setup({ engines: 1 })
    const watch = async () => {
      await using lease = await client.acquireEngine()
      await using stream = await lease.startStream(playback())
      expect(fake.liveStreamIds()).toEqual([stream.id])
    }
    await watch()
    expect(fake.liveStreamIds()).toEqual([])
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
  })

  it('[I7] the client remembers the last endedRetentionMax ids that ended, each for endedRetentionMs', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { endedRetentionMs: 60_000, endedRetentionMax: 3 })
    for (const id of ['a', 'b', 'c', 'd']) await client.streamEnded(id)
    const sent = ends(fake.counters.requests.byRoute)
    for (const id of ['b', 'c', 'd']) expect((await client.streamEnded(id)).outcome).toBe('duplicate')
    expect(ends(fake.counters.requests.byRoute)).toBe(sent)
    expect((await client.streamEnded('a')).outcome).not.toBe('duplicate') // `a` is the oldest id, so it was forgotten
    await clock.advance(60_000)
    expect(client.sweep()).toEqual({ expiredLeases: 0, forgottenStreams: 3 })
  })
})
