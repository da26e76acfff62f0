import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { compareCandidates, compareForContent, pickBest } from '../../../src/engines/placement/ranking.ts'
import type { Candidate, CandidateComparator } from '../../../src/model/engine.ts'
import { engineFromRecord } from '../../../src/orchestrator/listed-engines.ts'
import { connect, playback, setup } from '../../support/setup.ts'

interface Traits {
  healthStatus?: 'healthy' | 'unhealthy' | 'unknown'
  load?: number
  vpnLoad?: number
  forwarded?: boolean
  lastUsedAt?: number
  hasContent?: boolean
}

function candidate(containerId: string, traits: Traits = {}): Candidate {
  const { healthStatus = 'healthy', load = 0, vpnLoad = 0, forwarded = false, lastUsedAt = 0, hasContent = false } = traits
  const engine = engineFromRecord({
    containerId,
    host: containerId,
    port: 6878,
    healthStatus,
    forwarded,
    draining: false,
    streamIds: [],
    streamCount: 0,
    labels: {},
  })
  return { engine, load, vpnLoad, lastUsedAt, hasContent }
}

/** The criteria in their order, each with the traits that it prefers and the traits that it ranks lower. */
const CRITERIA: readonly [name: string, better: Traits, worse: Traits][] = [
  ['a healthy engine', { healthStatus: 'healthy' }, { healthStatus: 'unhealthy' }],
  ['the fewest streams', { load: 1 }, { load: 2 }],
  ['the VPN node with the fewest streams', { vpnLoad: 1 }, { vpnLoad: 2 }],
  ['a forwarded port', { forwarded: true }, { forwarded: false }],
  ['the longest time unused', { lastUsedAt: 1 }, { lastUsedAt: 2 }],
]
/** The criteria for a caller that named its content. */
const CRITERIA_WITH_CONTENT: typeof CRITERIA = CRITERIA.toSpliced(1, 0, [
  'an engine without the content of the caller',
  { hasContent: false },
  { hasContent: true },
])

describe('the built-in ranking', () => {
  it.each(
    [
      ['of a caller that names no content', CRITERIA, compareCandidates] as const,
      ['of a caller that names its content', CRITERIA_WITH_CONTENT, compareForContent] as const,
    ].flatMap(([caller, criteria, compare]) => criteria.map(([name], index) => ({ caller, name, criteria, compare, index }))),
  )('$caller prefers $name, though all later criteria prefer the other engine', ({ criteria, compare, index }) => {
    const [, better, worse] = criteria[index] ?? ['', {}, {}]
    const all = (pick: (criterion: (typeof CRITERIA)[number]) => Traits): Traits =>
      Object.assign({}, ...criteria.slice(index + 1).map(pick))
    // Engine a is better by this criterion, and worse by all later ones.
    const a = candidate('a', { ...better, ...all(([, , trait]) => trait) })
    const b = candidate('b', { ...worse, ...all(([, trait]) => trait) })
    const order: CandidateComparator = compare
    expect(order(a, b)).toBeLessThan(0)
    expect(order(b, a)).toBeGreaterThan(0)
  })

  it('ranks an engine of unknown health as high as a healthy one (H16)', () => {
    expect(compareCandidates(candidate('a', { healthStatus: 'unknown' }), candidate('b'))).toBe(0)
    expect(compareCandidates(candidate('a', { healthStatus: 'unknown', load: 0 }), candidate('b', { load: 1 }))).toBeLessThan(0)
  })

  it('ranks engines with the same traits equally', () => {
    expect(compareCandidates(candidate('a', { load: 1 }), candidate('b', { load: 1 }))).toBe(0)
  })
})

describe('picking the best candidate', () => {
  it('finds it at any position', () => {
    const rest = ['b', 'c', 'd'].map((id) => candidate(id, { load: 1 }))
    for (let at = 0; at <= rest.length; at += 1) {
      const candidates = rest.toSpliced(at, 0, candidate('best'))
      expect(pickBest(candidates, compareCandidates, seededRandom(at + 1))?.engine.containerId).toBe('best')
    }
  })

  it('returns undefined when there are no candidates', () => {
    expect(pickBest([], compareCandidates, () => 0)).toBeUndefined()
  })

  it('picks each of four equal candidates about equally often, and never a worse one', () => {
    const candidates = [
      ...['worse', 'no better'].map((id) => candidate(id, { load: 1 })),
      ...['a', 'b', 'c', 'd'].map((id) => candidate(id)),
      candidate('last', { load: 1 }),
    ]
    const random = seededRandom(7)
    const taken = new Map<string, number>()
    for (let i = 0; i < 4_000; i += 1) {
      const id = pickBest(candidates, compareCandidates, random)?.engine.containerId ?? ''
      taken.set(id, (taken.get(id) ?? 0) + 1)
    }
    expect([...taken.keys()].toSorted()).toEqual(['a', 'b', 'c', 'd'])
    for (const count of taken.values()) expect(Math.abs(count - 1_000)).toBeLessThan(120)
  })
})

describe('the engine that a viewer gets', () => {
  it('is on the VPN node with the fewest streams and leases, among engines with the same load', async () => {
    const vpn = (vpnContainer: string) => ({ vpnContainer })
    const { client, fake } = setup({ generation: '2026-04', engines: [vpn('a'), vpn('a'), vpn('b')] }, { maxStreamsPerEngine: 2 })
    const [, , alone] = fake.engines.map((engine) => engine.containerId)
    const nodes = []
    for (let i = 0; i < 2; i += 1) nodes.push((await client.acquireEngine()).engine.vpnContainer)
    // Each node has one lease. The third lease goes to the idle engine, which is on node a.
    expect(nodes.toSorted()).toEqual(['a', 'b'])
    const third = await client.acquireEngine()
    expect(third.engine.vpnContainer).toBe('a')
    // Each engine has one lease now, so node a has two. The next lease goes to node b.
    expect((await client.acquireEngine()).engine.containerId).toBe(alone)
  })

  it('has a forwarded port, among engines that are equal otherwise', async () => {
    const { client, fake } = setup({ generation: '2026-04', engines: [{}, { forwarded: true }, {}] })
    expect((await client.acquireEngine()).engine.containerId).toBe(fake.engines[1]?.containerId)
  })

  it('is the one that was unused for the longest time, so that engines take turns', async () => {
    const { client, clock } = setup({ engines: 4 }, { cacheTtlMs: 600_000 })
    const order: string[] = []
    for (let i = 0; i < 8; i += 1) {
      const lease = await client.acquireEngine()
      order.push(lease.engine.containerId)
      await lease.release()
      await clock.advance(1_000)
    }
    expect(new Set(order.slice(0, 4)).size).toBe(4)
    expect(order.slice(4)).toEqual(order.slice(0, 4))
  })

  it('is not the one that another proxy used last, which the list shows', async () => {
    const { client, fake, clock } = setup({ engines: 2 })
    const other = connect(fake, clock)
    const theirs = await other.acquireEngine()
    await (await theirs.startStream(playback())).end()
    await clock.advance(1_000)
    for (let i = 0; i < 3; i += 1) {
      const fresh = connect(fake, clock, { random: () => i / 3 })
      expect((await fresh.acquireEngine()).engine.containerId).not.toBe(theirs.engine.containerId)
    }
    expect(await client.listEngines()).toHaveLength(2)
  })
})
