import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../support/setup.ts'

const LISTED = { host: 'gluetun', port: 19_000 }
const MAPPED = { host: '10.0.0.9', port: 19_000 }
const mapEngine = () => MAPPED
const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

describe.each(GENERATIONS)('a stream that streamStarted() starts with the address of its engine on %s', (generation) => {
  it('[I1] takes a slot of the engine with that address, even if no list was read before', async () => {
    const { client, fake } = setup({ generation, engines: [LISTED, { port: 19_001 }] })
    const { containerId = '' } = fake.engines[0] ?? {}
    const stream = await client.streamStarted({ ...playback(), engine: LISTED })
    expect(stream).toMatchObject({ state: 'live', engine: { ...LISTED, containerId } })
    expect(fake.liveStreamIds(containerId)).toEqual([stream.id])
    const other = await client.acquireEngine({ waitMs: 0 })
    expect(other.engine.containerId).not.toBe(containerId)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full' })
  })

  it('is on the engine that has the address now, not on the one that had it in an older list', async () => {
    const { client, fake, clock } = setup({ generation, engines: [LISTED] })
    await client.listEngines()
    fake.restart()
    await clock.advance(3_000)
    const { containerId } = fake.engines[0] ?? {}
    const stream = await client.streamStarted({ ...playback(), engine: LISTED })
    expect(stream).toMatchObject({ state: 'live', engine: { containerId } })
    expect(fake.counters.enginesInvented).toBe(0)
  })

  it('is announced with the given address if no listed engine has it', async () => {
    const { client, fake } = setup({ generation, engines: [LISTED] })
    const stream = await client.streamStarted({ ...playback(), engine: { host: 'elsewhere', port: 1 } })
    expect(stream.state).toBe('live')
    expect(fake.counters.requests.byRoute[START]).toBe(1)
    expect(fake.counters.requests.byRoute['GET /engines']).toBeLessThanOrEqual(2) // one to detect the generation, one to find the engine
  })

  describe('while the engine list fails and events work', () => {
    const world = (options: Parameters<typeof setup>[1] = {}) => {
      const made = setup({ generation, engines: [LISTED] }, { mapEngine, circuitBreaker: false, ...options })
      const { containerId = '' } = made.fake.engines[0] ?? {}
      return { ...made, containerId }
    }
    const failing = { kind: 'status', status: 500, route: 'GET /engines', times: Number.POSITIVE_INFINITY } as const

    it.each(['with', 'without'])(
      'H7: %s a container id, the start is sent only when the listed address is known, and the viewer does not wait',
      async (id) => {
        const { client, fake, clock, containerId } = world()
        await client.listStreams()
        const fault = fake.inject(failing)
        const starting = client.streamStarted({ ...playback(), engine: { ...MAPPED, ...(id === 'with' && { containerId }) } })
        await clock.settle()
        const stream = await starting
        expect(stream.state).toBe('announcing')
        await clock.advance(20_000)
        expect(fake.counters.startsApplied).toBe(0)
        fault.remove()
        await clock.advance(20_000)
        expect(stream).toMatchObject({ state: 'live', engine: { ...MAPPED, containerId } })
        expect(fake.liveStreamIds(containerId)).toEqual([stream.id])
        expect(await client.listEngines({ fresh: true })).toMatchObject([{ containerId, ...LISTED }])
        expect(fake.counters).toMatchObject({ startsApplied: 1, enginesInvented: 0 })
        expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full' })
        await stream.end()
        await (await client.acquireEngine({ waitMs: 0 })).release()
      },
    )

    it('is never announced if it ends before the list works again, and leaves no slot taken', async () => {
      const { client, fake, clock } = world()
      await client.listStreams()
      const fault = fake.inject(failing)
      const stream = await client.streamStarted({ ...playback(), engine: MAPPED })
      expect(await during(clock, stream.end())).toEqual({ outcome: 'not-announced', attempts: 0 })
      fault.remove()
      await clock.advance(20_000)
      expect(fake.counters).toMatchObject({ startsApplied: 0, endsApplied: 0 })
      await (await client.acquireEngine({ waitMs: 0 })).release()
    })
  })

  describe('if no list has shown that address yet', () => {
    const EVENTS = [START, END]
    const forEver = { times: Number.POSITIVE_INFINITY }

    it.each([
      ['with mapEngine', MAPPED, mapEngine],
      ['without mapEngine', LISTED, undefined],
    ])('is announced once a list shows the address, even after its start was given up, and keeps its slot (%s)', async (_, engine, map) => {
      const options = { deliveryTimeoutMs: 20_000, reconcileIntervalMs: 30_000, circuitBreaker: false as const }
      const { client, fake, clock } = setup({ generation, engines: [LISTED] }, { ...options, ...(map && { mapEngine: map }) })
      await client.listStreams()
      const fault = fake.inject({ kind: 'refused', route: [...EVENTS, 'GET /engines'], ...forEver })
      const stream = await during(clock, client.streamStarted({ ...playback(), engine }))
      await clock.advance(25_000)
      expect([stream.state, client.metrics().events.pending]).toEqual(['announcing', 0])
      fault.remove()
      const events = fake.inject({ kind: 'refused', route: EVENTS, ...forEver })
      expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full' })
      events.remove()
      await clock.advance(40_000)
      const { containerId = '' } = fake.engines[0] ?? {}
      expect([stream.state, stream.engine.containerId, fake.liveStreamIds(containerId)]).toEqual(['live', containerId, [stream.id]])
      expect(await client.listEngines({ fresh: true })).toMatchObject([LISTED])
      expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full' })
      expect(fake.counters).toMatchObject({ startsApplied: 1, enginesInvented: 0 })
      await during(clock, stream.end())
      await (await client.acquireEngine({ waitMs: 0 })).release()
    })

    it('[I1] is ended before the next start on its engine is sent', async () => {
      const { client, fake, clock } = setup({ generation, engines: [LISTED] })
      fake.latencyMs = 100
      const stream = await during(clock, client.streamStarted({ ...playback(), engine: LISTED }))
      fake.latencyMs = (route) => (route === END ? 2_000 : 0)
      const ended = stream.end()
      const lease = await during(clock, client.acquireEngine({ waitMs: 30_000 }))
      await during(clock, lease.startStream({ ...playback('b'.repeat(40)), streamId: 'next' }))
      await during(clock, ended)
      expect(fake.log.map(({ kind, streamId }) => `${kind} ${streamId}`)).toEqual([
        `started ${stream.id}`,
        `ended ${stream.id}`,
        'started next',
      ])
      expect(Object.values(fake.counters.peakLoad)).toEqual([1])
    })

    it('[I1] is ended before the next start on its engine is sent, even if it ended while the list failed', async () => {
      const { client, fake, clock } = setup({ generation, engines: [LISTED] }, { requestTimeoutMs: 10_000, circuitBreaker: false })
      await client.listStreams()
      const lists = fake.inject({ kind: 'status', status: 500, route: 'GET /engines', ...forEver })
      fake.inject({ kind: 'reset-after', route: START })
      const starting = client.streamStarted({ ...playback(), engine: LISTED })
      await clock.advance(4_000)
      const stream = await during(clock, starting)
      fake.latencyMs = (route) => (route === END ? 2_000 : 0)
      const ended = stream.end()
      lists.remove()
      const lease = await during(clock, client.acquireEngine({ waitMs: 30_000 }))
      await during(clock, lease.startStream({ ...playback('b'.repeat(40)), streamId: 'next' }))
      await during(clock, ended)
      expect(fake.liveStreamIds()).toEqual(['next'])
      expect(Object.values(fake.counters.peakLoad)).toEqual([1])
    })
  })
})
