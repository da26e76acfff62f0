import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { pickByWaterLevel } from '../../../src/engines/placement/peer-spread.ts'
import type { Candidate } from '../../../src/model/engine.ts'
import { playback, setup } from '../../support/setup.ts'

const candidate = (name: string, load: number, healthStatus: 'healthy' | 'unhealthy' = 'healthy'): Candidate => {
  const engine = { containerId: name, host: name, port: 1, healthStatus, forwarded: false, draining: false }
  return { engine: { ...engine, streamIds: [], streamCount: 0, labels: {} }, load, vpnLoad: 0, lastUsedAt: 0 }
}

/** How often each engine is picked, in parts of 1,000. */
function shares(candidates: readonly Candidate[], unseenCount: number): Record<string, number> {
  const random = seededRandom(3)
  const counts: Record<string, number> = {}
  for (let i = 0; i < 1_000; i += 1) {
    const name = pickByWaterLevel(candidates, unseenCount, random)?.engine.containerId ?? 'by the order'
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

describe('where others have filled the emptiest engines unseen', () => {
  it('any engine below the level they have reached is as likely as it was short of it, and none above', () => {
    // Six more fill a to 4 and b to 4: 4 and 2 of them.
    const { a = 0, b = 0, c } = shares([candidate('a', 0), candidate('b', 2), candidate('c', 4)], 6)
    expect(c).toBeUndefined()
    expect(a / b).toBeGreaterThan(1.7)
    expect(a / b).toBeLessThan(2.3)
  })

  it('an unhealthy engine is none of them, and too few to matter leave the order as it is', () => {
    expect(shares([candidate('sick', 0, 'unhealthy'), candidate('well', 3)], 5)).toEqual({ well: 1_000 })
    expect(shares([candidate('a', 0), candidate('b', 0)], 1)).toEqual({ 'by the order': 1_000 })
    expect(shares([candidate('sick', 0, 'unhealthy')], 5)).toEqual({ 'by the order': 1_000 })
  })
})

describe('a client', () => {
  const names = async (world: ReturnType<typeof setup>): Promise<Set<string>> => {
    const chosen = new Set<string>()
    for (let i = 0; i < 12; i += 1) {
      const lease = await world.client.acquireEngine()
      chosen.add(lease.engine.containerId)
      await lease.release()
    }
    return chosen
  }
  const loaded = (options = {}) => {
    const world = setup({ engines: 4 }, { maxStreamsPerEngine: 50, cacheTtlMs: 2_000, ...options })
    const ids = world.fake.engines.map(({ containerId }) => containerId)
    // The emptiest engine is the first; the others have one stream more each.
    for (const containerId of ids.slice(1)) world.fake.startElsewhere({ containerId })
    return { world, ids }
  }

  it('that sees streams of others appear leaves the emptiest engine to them at times', async () => {
    const { world, ids } = loaded()
    await world.client.listEngines()
    await world.clock.advance(2_000)
    for (let i = 0; i < 8; i += 1) world.fake.startElsewhere({ containerId: ids[i % 4] ?? '' })
    await world.client.listEngines()
    expect((await names(world)).size).toBeGreaterThan(1)
  })

  it('that sees none appear takes the emptiest engine, however many others there are', async () => {
    const { world, ids } = loaded()
    await world.client.listEngines()
    await world.clock.advance(2_000)
    await world.client.listEngines()
    expect(await names(world)).toEqual(new Set([ids[0]]))
  })

  it('does not take its own streams for those of others', async () => {
    const { world } = loaded()
    await world.client.listEngines()
    for (let i = 0; i < 8; i += 1) {
      await (await world.client.acquireEngine()).startStream(playback(i.toString(16).padStart(40, '0'), `s${i}`))
    }
    await world.clock.advance(2_000)
    const list = await world.client.listEngines()
    const fewest = Math.min(...list.map(({ streamIds }) => streamIds.length))
    const emptiest = list.filter(({ streamIds }) => streamIds.length === fewest).map(({ containerId }) => containerId)
    for (const name of await names(world)) expect(emptiest).toContain(name)
  })

  it('follows its host’s own order whatever others do', async () => {
    const { world, ids } = loaded({ rankEngines: (a: Candidate, b: Candidate) => a.load - b.load })
    await world.client.listEngines()
    await world.clock.advance(2_000)
    for (let i = 0; i < 8; i += 1) world.fake.startElsewhere({ containerId: ids[i % 4] ?? '' })
    await world.client.listEngines()
    expect(await names(world)).toEqual(new Set([ids[0]]))
  })
})
