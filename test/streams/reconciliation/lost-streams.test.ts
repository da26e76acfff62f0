import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, playback, setup } from '../../support/setup.ts'

/** Engine lists are asked for every two seconds, as callers do; streams are compared every five minutes. */
async function world(generation: Generation, engines: number) {
  const options = { watch: false, reconcileIntervalMs: 300_000, dialect: generation === 'v1' ? 'v1' : 'unversioned' } as const
  const made = setup({ generation, engines }, options)
  const { client, fake, clock } = made
  const stream = await (await client.acquireEngine()).startStream(playback())
  const lostAt: number[] = []
  stream.lost.addEventListener('abort', () => lostAt.push(clock.now()))
  const lists = async (seconds: number) => {
    for (let i = 0; i < seconds; i += 2) {
      await during(clock, client.listEngines({ fresh: true }))
      await clock.advance(2_000)
    }
  }
  const comparisons = () => fake.counters.requests.byRoute['GET /streams'] ?? 0
  return { ...made, stream, lostAt, lists, comparisons }
}

describe.each(GENERATIONS)('a stream that %s lost', (generation) => {
  it('has left when its host hears of it, and what comes of its end can be waited for', async () => {
    const { client, fake, clock } = setup({ generation, engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const heard: unknown[] = []
    let ending: Promise<unknown> | undefined
    stream.lost.addEventListener('abort', () => {
      heard.push(stream.state, client.metrics().streams.live)
      ending = stream.end()
    })
    fake.restart()
    await during(clock, client.reconcile())
    expect(heard).toEqual(['lost', 0])
    expect(await ending).toMatchObject({ outcome: generation === 'v1' ? 'delivered' : 'unknown', attempts: 1 })
  })
})

describe.each(GENERATIONS)('a stream whose engine %s lists no more', (generation) => {
  it('is lost, or followed, within a second of the first list that shows it', async () => {
    const { client, fake, clock, stream, lostAt, lists } = await world(generation, 3)
    await lists(4)
    const own = stream.engine.containerId ?? ''
    fake.removeEngine(own)
    if (generation === '2025-10') await clock.advance(10_000)
    const seenAt = clock.now()
    const list = await client.listEngines({ fresh: true })
    expect(list.map(({ containerId }) => containerId)).not.toContain(own)
    await clock.advance(1_000)
    if (generation === '2026-04') expect([stream.state, stream.engine.containerId === own, lostAt]).toEqual(['live', false, []])
    else expect([stream.state, lostAt.map((at) => at - seenAt <= 1_000)]).toEqual(['lost', [true]])
  })

  it('is compared once, not with every list, while that proves nothing', async () => {
    const { fake, clock, stream, lists, comparisons } = await world(generation, 2)
    await lists(4)
    const { containerId: own } = stream.engine
    const others = fake.engines.filter(({ containerId }) => containerId !== own)
    const body = JSON.stringify(others.map(({ containerId, host, port }) => ({ container_id: containerId, host, port, streams: [] })))
    const partial = fake.inject({ kind: 'status', status: 200, body, route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const before = comparisons()
    await lists(60)
    if (generation === 'v1') {
      expect(stream.state).toBe('lost') // v1 lists a stream for ever on an engine that is gone
      return
    }
    expect([stream.state, comparisons() - before]).toEqual(['live', 1])
    partial.remove()
    await lists(10)
    expect([stream.state, comparisons() - before]).toEqual(['live', 1])
    await clock.settle()
  })

  it('lives on while lists are empty, as with the container runtime down, and nothing is compared for that', async () => {
    const { fake, stream, lists, comparisons } = await world(generation, 2)
    await lists(4)
    const before = comparisons()
    const empty = fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    await lists(60)
    empty.remove()
    await lists(10)
    // v1 reads its streams with every list.
    expect([stream.state, generation === 'v1' || comparisons() === before]).toEqual(['live', true])
  })
})

/** v1 orders its lists by another proof. */
describe.each(['2025-10', '2026-04'] as const)('a stream that starts while a list of %s is on its way', (generation) => {
  it('is not compared where that list was requested before its start', async () => {
    const { client, fake, clock, comparisons } = await world(generation, 2)
    const [first, second] = fake.engines.map(({ containerId, host, port }) => ({ container_id: containerId, host, port, streams: [] }))
    const lease = await client.acquireEngine()
    const left = lease.engine.containerId === first?.container_id ? second : first
    fake.inject({ kind: 'status', status: 200, body: JSON.stringify([left]), route: 'GET /engines', delayMs: 2_000 })
    const old = client.listEngines({ fresh: true })
    await lease.startStream({ ...playback('b'.repeat(40)), streamId: 'next' })
    const before = comparisons()
    // The stream that started first, on the other engine, is listed.
    expect((await during(clock, old)).map(({ containerId }) => containerId)).toEqual([left?.container_id])
    await clock.advance(5_000)
    expect(comparisons() - before).toBe(0)
  })
})

/** v1 pushes its list every second. Nothing is sent after the start, so no push has a number above that of the start. */
describe('a stream on v1 with its event stream open', () => {
  const watched = async (streams: number) => {
    const made = setup({ generation: 'v1', engines: 4 }, { reconcileIntervalMs: 300_000 })
    const { client, fake, clock } = made
    const handles = []
    for (let i = 0; i < streams; i += 1) {
      const lease = await during(clock, client.acquireEngine())
      handles.push(await during(clock, lease.startStream(playback(`${i}`.repeat(40), `session ${i}`))))
    }
    await clock.advance(5_000)
    const comparisons = () => fake.counters.requests.byRoute['GET /engines'] ?? 0
    return { ...made, handles, comparisons }
  }

  it.each([1, 2, 3])('is lost within a second of the first push without its engine, the last accepted of %i too', async (streams) => {
    const { client, fake, clock, handles } = await watched(streams)
    const last = handles.at(-1)
    fake.removeEngine(last?.engine.containerId ?? '')
    await clock.advance(1_000)
    expect((await client.listEngines()).map(({ containerId }) => containerId)).not.toContain(last?.engine.containerId)
    await clock.advance(1_000)
    expect(handles.map(({ state }) => state)).toEqual(handles.map((handle) => (handle === last ? 'lost' : 'live')))
  })

  it('is compared once, not with every push, while requested lists show its engine and pushes do not', async () => {
    const { fake, clock, handles, comparisons } = await watched(1)
    const own = handles[0]?.engine.containerId ?? ''
    const all = fake.engines.map(({ containerId, host, port }) => ({ container_id: containerId, host, port, streams: [] }))
    fake.inject({ kind: 'status', status: 200, body: JSON.stringify(all), route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const before = comparisons()
    fake.removeEngine(own)
    await clock.advance(60_000)
    expect([handles[0]?.state, comparisons() - before]).toEqual(['live', 1])
  })
})
