import { ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import type { EngineSnapshot } from '../../../src/engines/list/snapshot.ts'
import { EjectionPolicy } from '../../../src/engines/placement/ejection.ts'
import { EngineIndex } from '../../../src/engines/placement/engine-index.ts'
import { PeerSpread } from '../../../src/engines/placement/peer-spread.ts'
import { SlotTaker } from '../../../src/engines/placement/slot-taker.ts'
import type { TakenSlot } from '../../../src/engines/placement/slot-terms.ts'
import { Tournament } from '../../../src/engines/placement/tournament.ts'
import type { Engine } from '../../../src/model/engine.ts'
import { silentLogger } from '../../../src/runtime/logger.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'
import { MemoryStore } from '../../../src/state/memory.ts'
import { OverIds } from '../../../src/streams/over-ids.ts'

const ANY = { exclude: new Set<string>(), allowUnhealthy: true }

function engineOf(containerId: string, changes: Partial<Engine> = {}): Engine {
  const address = { host: containerId, port: 1 }
  const traits = { healthStatus: 'healthy', forwarded: false, draining: false, streamIds: [], streamCount: 0, labels: {} } as const
  return { containerId, ...address, ...traits, ...changes }
}

function indexOf(engines: readonly Engine[], { settleMs = 0, limit = 2, random = seededRandom(1) } = {}) {
  const clock = new ManualClock()
  const endedIds = new OverIds({ sequence: new Sequence(), max: 10 })
  const parts = { endedIds, ejectionPolicy: new EjectionPolicy(clock), peers: new PeerSpread(), random, limit, settleMs }
  const snapshot = { engines, sequence: 1, receivedAt: clock.now() }
  return new EngineIndex({ ...parts, snapshot, usage: new Map(), usedAt: new Map() })
}

describe('an engine that is found', () => {
  it('is each of several equally good engines equally often, however many of them share a VPN node', () => {
    const nodes = ['x', 'x', 'x', 'y', undefined, undefined]
    const engines = nodes.map((node, index) => engineOf(`e${index}`, node === undefined ? {} : { vpnContainer: node }))
    const index = indexOf([...engines, engineOf('worse', { streamIds: ['s'] })])
    const counts = new Map<string, number>()
    const find = () => index.find(ANY, 0)?.containerId ?? ''
    // Rank one of them anew, as each slot does.
    index.noteUsage('e0', { leaseCount: 1, streamIds: new Set() })
    find()
    index.noteUsage('e0', undefined)
    for (let i = 0; i < 6_000; i += 1) {
      const id = find()
      counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    expect([...counts.keys()].toSorted()).toEqual(['e0', 'e1', 'e2', 'e3', 'e4', 'e5'])
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  })

  it('is each of several equally good engines of two VPN nodes, though random() may return the same number twice in a row', () => {
    const engines = ['x', 'x', 'y', 'y'].map((vpnContainer, index) => engineOf(`e${index}`, { vpnContainer }))
    let number = 0
    const index = indexOf(engines, { random: () => number })
    const found = [0, 0.25, 0.5, 0.75].map((next) => {
      number = next
      return index.find(ANY, 0)?.containerId
    })
    expect(found).toEqual(['e0', 'e1', 'e2', 'e3'])
  })

  it('is one that another stream used longer ago, also if this client used the other one later than the list says', () => {
    const [old, recent] = [engineOf('old'), engineOf('recent', { lastStreamUsage: new Date(5_000) })]
    const index = indexOf([recent, old])
    index.noteUse(index.get('recent') ?? expect.fail(), 1_000)
    index.noteUse(index.get('old') ?? expect.fail(), 2_000)
    expect(index.find(ANY, 2_000)?.containerId).toBe('old')
  })

  it('is settled only when settleMs have passed since the last of several slots', () => {
    const index = indexOf([engineOf('twice'), engineOf('once')], { settleMs: 1_000, limit: 9 })
    const [twice, once] = [index.get('twice') ?? expect.fail(), index.get('once') ?? expect.fail()]
    index.noteUse(twice, 1_000)
    index.noteUse(once, 1_100)
    index.noteUse(twice, 1_500)
    // 1,000 ms after its first slot, but 500 ms after its second.
    expect(index.find(ANY, 2_100)?.containerId).toBe('once')
    index.noteUse(once, 2_100)
    index.noteUsage('once', { leaseCount: 5, streamIds: new Set() })
    expect(index.find(ANY, 2_499)?.containerId).toBe('twice')
    index.noteUsage('twice', { leaseCount: 6, streamIds: new Set() })
    expect(index.find(ANY, 2_499)?.containerId, 'none is settled').toBe('once')
    expect(index.find(ANY, 2_500)?.containerId, 'only one is settled').toBe('twice')
  })
})

describe('the work of acquiring', () => {
  /** An engine that counts how often one of its properties is read. */
  const counted = (engine: Engine, count: () => void): Engine =>
    new Proxy(engine, {
      get(target, name) {
        count()
        return Reflect.get(target, name)
      },
    })

  /** Takes slots on engines that count how often they are read. */
  function countingTaker(engineCount: number) {
    let reads = 0
    const count = (): void => {
      reads += 1
    }
    const clock = new ManualClock()
    const store = new MemoryStore()
    const engines = Array.from({ length: engineCount }, (_, index) => counted(engineOf(`engine ${index}`), count))
    const snapshot: EngineSnapshot = { engines, sequence: 1, receivedAt: clock.now() }
    const limits = { maxStreamsPerEngine: 1, leaseTtlMs: 1_000, settleMs: 0, rankEngines: undefined, proxyId: 'proxy' }
    const endedIds = new OverIds({ sequence: new Sequence(), max: 10 })
    const liveContents = { enginesWith: () => new Set<string>(), has: () => false }
    const ports = { store, clock, random: seededRandom(1), logger: silentLogger, ejectionPolicy: new EjectionPolicy(clock) }
    const taker = new SlotTaker({ ...limits, ...ports, endedIds, liveContents })
    taker.noteList(snapshot)
    const take = (exclude: readonly string[] = []): TakenSlot | undefined => {
      const slot = taker.take(snapshot, { ...ANY, exclude: new Set(exclude) })
      return slot instanceof Promise ? expect.fail() : slot
    }
    const readsOf = (work: () => void): number => {
      reads = 0
      work()
      return reads
    }
    return { taker, store, snapshot, take, readsOf }
  }

  /** How often engines are read while 50 slots are taken and released. */
  function readsOfTakes(engineCount: number): number {
    const { store, take, readsOf } = countingTaker(engineCount)
    take() // makes the index
    return readsOf(() => {
      for (let i = 0; i < 50; i += 1) store.releaseLease(take(['engine 3'])?.leaseId ?? '')
    })
  }

  it('reads no more engines when there are more of them', () => {
    expect(readsOfTakes(5_000)).toBe(readsOfTakes(50))
  })

  it('reads the engines once for the errors of many callers that find none in the same moment', () => {
    const { taker, store, snapshot, take, readsOf } = countingTaker(20)
    const slots = Array.from({ length: 20 }, () => take())
    const occupancy = () => taker.occupancy(snapshot, new Set())
    expect(readsOf(occupancy)).toBeGreaterThan(0)
    expect(readsOf(occupancy)).toBe(0)
    expect(occupancy()).toMatchObject({ total: 20, full: 20, free: 0 })
    store.releaseLease(slots[0]?.leaseId ?? '')
    expect(occupancy()).toMatchObject({ total: 20, full: 19, free: 1 })
  })

  it('compares as many engines as a tournament has rounds, and fewer if the winner stays', () => {
    const size = 1_024
    const tournament = new Tournament<{ rank: number }>(size, {
      length: 1,
      write: ({ rank }, ranks, start) => {
        ranks[start] = rank
      },
    })
    const comparisonsOf = (change: () => void) => {
      const before = tournament.comparisonCount
      change()
      return tournament.comparisonCount - before
    }
    const filled = comparisonsOf(() => tournament.fill(Array.from({ length: size }, (_, rank) => ({ rank }))))
    expect(filled).toBe(size - 1)
    expect(comparisonsOf(() => tournament.set(0, { rank: 5_000 }))).toBe(10)
    expect(tournament.best).toEqual({ rank: 1 })
    expect(comparisonsOf(() => tournament.set(1_001, { rank: 6_000 }))).toBe(1)
    tournament.fill(Array.from({ length: size }, () => ({ rank: 7 })))
    const amongEquals = comparisonsOf(() => tournament.set(1_001, { rank: 8 }))
    expect(tournament.bestCount).toBe(size - 1)
    expect(amongEquals, 'among equally good engines').toBe(1)
  })
})
