import { InvalidArgumentError, MemoryStore, ResponseError } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { failureOf, playback, setup } from '../../support/setup.ts'

describe.each(GENERATIONS)('the start of a stream on %s', (generation) => {
  it('H7: adds the stream to its engine, keeps the listed address of the engine, and adds no label but stream_id', async () => {
    const { client, fake } = setup(
      { generation, engines: [{ host: 'gluetun', port: 19_000 }] },
      { mapEngine: () => ({ host: '10.0.0.9', port: 1 }) },
    )
    const before = (await client.listEngines())[0]
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({ ...playback('a'.repeat(40), 'p1'), streamId: 'viewer-1' })
    expect(stream).toMatchObject({ id: 'viewer-1', state: 'live' })
    expect(fake.liveStreamIds(before?.containerId)).toEqual(['viewer-1'])
    const [listed] = await client.listStreams({ status: 'started' })
    expect(listed).toMatchObject({ id: 'viewer-1', keyType: 'infohash', key: 'a'.repeat(40), playbackSessionId: 'p1', isLive: true })
    const after = (await client.listEngines({ fresh: true }))[0]
    expect(after).toMatchObject({ host: 'gluetun', port: 19_000 })
    const { stream_id: added, ...labels } = after?.labels ?? {}
    expect(labels).toEqual(before?.labels)
    expect([undefined, 'viewer-1']).toContain(added)
  })

  it('two viewers of one content are two streams', async () => {
    const { client, fake } = setup({ generation, engines: 2 })
    const first = await (await client.acquireEngine()).startStream(playback('c'.repeat(40), 'p1'))
    const second = await (await client.acquireEngine()).startStream(playback('c'.repeat(40), 'p2'))
    expect(fake.liveStreamIds().toSorted()).toEqual([`${'c'.repeat(40)}|p1`, `${'c'.repeat(40)}|p2`])
    await first.end()
    // H6: 2026-04 ends all streams of the same content.
    expect(fake.liveStreamIds()).toEqual(generation === '2026-04' ? [] : [second.id])
  })

  it('three streams can use one id, one after the other: each start and each end is applied', async () => {
    const { client, fake } = setup({ generation, engines: 1 })
    for (let round = 0; round < 3; round += 1) {
      const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'again' })
      expect(fake.liveStreamIds()).toEqual(['again'])
      expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
      expect(fake.liveStreamIds()).toEqual([])
    }
    expect(fake.counters).toMatchObject({ startsApplied: 3, endsApplied: 3, repeatedStarts: 0, innocentsEnded: 0 })
  })

  it('[I3] a start that reuses an id is sent only after the end of the earlier stream was acknowledged', async () => {
    const { client, fake, clock } = setup({ generation, engines: 2, latencyMs: 100 })
    const lease = client.acquireEngine()
    await clock.advance(1_000)
    const starting = (await lease).startStream({ ...playback(), streamId: 'x' })
    await clock.advance(1_000)
    const next = client.acquireEngine()
    await clock.advance(1_000)
    const ending = (await starting).end()
    const again = (await next).startStream({ ...playback(), streamId: 'x' })
    await clock.advance(2_000)
    expect((await ending).outcome).toBe('delivered')
    expect((await again).state).toBe('live')
    expect(fake.liveStreamIds()).toEqual(['x'])
    const ended = (await again).end()
    await clock.advance(1_000)
    expect((await ended).outcome).toBe('delivered')
    expect(fake.liveStreamIds()).toEqual([])
  })
})

