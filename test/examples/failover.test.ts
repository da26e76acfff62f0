import { describe, expect, it } from 'vitest'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { eventually, infohash, stage, view } from './stage.ts'

const MISBEHAVIOURS = ['hangs', 'hangs-after-head', 'refuses', 'errors'] as const

describe('an engine that fails before its first byte', () => {
  it.each(MISBEHAVIOURS)('is replaced by another engine, and the viewer notices nothing (the engine %s)', async (misbehaviour) => {
    const timeOuts = holdTimers()
    const { fake, engines, client, url } = await stage({
      engineCount: 2,
      client: { rankEngines: () => -1 },
      proxy: { headerTimeoutMs: HELD_MS },
    })
    const [first, second] = engines
    if (first === undefined || second === undefined) throw new Error('no engines')
    const tried = await engineOfNextViewer(client)
    const bad = tried === first.port ? first : second
    bad.misbehaviour = misbehaviour
    const viewing = view(url)
    if (misbehaviour.startsWith('hangs')) {
      // Wait for the time-out of the request that hangs: the first request to the engine, or the second.
      await eventually(() => expect([bad.requestCount, timeOuts.armed]).toEqual([1, misbehaviour === 'hangs' ? 1 : 2]))
      timeOuts.fire()
    }
    const viewer = await viewing
    expect(viewer.state).toBe('watching')
    expect(fake.streams).toHaveLength(1)
    expect((bad === first ? second : first).sessions.size).toBe(1)
    await eventually(() => expect(bad.sessions.size).toBe(0))
  })

  it('is not chosen again for the same viewer, although it has room', async () => {
    const { engines, client, url } = await stage({ engineCount: 2, client: { maxStreamsPerEngine: 4, rankEngines: () => -1 } })
    const tried = await engineOfNextViewer(client)
    const bad = engines.find(({ port }) => port === tried)
    const good = engines.find(({ port }) => port !== tried)
    if (bad === undefined || good === undefined) throw new Error('no engines')
    bad.misbehaviour = 'errors'
    expect((await view(url)).state).toBe('watching')
    expect([bad.requestCount, good.requestCount]).toEqual([1, 1])
  })

  it('leads to a 502 with a Retry-After if the second engine fails too, and no stream is announced', async () => {
    const { fake, engines, client, url } = await stage({ engineCount: 3 })
    for (const engine of engines) engine.misbehaviour = 'errors'
    let count = 0
    client.on('engine:acquired', () => {
      count += 1
    })
    const answer = await fetch(`${url}/ace/getstream?infohash=${infohash()}`)
    expect(answer.status).toBe(502)
    expect(answer.headers.get('retry-after')).toBe('5')
    expect(await answer.json()).toMatchObject({ reason: 'engines_failed', retry_after: 5 })
    expect(count).toBe(2)
    expect(fake.counters.startsApplied).toBe(0)
  })

  it('has its slot free again afterwards', async () => {
    const { engines, client, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.misbehaviour = 'errors'
    const answer = await fetch(`${url}/ace/getstream?infohash=${infohash(1)}`)
    expect(answer.status).toBe(502)
    engine.misbehaviour = undefined
    expect((await view(url, 2)).state).toBe('watching')
    expect(client.metrics().leases.active).toBe(0)
  })

  it('is not asked again for a second, however many viewers retry', async () => {
    const second = holdTimers(1_000)
    const { engines, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.misbehaviour = 'errors'
    const request = (): Promise<Response> => fetch(`${url}/ace/getstream?infohash=${infohash()}`)
    await request()
    const answers = await Promise.all(Array.from({ length: 10 }, request))
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(502))
    expect(engine.requestCount).toBe(1)
    second.fire()
    await request()
    expect(engine.requestCount).toBe(2)
  })
})

describe('a dead channel', () => {
  it('ejects no engine and starts none: after six dead channels, viewers of other channels are still served', async () => {
    const { fake, engines, client, url } = await stage({ engineCount: 2, proxy: { capacityTimeoutMs: 600_000 } })
    fake.setProvisioning({ refuse: undefined })
    const ejected: string[] = []
    client.on('engine:ejected', ({ containerId }) => ejected.push(containerId))
    for (const engine of engines) engine.misbehaviour = 'no-session'
    for (let channel = 11; channel <= 16; channel += 1) {
      const answer = await fetch(`${url}/ace/getstream?infohash=${infohash(channel)}`)
      expect(await answer.json()).toMatchObject({ reason: 'engines_failed' })
    }
    for (const engine of engines) engine.misbehaviour = undefined
    expect((await view(url, 1)).state).toBe('watching')
    expect(ejected).toEqual([])
    expect(client.metrics().provisioning.requested).toBe(0)
  })

  it('is tried on one engine only, and its viewers get a 502 with a Retry-After', async () => {
    const { fake, engines, client, url } = await stage({ engineCount: 2, proxy: { capacityTimeoutMs: 600_000 } })
    fake.setProvisioning({ refuse: undefined })
    for (const engine of engines) engine.misbehaviour = 'no-session'
    const answers = await Promise.all(Array.from({ length: 5 }, () => fetch(`${url}/ace/getstream?infohash=${infohash(9)}`)))
    for (const answer of answers) {
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([502, '5'])
      expect(await answer.json()).toMatchObject({ reason: 'engines_failed' })
    }
    expect(engines.map(({ requestCount }) => requestCount).sort()).toEqual([0, 1])
    expect(client.metrics().provisioning.requested).toBe(0)
  })
})

/** Returns the port of the engine that the client will choose next: acquires it and releases it. */
async function engineOfNextViewer(client: {
  acquireEngine(): Promise<{ engine: { port: number }; release(): Promise<void> }>
}): Promise<number> {
  const lease = await client.acquireEngine()
  await lease.release()
  return lease.engine.port
}
