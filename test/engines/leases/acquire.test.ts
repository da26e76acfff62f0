import { CapacityError, ConnectionError, type EngineLease, InvalidArgumentError } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { streamRequests } from '../../support/push-transport.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const countBy = (leases: readonly EngineLease[]) => {
  const counts = new Map<string, number>()
  for (const { engine } of leases) counts.set(engine.containerId, (counts.get(engine.containerId) ?? 0) + 1)
  return counts
}

describe.each(GENERATIONS)('acquireEngine() on %s', (generation) => {
  it('[I1] 200 concurrent acquires on 100 engines with a limit of 2 lease 2 slots of each engine, after one list refresh', async () => {
    const { client, fake } = setup({ generation, engines: 100 }, { maxStreamsPerEngine: 2 })
    const leases = await Promise.all(Array.from({ length: 200 }, () => client.acquireEngine()))
    expect([...countBy(leases).values()]).toEqual(Array.from({ length: 100 }, () => 2))
    expect(fake.counters.requests.total - streamRequests(fake)).toBe(1 + (generation === 'v1' ? 2 : 1))
  })

  it('[I1] sequential acquires whose starts are reported 500 ms later put no engine above the limit', async () => {
    const { client, fake, clock } = setup({ generation, engines: 5, latencyMs: 20 }, { maxStreamsPerEngine: 2, cacheTtlMs: 200 })
    for (let i = 0; i < 10; i += 1) {
      const lease = await during(clock, client.acquireEngine(), 10)
      clock.setTimeout(() => void lease.startStream(playback('a'.repeat(40), `s${i}`)), 500)
      await clock.advance(100)
    }
    expect(await failureOf(during(clock, client.acquireEngine({ waitMs: 0 }), 10))).toBeInstanceOf(CapacityError)
    await clock.advance(2_000)
    expect(Object.values(fake.counters.peakLoad)).toEqual([2, 2, 2, 2, 2])
    expect(fake.counters.startsApplied).toBe(10)
  })

  it('[I1] each stream of another proxy counts once as load of its engine', async () => {
    const { client, fake } = setup({ generation, engines: 2 }, { maxStreamsPerEngine: 2 })
    const [first, second] = fake.engines.map((engine) => engine.containerId)
    fake.startElsewhere({ containerId: first ?? '' })
    fake.startElsewhere({ containerId: first ?? '' })
    fake.startElsewhere({ containerId: second ?? '' })
    const lease = await client.acquireEngine()
    expect(lease.engine.containerId).toBe(second)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY', reason: 'full' })
  })

  it('[I1] a stream that this client started counts once, though the list shows it too', async () => {
    const { client, clock } = setup({ generation, engines: 1 }, { maxStreamsPerEngine: 2, cacheTtlMs: 100 })
    await (await client.acquireEngine()).startStream(playback())
    await clock.advance(1_000) // the next list shows our stream
    expect((await client.listEngines())[0]?.streamIds).toHaveLength(1)
    await (await client.acquireEngine({ waitMs: 0 })).startStream(playback('b'.repeat(40)))
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
  })

  it('a stream that this client ended takes no slot, though the cached list still shows it', async () => {
    const { client } = setup({ generation, engines: 1 }, { cacheTtlMs: 60_000 })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(playback())
    await client.listEngines({ fresh: true }) // shows the stream, and stays fresh for a minute
    const ending = stream.end()
    const next = await client.acquireEngine({ waitMs: 0 })
    expect(next.engine.containerId).toBe(lease.engine.containerId)
    expect((await ending).outcome).toBe('delivered')
  })

  it('a draining engine is not leased on v1, the only generation that lists which engines are draining', async () => {
    const { client, fake } = setup({ generation, engines: 2 }, { maxStreamsPerEngine: 5 })
    const [first, second] = fake.engines.map((engine) => engine.containerId)
    fake.updateEngine(first ?? '', { draining: true })
    const leases = await Promise.all(Array.from({ length: 5 }, () => client.acquireEngine()))
    if (generation === 'v1') expect(countBy(leases)).toEqual(new Map([[second, 5]]))
    else expect(countBy(leases).size).toBe(2)
  })
})