describe('the start of a stream', () => {
  it('H5: a start whose id is live in this client is rejected without a request, and its lease stays valid', async () => {
    const { client, fake } = setup({ engines: 1 }, { maxStreamsPerEngine: 2 })
    await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.startStream({ ...playback(), streamId: 'x' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      argument: 'streamId',
    })
    expect(fake.counters.startsApplied).toBe(1)
    expect(client.metrics().leases.active).toBe(1)
  })

  it('H3: no end is sent for a start that the orchestrator rejected with 422', async () => {
    const { client, fake } = setup({ engines: 1 }, { maxStreamsPerEngine: 5 })
    const otherStream = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.startStream({ ...playback(), streamId: 'refused' }))).toBeInstanceOf(ResponseError)
    expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBeUndefined()
    expect(fake.liveStreamIds()).toEqual([otherStream])
  })

  it('a start whose answer is lost resolves as `announcing` after its request timed out, and a later end() is sent', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    fake.inject({ kind: 'lost-answer', route: 'POST /events/stream_started' })
    const lease = await client.acquireEngine()
    const starting = lease.startStream(playback())
    await clock.advance(3_000)
    const stream = await starting
    expect(stream.state).toBe('announcing')
    expect(fake.liveStreamIds()).toEqual([stream.id])
    expect(await stream.end()).toMatchObject({ outcome: 'delivered', attempts: 1 })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('a start whose connection was refused is dropped when the stream ends: no end is sent, and the slot is free', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'refused', route: 'POST /events/stream_started' })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(playback())
    expect(stream.state).toBe('announcing')
    expect(await stream.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    expect(stream.state).toBe('ended')
    expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBeUndefined()
    await client.acquireEngine({ waitMs: 0 })
  })

  it('[I3] an end that is requested while the start is in flight is sent after it', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    fake.latencyMs = 1_000
    const starting = lease.startStream({ ...playback(), streamId: 'quick' })
    await clock.advance(100)
    const ending = client.streamEnded('quick')
    await clock.advance(5_000)
    expect((await starting).state).toBe('ended')
    expect(await ending).toMatchObject({ outcome: 'delivered' })
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('an aborted start rejects with the reason of the signal, and the stream that its request created is ended', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    fake.latencyMs = 1_000
    const abort = new AbortController()
    const starting = failureOf(lease.startStream(playback(), { signal: abort.signal }))
    await clock.advance(600)
    abort.abort('viewer left')
    expect(await starting).toBe('viewer left')
    await clock.advance(5_000)
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    expect(client.metrics()).toMatchObject({ streams: { live: 0 }, events: { pending: 0 } })
  })

  it('[I6] a stream that ends before it gets its slot leaves no slot taken', async () => {
    const store = new MemoryStore()
    const mapEngine = ({ port }: { port: number }) => ({ host: '10.0.0.9', port })
    const { client, fake, clock } = setup({ engines: [{ host: 'gluetun', port: 19_000 }] }, { store, mapEngine })
    fake.latencyMs = 100
    const starting = client.streamStarted({ ...playback(), streamId: 'quick', engine: { host: '10.0.0.9', port: 19_000 } })
    await clock.advance(50) // the engine list is being requested, to find the engine by its address
    const ending = client.streamEnded('quick')
    await clock.advance(2_000)
    expect([(await starting).state, await ending]).toMatchObject(['ended', { outcome: 'delivered' }])
    expect([store.usage().size, fake.liveStreamIds()]).toEqual([0, []])
  })

  it('a start with an aborted signal is not sent, and its lease can start another stream', async () => {
    const { client, fake } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.startStream(playback(), { signal: AbortSignal.abort('gone') }))).toBe('gone')
    expect([fake.log, client.metrics().leases.active]).toEqual([[], 1])
    expect((await lease.startStream(playback())).state).toBe('live')
  })

  it('H7: a start that waited for a stalled end is sent with the address that its engine has in the list by then', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { circuitBreaker: false })
    const first = await (await client.acquireEngine()).startStream(playback('a'.repeat(40)))
    fake.inject({ kind: 'refused', route: 'POST /events/stream_ended', times: Number.POSITIVE_INFINITY })
    void first.end()
    const second = await (await client.acquireEngine()).startStream(playback('b'.repeat(40)))
    await clock.advance(5_000)
    fake.updateEngine(first.engine.containerId ?? '', { host: 'renamed' })
    fake.clearFaults()
    await clock.advance(30_000)
    expect([second.state, fake.liveStreamIds()]).toEqual(['live', [second.id]])
    expect(fake.engines).toMatchObject([{ host: 'renamed' }])
  })

  it('if the orchestrator answers the start with another id, end() ends the stream with that id', async () => {
    const { client, fake } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const lease = await client.acquireEngine()
    const container = lease.engine.containerId
    const body = JSON.stringify({ id: 'theirs', container_id: container, key_type: 'infohash', key: 'k', status: 'started' })
    fake.inject({ kind: 'status', status: 200, body, route: 'POST /events/stream_started' })
    const stream = await lease.startStream({ ...playback(), streamId: 'ours' })
    expect(stream.id).toBe('theirs')
    fake.startElsewhere({ containerId: container, streamId: 'theirs' })
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    expect(fake.liveStreamIds()).toEqual([])
    await client.acquireEngine({ waitMs: 0 })
  })

  it.each([
    ['start', null],
    ['keyType', { ...playback(), keyType: 'torrent' }],
    ['key', { ...playback(), key: '' }],
    ['session', { ...playback(), session: undefined }],
    ['session.playbackSessionId', { ...playback(), session: { ...playback().session, playbackSessionId: '' } }],
    ['session.statUrl', { ...playback(), session: { ...playback().session, statUrl: '/ace/stat' } }],
    ['session.commandUrl', { ...playback(), session: { ...playback().session, commandUrl: 'ftp://x/y' } }],
    ['session.isLive', { ...playback(), session: { ...playback().session, isLive: 1 } }],
    ['streamId', { ...playback(), streamId: '' }],
    ['streamId', { ...playback(), streamId: 'x'.repeat(2_049) }],
    ['labels.n', { ...playback(), labels: { n: 1 } }],
  ])('is rejected without a request if %s is invalid', async (argument, start) => {
    const { client, fake } = setup({ engines: 1 })
    const lease = await client.acquireEngine()
    const requests = fake.counters.requests.total
    const error = await failureOf(lease.startStream(start as never))
    expect(error).toBeInstanceOf(InvalidArgumentError)
    expect(error).toMatchObject({ argument, message: expect.stringContaining(argument) })
    expect(fake.counters.requests.total).toBe(requests)
  })
})

