import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

describe.each(GENERATIONS)('a stream whose start %s rejected after startStream() resolved', (generation) => {
  it('[I1] does not release the slot of the next stream with its id if it is ended a second time', async () => {
    const { client, fake, clock } = setup({ generation, engines: 1 })
    await client.listEngines()
    fake.inject({ kind: 'refused', route: START })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: START })
    const first = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    await clock.advance(20_000)
    expect(first.state).toBe('refused')
    expect(await first.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    const second = await (await client.acquireEngine({ waitMs: 0 })).startStream({ ...playback(), streamId: 'x' })
    expect(await first.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    await first[Symbol.asyncDispose]()
    expect(await failureOf(client.acquireEngine({ waitMs: 0, provision: false }))).toMatchObject({ code: 'CAPACITY' })
    expect(await second.end()).toMatchObject({ outcome: 'delivered' })
  })

  it('[I1] keeps its slot until its host ends it, if the start was accepted first and its repeat was rejected', async () => {
    const { client, fake, clock } = setup({ generation, engines: 1 })
    const stream = await (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' })
    const failed: string[] = []
    client.on('delivery:failed', ({ streamId, event }) => failed.push(`${event} ${streamId}`))
    fake.endElsewhere('x')
    fake.inject({ kind: 'status', status: 403, body: '{"detail":"forbidden"}', route: START })
    await during(clock, client.reconcile())
    expect([stream.state, failed]).toEqual(['refused', ['started x']])
    expect(await failureOf(client.acquireEngine({ waitMs: 0, provision: false }))).toMatchObject({ code: 'CAPACITY' })
    await during(clock, stream.end())
    const lease = await during(clock, client.acquireEngine({ waitMs: 0, provision: false }))
    expect(lease.engine.containerId).toBe(stream.engine.containerId)
  })

  it.each(['end()', 'leaving its block', 'streamEnded()'])(
    '[I5] is ended by %s if an earlier attempt of its start is applied after the rejection',
    async (way) => {
      const { client, fake, clock } = setup({ generation, engines: 1 })
      await client.listEngines()
      fake.inject({ kind: 'lost-request', route: START })
      fake.inject({ kind: 'status', status: 404, body: 'nginx', route: START })
      const stream = await during(clock, (await client.acquireEngine()).startStream({ ...playback(), streamId: 'x' }))
      await clock.advance(20_000)
      expect([stream.state, fake.liveStreamIds()]).toEqual(['refused', []])
      fake.startElsewhere({ containerId: stream.engine.containerId ?? '', streamId: 'x' })
      if (way === 'end()') expect(await stream.end()).toMatchObject({ outcome: 'delivered' })
      if (way === 'leaving its block') await stream[Symbol.asyncDispose]()
      if (way === 'streamEnded()') expect(await client.streamEnded('x')).toMatchObject({ outcome: 'delivered' })
      expect([stream.state, fake.liveStreamIds(), fake.counters.requests.byRoute[END]]).toEqual(['ended', [], 1])
      expect(await stream.end()).toEqual({ outcome: 'duplicate', attempts: 0 })
    },
  )
})
