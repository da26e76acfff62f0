import { GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, playback, setup } from '../../support/setup.ts'

/** A client that reconciles every five minutes. `pollLists` requests the engine list every two seconds, as callers do. */
async function world(generation: Generation, engines: number) {
  const options = { watch: false, reconcileIntervalMs: 300_000, dialect: generation === 'v1' ? 'v1' : 'unversioned' } as const
  const made = setup({ generation, engines }, options)
  const { client, fake, clock } = made
  const stream = await (await client.acquireEngine()).startStream(playback())
  const lostAt: number[] = []
  stream.lost.addEventListener('abort', () => lostAt.push(clock.now()))
  const pollLists = async (seconds: number) => {
    for (let i = 0; i < seconds; i += 2) {
      await during(clock, client.listEngines({ fresh: true }))
      await clock.advance(2_000)
    }
  }
  const reconciliations = () => fake.counters.requests.byRoute['GET /streams'] ?? 0
  return { ...made, stream, lostAt, pollLists, reconciliations }
}

describe.each(GENERATIONS)('a stream that %s lost', (generation) => {
  it('has freed its slot when `lost` aborts, and end() in that listener resolves with the outcome of its end', async () => {
    const { client, fake, clock } = setup({ generation, engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const seen: unknown[] = []
    let ending: Promise<unknown> | undefined
    stream.lost.addEventListener('abort', () => {
      seen.push(stream.state, client.metrics().streams.live)
      ending = stream.end()
    })
    fake.restart()
    await during(clock, client.reconcile())
    expect(seen).toEqual(['lost', 0])
    expect(await ending).toMatchObject({ outcome: generation === 'v1' ? 'delivered' : 'unknown', attempts: 1 })
  })
})

describe.each(GENERATIONS)('a stream whose engine %s no longer lists', (generation) => {
  it('is lost, or followed to its new engine, within 1 s after the first list without its engine', async () => {
    const { client, fake, clock, stream, lostAt, pollLists } = await world(generation, 3)
    await pollLists(4)
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

  it('causes one reconciliation, not one for each list, while it is unproven that its engine is gone', async () => {
    const { fake, clock, stream, pollLists, reconciliations } = await world(generation, 2)
    await pollLists(4)
    const { containerId: own } = stream.engine
    const others = fake.engines.filter(({ containerId }) => containerId !== own)
    const body = JSON.stringify(others.map(({ containerId, host, port }) => ({ container_id: containerId, host, port, streams: [] })))
    const partial = fake.inject({ kind: 'status', status: 200, body, route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const before = reconciliations()
    await pollLists(60)
    if (generation === 'v1') {
      expect(stream.state).toBe('lost') // v1 lists a stream for ever on an engine that is gone
      return
    }
    expect([stream.state, reconciliations() - before]).toEqual(['live', 1])
    partial.remove()
    await pollLists(10)
    expect([stream.state, reconciliations() - before]).toEqual(['live', 1])
    await clock.settle()
  })

  it('stays live while engine lists are empty, as with a stopped container runtime, and causes no reconciliation', async () => {
    const { fake, stream, pollLists, reconciliations } = await world(generation, 2)
    await pollLists(4)
    const before = reconciliations()
    const empty = fake.inject({ kind: 'status', status: 200, body: '[]', route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    await pollLists(60)
    empty.remove()
    await pollLists(10)
    // v1 reads its streams with every list.
    expect([stream.state, generation === 'v1' || reconciliations() === before]).toEqual(['live', true])
  })
})

/** v1 is left out: it proves the order of its lists in another way. */
describe.each(['2025-10', '2026-04'] as const)('a stream that starts while an engine list of %s is in flight', (generation) => {
  it('causes no reconciliation if that list lacks its engine, since the list was requested before the start', async () => {
    const { client, fake, clock, reconciliations } = await world(generation, 2)
    const [first, second] = fake.engines.map(({ containerId, host, port }) => ({ container_id: containerId, host, port, streams: [] }))
    const lease = await client.acquireEngine()
    const listed = lease.engine.containerId === first?.container_id ? second : first
    fake.inject({ kind: 'status', status: 200, body: JSON.stringify([listed]), route: 'GET /engines', delayMs: 2_000 })
    const old = client.listEngines({ fresh: true })
    await lease.startStream({ ...playback('b'.repeat(40)), streamId: 'next' })
    const before = reconciliations()
    // The list has the engine of the first stream only.
    expect((await during(clock, old)).map(({ containerId }) => containerId)).toEqual([listed?.container_id])
    await clock.advance(5_000)
    expect(reconciliations() - before).toBe(0)
  })
})

/** v1 pushes its list every second. The client sends nothing after the start, so no push has a higher number than the start. */
describe('a stream on v1 with its event stream open', () => {
  const start = async (streams: number) => {
    const made = setup({ generation: 'v1', engines: 4 }, { reconcileIntervalMs: 300_000 })
    const { client, fake, clock } = made
    const handles = []
    for (let i = 0; i < streams; i += 1) {
      const lease = await during(clock, client.acquireEngine())
      handles.push(await during(clock, lease.startStream(playback(`${i}`.repeat(40), `session ${i}`))))
    }
    await clock.advance(5_000)
    const reconciliations = () => fake.counters.requests.byRoute['GET /engines'] ?? 0
    return { ...made, handles, reconciliations }
  }

  it.each([1, 2, 3])('is lost within 1 s after the first push without its engine, even if it started last of %i', async (streams) => {
    const { client, fake, clock, handles } = await start(streams)
    const last = handles.at(-1)
    fake.removeEngine(last?.engine.containerId ?? '')
    await clock.advance(1_000)
    expect((await client.listEngines()).map(({ containerId }) => containerId)).not.toContain(last?.engine.containerId)
    await clock.advance(1_000)
    expect(handles.map(({ state }) => state)).toEqual(handles.map((handle) => (handle === last ? 'lost' : 'live')))
  })

  it('causes one reconciliation, not one for each push, while requested lists show its engine and pushes do not', async () => {
    const { fake, clock, handles, reconciliations } = await start(1)
    const own = handles[0]?.engine.containerId ?? ''
    const all = fake.engines.map(({ containerId, host, port }) => ({ container_id: containerId, host, port, streams: [] }))
    fake.inject({ kind: 'status', status: 200, body: JSON.stringify(all), route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const before = reconciliations()
    fake.removeEngine(own)
    await clock.advance(60_000)
    expect([handles[0]?.state, reconciliations() - before]).toEqual(['live', 1])
  })
})
