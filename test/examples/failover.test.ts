import { describe, expect, it } from 'vitest'
import { infohash, stage, view } from './stage.ts'

const MISBEHAVIOURS = ['hangs', 'hangs-after-head', 'refuses', 'errors', 'no-session'] as const

describe('an engine that fails before its first byte', () => {
  it.each(MISBEHAVIOURS)('one that %s is replaced by another, and the viewer never notices', async (misbehaviour) => {
    const { fake, engines, client, url } = await stage({ engineCount: 2, proxy: { headerTimeoutMs: 300 } })
    const [first, second] = engines
    if (first === undefined || second === undefined) throw new Error('no engines')
    const tried = await engineOfNextViewer(client)
    const bad = tried === first.port ? first : second
    bad.misbehaviour = misbehaviour
    const viewer = await view(url)
    expect(viewer.state).toBe('watching')
    expect(fake.streams).toHaveLength(1)
    expect((bad === first ? second : first).sessions.size).toBe(1)
    expect(bad.sessions.size).toBe(0)
  })

  it('two of them end in a 502, and nothing was announced', async () => {
    const { fake, engines, url } = await stage({ engineCount: 3 })
    for (const engine of engines) engine.misbehaviour = 'errors'
    const answer = await fetch(`${url}/ace/getstream?infohash=${infohash()}`)
    expect(answer.status).toBe(502)
    expect(await answer.json()).toMatchObject({ reason: 'engines_failed' })
    expect(fake.counters.startsApplied).toBe(0)
  })

  it('leaves its slot free again', async () => {
    const { engines, client, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.misbehaviour = 'errors'
    // There is no second one to try, and the first may recover: come back later.
    expect((await fetch(`${url}/ace/getstream?infohash=${infohash()}`)).status).toBe(503)
    engine.misbehaviour = undefined
    expect((await view(url)).state).toBe('watching')
    expect(client.metrics().leases.active).toBe(0)
  })
})

/** Ranking is the client's business: ask it, and give the engine back. */
async function engineOfNextViewer(client: {
  acquireEngine(): Promise<{ engine: { port: number }; release(): Promise<void> }>
}): Promise<number> {
  const lease = await client.acquireEngine()
  await lease.release()
  return lease.engine.port
}
