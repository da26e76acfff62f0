import type { OrchestratorClientOptions, StateStore } from 'acestream-orchestrator-client'
import { MemoryStore } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { connect, during, playback, setup } from '../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

/** A client, and streams whose starts the orchestrator applies after their ends. */
function world(generation: Generation, options: Partial<OrchestratorClientOptions> = {}) {
  const made = setup({ generation, engines: 3 }, { dialect: generation === 'v1' ? 'v1' : 'unversioned', ...options })
  const { client, fake, clock } = made
  const watch = async (streamId: string, session = streamId) => {
    const lease = await during(clock, client.acquireEngine())
    return during(clock, lease.startStream({ ...playback('a'.repeat(40), session), streamId }))
  }
  /** Starts a stream and ends it before its start is applied, which happens `afterMs` after the request. */
  const endBeforeItsStart = async (streamId: string, afterMs: number) => {
    fake.inject({ kind: 'delay', delayMs: afterMs, applyLate: true, route: START })
    const stream = await watch(streamId)
    await during(clock, stream.end())
  }
  const ends = () => fake.counters.requests.byRoute[END] ?? 0
  return { ...made, watch, endBeforeItsStart, ends }
}

const STORES: readonly (readonly [name: string, make: () => StateStore])[] = [
  ['in memory', () => new MemoryStore()],
  ['in SQLite', () => new SqliteStore({ path: ':memory:' })],
  ['that answers asynchronously', () => laterStore()],
]

describe.each(STORES)('with a store %s', (_, store) => {
  it.each(GENERATIONS)('the client still remembers its other ended ids after it ends a late start on %s', async (generation) => {
    const { client, fake, clock, watch, endBeforeItsStart, ends } = world(generation, { store: store() })
    const over = await watch('over')
    await during(clock, over.end())
    await endBeforeItsStart('after 120 s', 120_000)
    await endBeforeItsStart('after 30 s', 30_000)
    await clock.advance(30_000)
    expect(await during(clock, client.reconcile())).toMatchObject({ endedAgain: ['after 30 s'] })
    const sent = ends()
    expect(await during(clock, client.streamEnded('over'))).toEqual({ outcome: 'duplicate', attempts: 0 })
    expect(ends()).toBe(sent)
    await clock.advance(90_000)
    expect(fake.liveStreamIds()).toEqual(['after 120 s'])
    expect(await during(clock, client.reconcile())).toMatchObject({ endedAgain: ['after 120 s'] })
    expect(fake.liveStreamIds()).toEqual([])
  })
})

describe.each(GENERATIONS)('an ended id on %s', (generation) => {
  it('gets no further end after reconcile() has repeated an undeliverable end: each is a duplicate', async () => {
    const { client, fake, clock, watch, ends } = world(generation, { deliveryTimeoutMs: 0 })
    const stream = await watch('x')
    fake.inject({ kind: 'status', route: END })
    expect(await during(clock, stream.end())).toMatchObject({ outcome: 'undeliverable' })
    expect(await during(clock, client.reconcile())).toMatchObject({ endedAgain: ['x'] })
    expect([fake.liveStreamIds(), ends()]).toEqual([[], 2])
    expect(await client.streamEnded('x')).toEqual({ outcome: 'duplicate', attempts: 0 })
    expect(await stream.end()).toEqual({ outcome: 'duplicate', attempts: 0 })
    expect(ends()).toBe(2)
  })

  it('is not confused with another id that contains it: each of them is ended, and a second end of each is a duplicate', async () => {
    const { client, fake, clock, watch } = world(generation)
    const ids = ['x', 'again\nx', 'again:x', '["x"]']
    for (const id of ids.slice(0, 3)) await watch(id, `session of ${id}`)
    for (const id of ids) await during(clock, client.streamEnded(id))
    expect(fake.liveStreamIds()).toEqual([])
    for (const id of ids) expect(await client.streamEnded(id)).toMatchObject({ outcome: 'duplicate' })
  })
})

describe.each(GENERATIONS)('[I4] an id that ended at one proxy and starts at another one, without a shared store, on %s', (generation) => {
  it('stays live: the first proxy sends no end for it, even with the same session on the same engine', async () => {
    const { client, fake, clock, watch, ends } = world(generation, { reconcileIntervalMs: 30_000 })
    const first = await watch('channel', 'session')
    await during(clock, first.end())
    const other = connect(fake, clock, { dialect: generation === 'v1' ? 'v1' : 'unversioned', reconcileIntervalMs: 30_000 })
    const engine = { host: first.engine.host, port: first.engine.port, containerId: first.engine.containerId ?? '' }
    const start = { ...playback('a'.repeat(40), 'session'), streamId: 'channel' }
    const second = await during(clock, other.streamStarted({ ...start, engine }))
    await clock.advance(600_000)
    expect([ends(), second.state, fake.liveStreamIds()]).toEqual([1, 'live', ['channel']])
    expect(await during(clock, client.reconcile())).toMatchObject({ endedAgain: [] })
  })

  it('stays live if the start at the first proxy had an unknown outcome', async () => {
    const { fake, clock, watch, ends } = world(generation, { reconcileIntervalMs: 30_000 })
    fake.inject({ kind: 'lost-request', route: START })
    const first = await watch('channel', 'session 1')
    await during(clock, first.end())
    const sent = ends()
    const other = connect(fake, clock, { dialect: generation === 'v1' ? 'v1' : 'unversioned', reconcileIntervalMs: 30_000 })
    const lease = await during(clock, other.acquireEngine())
    const second = await during(clock, lease.startStream({ ...playback('a'.repeat(40), 'session 2'), streamId: 'channel' }))
    await clock.advance(600_000)
    expect([ends(), second.state, fake.liveStreamIds()]).toEqual([sent, 'live', ['channel']])
  })

  it('stays live if the first proxy was restarted with its SQLite store meanwhile', async () => {
    const store = new SqliteStore({ path: ':memory:' })
    const { client, fake, clock, watch, ends } = world(generation, { store, reconcileIntervalMs: 30_000 })
    const first = await watch('channel', 'session 1')
    await during(clock, first.end())
    await during(clock, client.close())
    const options = { dialect: generation === 'v1' ? ('v1' as const) : ('unversioned' as const), reconcileIntervalMs: 30_000 }
    const again = connect(fake, clock, { ...options, store })
    await during(clock, again.streamEnded('unknown')) // a client without a live stream or a remembered end does not reconcile
    const other = connect(fake, clock, options)
    const lease = await during(clock, other.acquireEngine())
    const second = await during(clock, lease.startStream({ ...playback('a'.repeat(40), 'session 2'), streamId: 'channel' }))
    const sent = ends()
    await clock.advance(600_000)
    expect([ends(), second.state, fake.liveStreamIds()]).toEqual([sent, 'live', ['channel']])
  })

  it('stays live if the answer to the end at the first proxy was lost: that end is not sent again', async () => {
    const { fake, clock, watch, ends } = world(generation)
    const first = await watch('channel', 'session 1')
    fake.inject({ kind: 'lost-answer', route: END })
    const ended = first.end()
    await clock.advance(1_000)
    const other = connect(fake, clock, { dialect: generation === 'v1' ? 'v1' : 'unversioned' })
    const lease = await during(clock, other.acquireEngine())
    const second = await during(clock, lease.startStream({ ...playback('a'.repeat(40), 'session 2'), streamId: 'channel' }))
    expect(await during(clock, ended)).toMatchObject({ outcome: 'delivered', attempts: 1 })
    expect([ends(), second.state, fake.liveStreamIds()]).toEqual([1, 'live', ['channel']])
  })
})
