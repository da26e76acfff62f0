import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

describe.each(GENERATIONS)('an id that ended in this client, on %s', (generation) => {
  it('[I1] counts as load again as soon as a list shows that another proxy started it', async () => {
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

describe('an id that starts again in this client after its end was undeliverable', () => {
  it('[I1] counts as load on the engine to which 2026-04 moved its stream', async () => {
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

describe('a stream that ends while reconcile() takes a slot for it on the engine to which it moved', () => {
  it.each([true, false])('[I6] releases its own slot, not that of a later stream with its id (later stream: %s)', async (hasNext) => {
    const store = laterStore()
    const { client, fake, clock } = setup({ generation: '2026-04', engines: 3 }, { store })
    const first = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    fake.removeEngine(first.engine.containerId ?? '')
    await client.listEngines({ fresh: true })
    const lease = await client.acquireEngine()
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    const { occupy } = store
    store.occupy = async (containerId, streamId) => {
      // Without a later stream the store takes the slot late. With one it takes the slot at once and answers late.
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

describe('an id whose first start was rejected', () => {
  it('can start again: the end of that stream is delivered, and a second end is a duplicate', async () => {
    const { client, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    await failureOf((await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' }))
    expect(await client.streamEnded('x')).toEqual({ outcome: 'not-announced', attempts: 0 })
    const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
    expect(await client.streamEnded('x')).toEqual({ outcome: 'duplicate', attempts: 0 })
  })
})

describe('streamEnded()', () => {
  it('[I1] grants the freed slot to a waiting caller at once, and the id counts as load again when it is listed again', async () => {
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

  it('resolves as a duplicate at once while another end of the id is in flight, even if that end fails', async () => {
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