describe('a stream that streamStarted() starts without a lease', () => {
  it('takes a slot of its engine even if the engine is full', async () => {
    const { client, fake } = setup({ engines: 1 })
    const { containerId, host, port } = (await client.listEngines())[0] ?? { containerId: '', host: '', port: 0 }
    await (await client.acquireEngine()).startStream(playback('a'.repeat(40)))
    const stream = await client.streamStarted({ ...playback('b'.repeat(40)), engine: { host, port, containerId } })
    expect(stream).toMatchObject({ state: 'live', engine: { host, port, containerId } })
    expect(fake.liveStreamIds(containerId)).toHaveLength(2)
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full' })
  })

  it('H7: is announced with the listed address of its engine if the host passes the mapped one, with or without the container id', async () => {
    const { client, fake } = setup(
      { engines: [{ host: 'gluetun', port: 19_000 }] },
      { mapEngine: ({ port }) => ({ host: '10.0.0.9', port }) },
    )
    const containerId = fake.engines[0]?.containerId ?? ''
    await client.streamStarted({ ...playback('a'.repeat(40)), engine: { host: '10.0.0.9', port: 19_000, containerId } })
    await client.streamStarted({ ...playback('b'.repeat(40)), engine: { host: '10.0.0.9', port: 19_000 } })
    expect(await client.listEngines({ fresh: true })).toMatchObject([{ host: 'gluetun', port: 19_000 }])
    expect(fake.liveStreamIds(containerId)).toHaveLength(2)
  })

  it.each([
    ['engine', undefined],
    ['engine.host', { host: '', port: 1 }],
    ['engine.port', { host: 'x', port: 0 }],
    ['engine.port', { host: 'x', port: 70_000 }],
    ['engine.containerId', { host: 'x', port: 1, containerId: '' }],
  ])('is rejected without a request if %s is invalid', async (argument, engine) => {
    const { client, fake } = setup()
    expect(await failureOf(client.streamStarted({ ...playback(), engine } as never))).toMatchObject({ code: 'INVALID_ARGUMENT', argument })
    expect(fake.counters.requests.total).toBe(0)
  })
})

it('while the engine list is empty a start waits, and each delivery:retry reports the empty list as MALFORMED_RESPONSE, not as CAPACITY', async () => {
  const { client, fake, clock } = setup({ engines: 1 })
  const lease = await client.acquireEngine()
  const errors: unknown[] = []
  client.on('delivery:retry', ({ error }) => errors.push(error))
  fake.inject({ kind: 'reset', route: 'POST /events/stream_started' })
  const empty = fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines', times: Number.POSITIVE_INFINITY })
  const stream = await lease.startStream(playback())
  await clock.advance(60_000)
  expect(stream.state).toBe('announcing')
  expect(errors.slice(1)).not.toEqual([])
  for (const error of errors.slice(1)) {
    expect(error).toMatchObject({
      code: 'MALFORMED_RESPONSE',
      message: expect.stringMatching(/^GET \/engines: engine .* is not listed, but may exist: the list is empty/),
    })
  }
  empty.remove()
  await clock.advance(60_000)
  expect(stream.state).toBe('live')
})
