import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { pickByWaterLevel } from '../../../src/engines/placement/peer-spread.ts'
import type { Candidate } from '../../../src/model/engine.ts'
import { playback, setup } from '../../support/setup.ts'

const candidate = (name: string, load: number, healthStatus: 'healthy' | 'unhealthy' = 'healthy'): Candidate => {
  const engine = { containerId: name, host: name, port: 1, healthStatus, forwarded: false, draining: false }
  return { engine: { ...engine, streamIds: [], streamCount: 0, labels: {} }, load, vpnLoad: 0, lastUsedAt: 0, hasContent: false }
}

/** How often each engine is picked in 1,000 calls. Without a pick the ranking decides. */
function shares(candidates: readonly Candidate[], unseenCount: number): Record<string, number> {
  const random = seededRandom(3)
  const counts: Record<string, number> = {}
  for (let i = 0; i < 1_000; i += 1) {
    const name = pickByWaterLevel(candidates, unseenCount, random)?.engine.containerId ?? 'no pick'
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

describe('after other clients started streams that no list shows yet', () => {
  it('an engine is picked in proportion to its number of those streams, and never when it has none of them', () => {
    // Six streams fill a and b to a load of 4 each: four went to a, two to b, none to c.
    const { a = 0, b = 0, c } = shares([candidate('a', 0), candidate('b', 2), candidate('c', 4)], 6)
    expect(c).toBeUndefined()
    expect(a / b).toBeGreaterThan(1.7)
    expect(a / b).toBeLessThan(2.3)
  })

  it('an unhealthy engine is not picked, and a single such stream does not change the ranking', () => {
    expect(shares([candidate('sick', 0, 'unhealthy'), candidate('well', 3)], 5)).toEqual({ well: 1_000 })
    expect(shares([candidate('a', 0), candidate('b', 0)], 1)).toEqual({ 'no pick': 1_000 })
    expect(shares([candidate('sick', 0, 'unhealthy')], 5)).toEqual({ 'no pick': 1_000 })
  })
})

describe('a client', () => {
  const chosenEngines = async (world: ReturnType<typeof setup>): Promise<Set<string>> => {
    const chosen = new Set<string>()
    for (let i = 0; i < 12; i += 1) {
      const lease = await world.client.acquireEngine()
      chosen.add(lease.engine.containerId)
      await lease.release()
    }
    return chosen
  }
  const oneEmptyEngine = (options = {}) => {
    const world = setup({ engines: 4 }, { maxStreamsPerEngine: 50, cacheTtlMs: 2_000, ...options })
    const ids = world.fake.engines.map(({ containerId }) => containerId)
    // The first engine is empty; each of the others has one stream.
    for (const containerId of ids.slice(1)) world.fake.startElsewhere({ containerId })
    return { world, ids }
  }

  it('that sees new streams of other clients does not always choose the emptiest engine', async () => {
    const { world, ids } = oneEmptyEngine()
    await world.client.listEngines()
    await world.clock.advance(2_000)
    for (let i = 0; i < 8; i += 1) world.fake.startElsewhere({ containerId: ids[i % 4] ?? '' })
    await world.client.listEngines()
    expect((await chosenEngines(world)).size).toBeGreaterThan(1)
  })

  it('that sees no new streams of other clients always chooses the emptiest engine', async () => {
    const { world, ids } = oneEmptyEngine()
    await world.client.listEngines()
    await world.clock.advance(2_000)
    await world.client.listEngines()
    expect(await chosenEngines(world)).toEqual(new Set([ids[0]]))
  })

  it('does not count its own new streams as streams of other clients', async () => {
    const { world } = oneEmptyEngine()
    await world.client.listEngines()
    for (let i = 0; i < 8; i += 1) {
      await (await world.client.acquireEngine()).startStream(playback(i.toString(16).padStart(40, '0'), `s${i}`))
    }
    await world.clock.advance(2_000)
    const list = await world.client.listEngines()
    const fewest = Math.min(...list.map(({ streamIds }) => streamIds.length))
    const emptiest = list.filter(({ streamIds }) => streamIds.length === fewest).map(({ containerId }) => containerId)
    for (const name of await chosenEngines(world)) expect(emptiest).toContain(name)
  })

  it('follows the rankEngines of its host, though other clients start streams', async () => {
    const { world, ids } = oneEmptyEngine({ rankEngines: (a: Candidate, b: Candidate) => a.load - b.load })
    await world.client.listEngines()
    await world.clock.advance(2_000)
    for (let i = 0; i < 8; i += 1) world.fake.startElsewhere({ containerId: ids[i % 4] ?? '' })
    await world.client.listEngines()
    expect(await chosenEngines(world)).toEqual(new Set([ids[0]]))
  })
})
