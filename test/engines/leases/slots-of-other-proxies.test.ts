import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Fleet } from '../../support/fleet.ts'
import { during, failureOf, playback } from '../../support/setup.ts'

const END = 'POST /events/stream_ended'

describe.each(GENERATIONS)('a caller that waits for a slot of another proxy, on %s', (generation) => {
  async function world() {
    const fleet = new Fleet({ generation, engines: 1 })
    const { clock } = fleet
    const [one, two] = [fleet.join(), fleet.join({ cacheTtlMs: 60_000 })]
    const lease = await during(clock, one.client.acquireEngine({ provision: false }))
    const stream = await during(clock, lease.startStream({ ...playback(), streamId: 'x' }))
    const engines = await during(clock, two.client.listEngines())
    expect(engines[0]?.streamIds).toEqual(['x'])
    const waiting = two.client.acquireEngine({ provision: false })
    await clock.settle()
    return { ...fleet, one, two, stream, waiting }
  }

  it('gets it within 100 ms of the end of its stream, though the last list still shows that stream', async () => {
    const { clock, two, stream, waiting, fake } = await world()
    await clock.advance(1_000)
    const lists = fake.counters.requests.byRoute['GET /streams'] ?? fake.counters.requests.byRoute['GET /engines']
    const begunAt = clock.now()
    await during(clock, stream.end())
    const lease = await during(clock, waiting)
    expect(clock.now() - begunAt).toBeLessThan(100)
    expect(fake.counters.requests.byRoute['GET /streams'] ?? fake.counters.requests.byRoute['GET /engines']).toBe(lists)
    await during(clock, lease.startStream({ ...playback(), streamId: 'y' }))
    expect([fake.liveStreamIds(), two.client.metrics().leases.waiting]).toEqual([['y'], 0])
  })

  it('[I1] does not get it before the orchestrator has applied that end, so that it never counts both streams', async () => {
    const { clock, two, stream, waiting, fake } = await world()
    fake.inject({ kind: 'delay', route: END, delayMs: 2_000, applyLate: true })
    const ended = stream.end()
    await clock.advance(1_900)
    expect(two.client.metrics().leases.waiting).toBe(1)
    await during(clock, ended)
    const lease = await during(clock, waiting)
    await during(clock, lease.startStream({ ...playback(), streamId: 'y' }))
    expect(Object.values(fake.counters.peakLoad)).toEqual([1])
  })

  it('[I1] does not get it twice: a stream that starts later under the id of the ended one takes a slot', async () => {
    const { clock, two, stream, waiting, fake } = await world()
    await during(clock, stream.end())
    const lease = await during(clock, waiting)
    await during(clock, lease.release())
    fake.startElsewhere({ containerId: lease.engine.containerId, streamId: 'x' })
    await during(clock, two.client.listEngines({ fresh: true }))
    const error = await during(clock, failureOf(two.client.acquireEngine({ provision: false, waitMs: 0 })))
    expect(error).toMatchObject({ reason: 'full', message: expect.stringContaining('The only engine is full.') })
  })

  it('gets it as soon as its own proxy has ended the stream of the other proxy, which died', async () => {
    const { clock, one, two, waiting, fake } = await world()
    one.die()
    let isServed = false
    void waiting.then(() => {
      isServed = true
    })
    for (let i = 0; i < 300 && fake.liveStreamIds().length > 0; i += 1) await clock.advance(100)
    await clock.settle()
    expect([isServed, fake.liveStreamIds(), fake.counters.endsApplied, two.client.metrics().leases.waiting]).toEqual([true, [], 1, 0])
  })
})
