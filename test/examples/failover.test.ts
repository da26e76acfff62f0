import { describe, expect, it } from 'vitest'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { eventually, infohash, stage, view } from './stage.ts'

const MISBEHAVIOURS = ['hangs', 'hangs-after-head', 'refuses', 'errors', 'no-session'] as const

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

  it('is excluded from the second acquire, although it has room again', async () => {
    const { engines, client, url } = await stage({ engineCount: 2, client: { maxStreamsPerEngine: 4, rankEngines: () => -1 } })
    const acquired: unknown[] = []
    const acquire = client.acquireEngine.bind(client)
    client.acquireEngine = async (options) => {
      const lease = await acquire(options)
      acquired.push({ exclude: [...(options?.exclude ?? [])], containerId: lease.engine.containerId })
      return lease
    }
    const tried = await engineOfNextViewer({ acquireEngine: acquire })
    const bad = engines.find(({ port }) => port === tried)
    if (bad === undefined) throw new Error('no such engine')
    bad.misbehaviour = 'errors'
    const [first, second] = await client.listEngines()
    const ids = first?.port === tried ? [first?.containerId, second?.containerId] : [second?.containerId, first?.containerId]
    expect((await view(url)).state).toBe('watching')
    expect(acquired).toEqual([
      { exclude: [], containerId: ids[0] },
      { exclude: [ids[0]], containerId: ids[1] },
    ])
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
    // There is no second engine to try, and the first may recover, so the viewer gets a 503.
    expect((await fetch(`${url}/ace/getstream?infohash=${infohash()}`)).status).toBe(503)
    engine.misbehaviour = undefined
    expect((await view(url)).state).toBe('watching')
    expect(client.metrics().leases.active).toBe(0)
  })
})

describe('a dead channel', () => {
  it('ejects no engine and starts none: after six attempts, viewers of other channels are still served', async () => {
    const { fake, engines, client, url } = await stage({ engineCount: 2, proxy: { capacityTimeoutMs: 600_000 } })
    fake.setProvisioning({ refuse: undefined })
    const ejected: string[] = []
    client.on('engine:ejected', ({ containerId }) => ejected.push(containerId))
    for (const engine of engines) engine.misbehaviour = 'no-session'
    for (let tries = 0; tries < 6; tries += 1) {
      const answer = await fetch(`${url}/ace/getstream?infohash=${infohash(9)}`)
      expect(await answer.json()).toMatchObject({ reason: 'engines_failed' })
    }
    for (const engine of engines) engine.misbehaviour = undefined
    expect((await view(url, 1)).state).toBe('watching')
    expect(ejected).toEqual([])
    expect(client.metrics().provisioning.requested).toBe(0)
  })

  it('is tried only once if there is one engine, and starts no engine', async () => {
    const { fake, engines, client, url } = await stage({ proxy: { capacityTimeoutMs: 600_000 } })
    fake.setProvisioning({ refuse: undefined })
    for (const engine of engines) engine.misbehaviour = 'no-session'
    const answer = await fetch(`${url}/ace/getstream?infohash=${infohash(9)}`)
    expect([answer.status, await answer.json()]).toEqual([502, expect.objectContaining({ reason: 'engines_failed' })])
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
