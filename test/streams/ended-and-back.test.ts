import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

describe.each(GENERATIONS)('an id that ended here, with %s', (generation) => {
  it('[I1] and that another proxy starts again is load, as soon as a list shows it', async () => {
    const { client, fake } = setup({ generation, engines: 1 })
    const lease = await client.acquireEngine()
    const { containerId } = lease.engine
    const stream = await lease.startStream({ ...playback(), streamId: 'shared' })
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    fake.startElsewhere({ containerId, streamId: 'shared' })
    await client.listEngines({ fresh: true })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY', reason: 'full' })
  })
})

describe('an id that starts here again after an end that could not be delivered', () => {
  it('[I1] is load on the engine that 2026-04 moved it to', async () => {
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 2 }, { deliveryTimeoutMs: 0 })
    const first = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'again' })
    fake.inject({ kind: 'refused', route: 'POST /events/stream_ended' })
    expect(await during(clock, first.end())).toMatchObject({ outcome: 'undeliverable' })
    const second = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'again' })
    fake.removeEngine(second.engine.containerId ?? '')
    expect(await client.listEngines({ fresh: true })).toMatchObject([{ streamIds: ['again'] }])
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY', reason: 'full' })
  })
})

describe('a stream that is followed to another engine while it ends', () => {
  it.each([true, false])('[I6] gives its slot back, but not that of the next stream of its id (there is one: %s)', async (hasNext) => {
    const store = laterStore()
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 3 }, { store })
    const first = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    fake.removeEngine(first.engine.containerId ?? '')
    await client.listEngines({ fresh: true })
    const lease = await client.acquireEngine()
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    const { occupy } = store
    store.occupy = async (containerId, streamId) => {
      // Either the store is slow to do it, or only to say so.
      if (!hasNext) await mayAnswer
      await occupy(containerId, streamId)
      await mayAnswer
    }
    const reconciling = client.reconcile()
    await clock.advance(1_000)
    const ending = first.end()
    if (hasNext) await during(clock, lease.startStream({ ...playback(), streamId: 'x' }))
    await ending
    answer()
    await reconciling
    for (let i = 0; i < 3; i += 1) await clock.settle()
    const streamIds = [...store.inner.usage().values()].flatMap((usage) => [...usage.streamIds])
    expect(streamIds).toEqual(hasNext ? ['x'] : [])
  })
})

describe('an id that was refused once', () => {
  it('and starts all the same later is like any other: a further end of it is a duplicate', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    await failureOf((await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' }))
    expect(await client.streamEnded('x')).toEqual({ outcome: 'not-announced', attempts: 0 })
    const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    expect(await client.streamEnded('x')).toEqual({ outcome: 'duplicate', attempts: 0 })
  })
})

describe('ending a stream by its id', () => {
  it('[I1] serves who waits for its slot at once, and it is load again when it is listed again', async () => {
    const { client, fake, clock } = setup({ engines: 1 })
    const containerId = fake.engines[0]?.containerId ?? ''
    fake.startElsewhere({ containerId, streamId: 'of a predecessor' })
    await client.listEngines()
    const waiting = client.acquireEngine({ provision: false })
    await clock.settle()
    const before = clock.now()
    expect(await client.streamEnded('of a predecessor')).toMatchObject({ outcome: 'delivered' })
    await (await waiting).release()
    expect(clock.now()).toBe(before)
    fake.startElsewhere({ containerId, streamId: 'of a predecessor' })
    await client.listEngines({ fresh: true })
    expect(await failureOf(client.acquireEngine({ waitMs: 0, provision: false }))).toMatchObject({ code: 'CAPACITY', reason: 'full' })
  })

  it('while its end is under way is a duplicate at once, whatever comes of the first', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { dialect: 'unversioned', deliveryTimeoutMs: 0 })
    fake.latencyMs = 1_000
    fake.inject({ kind: 'reset', route: 'POST /events/stream_ended' })
    const first = client.streamEnded('x')
    expect(await client.streamEnded('x')).toEqual({ outcome: 'duplicate', attempts: 0 })
    await clock.advance(1_000)
    expect(await first).toMatchObject({ outcome: 'undeliverable', attempts: 1 })
    expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBe(1)
  })
})