describe('acquireEngine()', () => {
  it('leases the engine with the fewest streams', async () => {
    const { client, fake } = setup({ engines: 3 }, { maxStreamsPerEngine: 3 })
    const [a, b, c] = fake.engines.map((engine) => engine.containerId)
    for (const containerId of [a, a, b, c, c]) fake.startElsewhere({ containerId: containerId ?? '' })
    expect((await client.acquireEngine()).engine.containerId).toBe(b)
  })

  it('never leases an excluded engine', async () => {
    const { client, fake } = setup({ engines: 2 }, { maxStreamsPerEngine: 5 })
    const [a, b] = fake.engines.map((engine) => engine.containerId)
    const lease = await client.acquireEngine({ exclude: [a ?? ''] })
    expect(lease.engine.containerId).toBe(b)
    expect(await failureOf(client.acquireEngine({ exclude: new Set([a ?? '', b ?? '']), waitMs: 0 }))).toBeInstanceOf(CapacityError)
  })

  it('rejects with retryAfterMs 5,000 when all engines are full, so that a host can answer 503 with Retry-After', async () => {
    const { client } = setup({ engines: 1 })
    await client.acquireEngine()
    const error = await failureOf(client.acquireEngine({ waitMs: 0 }))
    expect(error).toMatchObject({ reason: 'full', retryAfterMs: 5_000, shouldWait: true, canRetry: true, retryable: true })
  })

  it('rejects with the reason no_engines when the engine list is empty', async () => {
    const { client } = setup({ engines: 0, minReplicas: 0 })
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CAPACITY', reason: 'no_engines' })
  })

  it('rejects with the error of the list request when there is no older list', async () => {
    const { client, fake, clock } = setup()
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    expect(await during(clock, failureOf(client.acquireEngine()))).toBeInstanceOf(ConnectionError)
  })

  it('leases engines of the last list while the orchestrator cannot be reached', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { maxStreamsPerEngine: 2 })
    await client.acquireEngine()
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await clock.advance(10_000)
    await client.acquireEngine()
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
  })

  it('leases the fallback engine when there is no list, and sends no event about its stream to the orchestrator', async () => {
    const { client, fake } = setup({}, { fallbackEngine: { host: 'fallback', port: 6878 } })
    const outage = fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    const lease = await client.acquireEngine()
    expect(lease).toMatchObject({ isFallback: true, engine: { host: 'fallback', port: 6878 } })
    outage.remove()
    const stream = await lease.startStream(playback())
    expect(stream.state).toBe('live')
    expect(await stream.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    expect(await stream.end()).toEqual({ outcome: 'duplicate', attempts: 0 })
    expect(fake.counters.startsApplied + fake.counters.endsApplied).toBe(0)
    expect(client.metrics().leases.active).toBe(0)
  })

  it('leases an engine under the address that mapEngine returns, and sends the listed address to the orchestrator', async () => {
    const { client, fake } = setup(
      { engines: [{ host: 'gluetun', port: 19_000 }] },
      { mapEngine: ({ port }) => ({ host: '10.0.0.7', port: port + 1 }) },
    )
    const lease = await client.acquireEngine()
    expect(lease.engine).toMatchObject({ host: '10.0.0.7', port: 19_001, containerId: fake.engines[0]?.containerId })
    const stream = await lease.startStream(playback())
    expect(stream.engine).toEqual({ host: '10.0.0.7', port: 19_001, containerId: fake.engines[0]?.containerId })
    expect(await client.listEngines({ fresh: true })).toMatchObject([{ host: 'gluetun', port: 19_000 }])
  })

  it('releases the slot when mapEngine throws or returns an invalid address', async () => {
    let answer: () => { host: string; port: number } = () => {
      throw new Error('no route')
    }
    const { client } = setup({ engines: 1 }, { mapEngine: () => answer() })
    expect(await failureOf(client.acquireEngine())).toMatchObject({ message: 'no route' })
    answer = () => ({ host: '', port: 1 })
    expect(await failureOf(client.acquireEngine())).toBeInstanceOf(InvalidArgumentError)
    answer = () => ({ host: 'here', port: 1 })
    expect((await client.acquireEngine({ waitMs: 0 })).engine.host).toBe('here')
  })

  it('leases the engine that the rankEngines of the host puts first', async () => {
    const { client, fake } = setup({ engines: 3 }, { maxStreamsPerEngine: 3, rankEngines: (a, b) => b.load - a.load })
    const first = await client.acquireEngine()
    const second = await client.acquireEngine()
    const third = await client.acquireEngine()
    expect(new Set([first, second, third].map((lease) => lease.engine.containerId)).size).toBe(1)
    expect(fake.engines).toHaveLength(3)
  })

  it('leases an unhealthy engine only when every healthy engine is full and the caller passes provision: false', async () => {
    const { client, fake } = setup({ engines: 2 })
    const [a, b] = fake.engines.map((engine) => engine.containerId)
    fake.updateEngine(a ?? '', { healthStatus: 'unhealthy' })
    expect((await client.acquireEngine()).engine.containerId).toBe(b)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect((await client.acquireEngine({ waitMs: 0, provision: false })).engine.containerId).toBe(a)
  })

  it('chooses among equally loaded engines at random, so that the members of a fleet do not all choose the same one', async () => {
    const chosen = new Set<string>()
    for (let seed = 0; seed < 12; seed += 1) {
      const { client } = setup({ engines: 4 }, { random: () => seed / 12 })
      chosen.add((await client.acquireEngine()).engine.host + (await client.acquireEngine()).engine.port)
    }
    expect(chosen.size).toBeGreaterThan(1)
  })
})
