import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { connect, during, playback, setup } from '../../support/setup.ts'

const END = 'POST /events/stream_ended'
const FOR_EVER = { times: Number.POSITIVE_INFINITY }

describe.each(GENERATIONS)('[I5] an end that %s did not apply', (generation) => {
  const world = (options: Parameters<typeof setup>[1] = {}) => {
    const made = setup({ generation, engines: 2 }, { reconcileIntervalMs: 30_000, ...options })
    const watch = async (streamId = 'x') => {
      const lease = await during(made.clock, made.client.acquireEngine())
      return during(made.clock, lease.startStream({ ...playback(streamId.padEnd(40, 'a'), streamId), streamId }))
    }
    const ends = () => made.fake.counters.requests.byRoute[END] ?? 0
    return { ...made, watch, ends }
  }

  it('is sent again after an outage of 70 minutes: the stream does not stay listed', async () => {
    const { client, fake, clock, watch } = world()
    const stream = await watch()
    const fault = fake.inject({ kind: 'refused', ...FOR_EVER })
    const ended = stream.end()
    await clock.advance(70 * 60_000)
    expect(await ended).toMatchObject({ outcome: 'undeliverable' })
    fault.remove()
    await clock.advance(60_000)
    expect(fake.liveStreamIds()).toEqual([])
    expect(await client.streamEnded('x')).toMatchObject({ outcome: 'duplicate' })
  })

  it('is sent again after an outage that lasts longer than endedRetentionMs', async () => {
    const { fake, clock, watch } = world({ deliveryTimeoutMs: 60_000, endedRetentionMs: 60_000, sweepIntervalMs: 10_000 })
    const stream = await watch()
    const fault = fake.inject({ kind: 'refused', ...FOR_EVER })
    void stream.end()
    await clock.advance(600_000)
    fault.remove()
    await clock.advance(60_000)
    expect(fake.liveStreamIds()).toEqual([])
  })

  it.each([404, 401, 403, 409, 413, 400])(
    'is reported as undeliverable at once if it is rejected with %i, and is sent again while its stream is listed',
    async (status) => {
      const { client, fake, clock, watch, ends } = world()
      const failed: unknown[] = []
      client.on('delivery:failed', ({ event, streamId }) => failed.push([event, streamId]))
      const stream = await watch()
      fake.inject({ kind: 'status', status, body: '{"detail":"no"}', route: END, times: 3 })
      const before = clock.now()
      expect(await during(clock, stream.end())).toMatchObject({ outcome: 'undeliverable', attempts: 1 })
      expect([clock.now() - before, fake.liveStreamIds()]).toEqual([0, ['x']])
      await clock.advance(120_000)
      expect([fake.liveStreamIds(), ends(), failed]).toEqual([[], 4, [['ended', 'x']]])
      expect(client.metrics().events.undeliverable).toBe(1)
      expect(await client.streamEnded('x')).toMatchObject({ outcome: 'duplicate' })
      await clock.advance(120_000)
      expect(ends()).toBe(4)
    },
  )

  it('is not sent again once its stream is no longer listed, and then the client stops reconciling', async () => {
    const { client, fake, clock, watch, ends } = world({ endedRetentionMs: 60_000 })
    const stream = await watch()
    fake.inject({ kind: 'status', status: 403, route: END })
    await during(clock, stream.end())
    fake.endElsewhere('x')
    await clock.advance(40_000)
    expect(ends()).toBe(1)
    await clock.advance(60_000)
    fake.resetCounters()
    await clock.advance(120_000)
    expect(fake.counters.requests.byRoute['GET /streams']).toBeUndefined()
    expect(client.metrics().events.pending).toBe(0)
  })

  it('[I4] is not sent for a later stream with its id at another proxy', async () => {
    const { client, fake, clock, watch, ends } = world()
    const stream = await watch('channel')
    fake.inject({ kind: 'status', status: 403, route: END })
    await during(clock, stream.end())
    const other = connect(fake, clock, { reconcileIntervalMs: 30_000 })
    const lease = await during(clock, other.acquireEngine())
    const second = await during(clock, lease.startStream({ ...playback('a'.repeat(40), 'session 2'), streamId: 'channel' }))
    await clock.advance(600_000)
    expect([ends(), second.state, fake.liveStreamIds()]).toEqual([1, 'live', ['channel']])
    expect(await client.streamEnded('channel')).toEqual({ outcome: 'duplicate', attempts: 0 })
  })

  it('stays in the journal until it is applied, so that the next process can send it', async () => {
    const store = new SqliteStore({ path: ':memory:' })
    const settled: string[] = []
    const settle = store.settle.bind(store)
    store.settle = (streamId) => {
      settled.push(streamId)
      settle(streamId)
    }
    const { fake, clock, watch } = world({ store })
    const stream = await watch()
    fake.inject({ kind: 'status', status: 401, route: END, times: 2 })
    expect(await during(clock, stream.end())).toMatchObject({ outcome: 'undeliverable' })
    await clock.advance(31_000)
    expect([settled, fake.liveStreamIds()]).toEqual([[], ['x']])
    await clock.advance(30_000)
    expect([settled, fake.liveStreamIds()]).toEqual([['x'], []])
  })

  it('[I7] is forgotten, oldest first, beyond endedRetentionMax', async () => {
    const { client, fake, clock, watch } = world({ endedRetentionMax: 1, reconcileIntervalMs: 0 })
    const streams = [await watch('first'), await watch('second')]
    fake.inject({ kind: 'status', status: 401, route: END, times: 2 })
    for (const stream of streams) await during(clock, stream.end())
    await during(clock, client.reconcile())
    expect(fake.liveStreamIds()).toEqual(['first'])
  })
})
