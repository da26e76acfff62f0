import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../support/setup.ts'

const LISTED = { host: 'gluetun', port: 19_000 }
const MAPPED = { host: '10.0.0.9', port: 19_000 }
const mapEngine = () => MAPPED
const START = 'POST /events/stream_started'

describe.each(GENERATIONS)('a stream whose host names its engine on %s', (generation) => {
  it('[I1] by its address, before any list was read, is on that engine for everybody', async () => {
    const { client, fake } = setup({ generation, engines: [LISTED, { port: 19_001 }] })
    const { containerId = '' } = fake.engines[0] ?? {}
    const stream = await client.streamStarted({ ...playback(), engine: LISTED })
    expect(stream).toMatchObject({ state: 'live', engine: { ...LISTED, containerId } })
    expect(fake.liveStreamIds(containerId)).toEqual([stream.id])
    const other = await client.acquireEngine({ waitMs: 0 })
    expect(other.engine.containerId).not.toBe(containerId)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full' })
  })

  it('by its address, which another engine had in an older list, is on the one that has it now', async () => {
    const { client, fake, clock } = setup({ generation, engines: [LISTED] })
    await client.listEngines()
    fake.restart()
    await clock.advance(3_000)
    const { containerId } = fake.engines[0] ?? {}
    const stream = await client.streamStarted({ ...playback(), engine: LISTED })
    expect(stream).toMatchObject({ state: 'live', engine: { containerId } })
    expect(fake.counters.enginesInvented).toBe(0)
  })

  it('by an address that is not listed is announced with that', async () => {
    const { client, fake } = setup({ generation, engines: [LISTED] })
    const stream = await client.streamStarted({ ...playback(), engine: { host: 'elsewhere', port: 1 } })
    expect(stream.state).toBe('live')
    expect(fake.counters.requests.byRoute[START]).toBe(1)
    expect(fake.counters.requests.byRoute['GET /engines']).toBeLessThanOrEqual(2) // the dialect, the list
  })

  describe('while the list fails and events get through', () => {
    const world = (options: Parameters<typeof setup>[1] = {}) => {
      const made = setup({ generation, engines: [LISTED] }, { mapEngine, circuitBreaker: false, ...options })
      const { containerId = '' } = made.fake.engines[0] ?? {}
      return { ...made, containerId }
    }
    const failing = { kind: 'status', status: 500, route: 'GET /engines', times: Number.POSITIVE_INFINITY } as const

    it.each(['with', 'without'])(
      'hazard 7: is never told the mapped address, %s the container id; its viewer does not wait',
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

    it('is forgotten with its end if it is over before the list is back, and keeps no slot', async () => {
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
})
