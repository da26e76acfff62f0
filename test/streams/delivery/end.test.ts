import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, playback, setup } from '../../support/setup.ts'

const ends = (byRoute: Record<string, number>) => byRoute['POST /events/stream_ended'] ?? 0

describe.each(GENERATIONS)('ending a stream of %s', (generation) => {
  it('is sent once, however many say so', async () => {
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

  it('[I4] hazard 1: ends no other stream, even where the orchestrator does not know the one that is meant', async () => {
    const { client, fake } = setup({ generation, engines: 2 })
    const innocents = fake.engines.map(({ containerId }) => fake.startElsewhere({ containerId }))
    for (const id of ['unknown-1', 'unknown-2', 'unknown-1']) await client.streamEnded(id)
    expect(fake.liveStreamIds().toSorted()).toEqual(innocents.toSorted())
    expect(fake.counters.innocentsEnded).toBe(0)
    expect(client.metrics().events.misapplied).toBe(0)
  })

  it('[I4] a repeated end ends no other stream after its id was forgotten', async () => {
    const { client, fake, clock } = setup({ generation, engines: 1 }, { maxStreamsPerEngine: 5, endedRetentionMs: 1_000 })
    const innocent = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    const stream = await (await client.acquireEngine()).startStream(playback())
    await stream.end()
    await clock.advance(2_000)
    client.sweep()
    const again = await client.streamEnded(stream.id)
    // 2025-10 remembers ended streams and moves their end; 2026-04 knows the stream no more; v1 does not tell.
    expect(again.outcome).toBe({ '2025-10': 'delivered', '2026-04': 'unknown', v1: 'delivered' }[generation])
    expect(fake.liveStreamIds()).toEqual([innocent])
  })

  it('[I3] hazard 2: an end never overtakes its start, however fast it comes', async () => {
    const { client, fake, clock } = setup({ generation, engines: 5 }, { maxStreamsPerEngine: 10 })
    await client.listEngines()
    fake.latencyMs = () => 50 + ((fake.counters.requests.total * 7_919) % 400)
    const lives = Array.from({ length: 50 }, async (_, i) => {
      const lease = await client.acquireEngine()
      const starting = lease.startStream({ ...playback(i.toString(16).padStart(40, '0')), streamId: `s${i}` })
      const ending = client.streamEnded(`s${i}`)
      await starting
      return ending
    })
    await clock.advance(10_000)
    expect((await Promise.all(lives)).every(({ outcome }) => outcome === 'delivered')).toBe(true)
    expect(fake.counters).toMatchObject({ startsApplied: 50, endsApplied: 50, innocentsEnded: 0, namesakesEnded: 0 })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it("ends a predecessor's stream by its id", async () => {
    const { client, fake, clock } = setup({ generation, engines: 2 })
    const heir = connect(fake, clock)
    const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'left-behind' })
    expect(await heir.streamEnded(stream.id, 'predecessor died')).toEqual({ outcome: 'delivered', attempts: 1 })
    expect(fake.liveStreamIds()).toEqual([])
  })
})

describe('ending a stream', () => {
  it('never rejects, and says what was wrong with an id', async () => {
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

  it('never rejects where the orchestrator fails, and can be tried again', async () => {
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

  it('in the very tick of its start is sent after it', async () => {
    const { client, fake } = setup({ engines: 1 })
    const starting = (await client.acquireEngine()).startStream({ ...playback(), streamId: 'blink' })
    expect(await client.streamEnded('blink')).toEqual({ outcome: 'delivered', attempts: 1 })
    expect((await starting).state).toBe('ended')
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    await client.acquireEngine({ waitMs: 0 })
  })

  it('frees the slot at once, before the orchestrator has heard of it', async () => {
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

  it('[I1] whose slot is taken at once is told before the start that took it: the orchestrator never sees the engine above its limit', async () => {
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

  it('by its id takes a stream of the same content along on 2026-04, which is announced again at once (hazard 6)', async () => {
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

  it('counts and reports an answer that names another stream', async () => {
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

  it('happens when its block is left', async () => {
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

  it('[I7] ended ids are remembered by time and by number, and forgotten oldest first', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { endedRetentionMs: 60_000, endedRetentionMax: 3 })
    for (const id of ['a', 'b', 'c', 'd']) await client.streamEnded(id)
    const sent = ends(fake.counters.requests.byRoute)
    for (const id of ['b', 'c', 'd']) expect((await client.streamEnded(id)).outcome).toBe('duplicate')
    expect(ends(fake.counters.requests.byRoute)).toBe(sent)
    expect((await client.streamEnded('a')).outcome).not.toBe('duplicate') // a was the oldest: it is the one forgotten
    await clock.advance(60_000)
    expect(client.sweep()).toEqual({ expiredLeases: 0, forgottenStreams: 3 })
  })
})
