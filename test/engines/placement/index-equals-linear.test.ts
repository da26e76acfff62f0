import { ManualClock } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EngineSnapshot } from '../../../src/engines/list/snapshot.ts'
import { EjectionPolicy } from '../../../src/engines/placement/ejection.ts'
import { EngineIndex, type IndexFilter } from '../../../src/engines/placement/engine-index.ts'
import { LinearRanking } from '../../../src/engines/placement/linear-ranking.ts'
import { PeerSpread } from '../../../src/engines/placement/peer-spread.ts'
import type { Candidate } from '../../../src/model/engine.ts'
import { engineFromRecord } from '../../../src/orchestrator/listed-engines.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'
import { MemoryStore } from '../../../src/state/memory.ts'
import { OverIds } from '../../../src/streams/over-ids.ts'

const ENGINES = ['a', 'b', 'c', 'd', 'e', 'f']
const STREAMS = ['1', '2', '3', '4', '5', '6', '7', '8', '9']
/** Random numbers that each test of a pick tries: every equally good engine must come up. */
const PICKS = 24

const engine = fc.constantFrom(...ENGINES)
const stream = fc.constantFrom(...STREAMS)
/** The first value, most of the time: engines that differ in everything are never equally good. */
const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })
const record = fc.record({
  healthStatus: mostly<'healthy' | 'unhealthy' | 'unknown'>('healthy', 'unknown', 'unhealthy'),
  forwarded: mostly(false, true),
  draining: mostly(false, false, true),
  vpnContainer: fc.constantFrom(undefined, undefined, 'x', 'y'),
  streamIds: fc.uniqueArray(stream, { maxLength: 2 }),
  lastStreamUsage: mostly<number | undefined>(undefined, -5, 1_000, 2_000, 9_000_000),
})

const list = fc.record({
  kind: fc.constant('list' as const),
  listed: fc.uniqueArray(fc.tuple(engine, record), { selector: ([containerId]) => containerId, maxLength: ENGINES.length }),
  unreadable: fc.array(fc.record({ containerId: engine, id: fc.option(stream, { nil: undefined }) }), { maxLength: 1 }),
})
const filter = fc.record({
  exclude: fc.uniqueArray(engine, { maxLength: 2 }),
  allowUnhealthy: fc.boolean(),
  withContent: fc.option(fc.uniqueArray(engine, { maxLength: 4 }), { nil: undefined }),
})
const step = fc.oneof(
  { weight: 1, arbitrary: list },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('list again' as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('take' as const), filter }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), lease: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('promote' as const), lease: fc.nat(9), stream }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('occupy' as const), engine, stream }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('end' as const, 'over' as const, 'not over' as const, 'ended' as const), stream }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('fail' as const, 'fail' as const, 'succeed' as const), engine }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 300, 1_000, 30_000) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
type FilterChoice = typeof filter extends fc.Arbitrary<infer T> ? T : never

/** A store, lists and failures, with an index that gets every change, and the ranking that reads all engines. */
class World {
  readonly clock = new ManualClock(10_000)
  readonly sequence = new Sequence()
  readonly store = new MemoryStore()
  readonly endedIds = new OverIds({ sequence: this.sequence, max: 4 })
  readonly ejectionPolicy = new EjectionPolicy(this.clock)
  readonly peers = new PeerSpread()
  readonly usedAt = new Map<string, number>()
  readonly #settleMs: number
  readonly #limit: number
  readonly #linear: LinearRanking
  #random: () => number = () => 0
  #leaseCount = 0
  readonly leases: string[] = []
  index: EngineIndex | undefined
  snapshot: EngineSnapshot | undefined

  constructor(limit: number, settleMs: number) {
    this.#limit = limit
    this.#settleMs = settleMs
    this.#linear = new LinearRanking({ ...this.#parts, maxStreamsPerEngine: limit, rankEngines: undefined })
    this.store.onUsageChanged((containerId = '', usage) => this.index?.noteUsage(containerId, usage))
    this.endedIds.onChange((streamId) => this.index?.noteStream(streamId))
  }

  get #parts() {
    const { endedIds, ejectionPolicy, peers, usedAt, clock } = this
    return { endedIds, ejectionPolicy, peers, usedAt, clock, random: () => this.#random(), settleMs: this.#settleMs, limit: this.#limit }
  }

  async run(next: Step): Promise<void> {
    if (next.kind === 'list') this.#list(next)
    else if (next.kind === 'list again') this.#index(this.snapshot)
    else if (next.kind === 'take') this.#take(next.filter)
    else if (next.kind === 'release') this.store.releaseLease(this.#removeLease(next.lease))
    else if (next.kind === 'promote') this.store.promote(this.#removeLease(next.lease), next.stream)
    else if (next.kind === 'occupy') this.store.occupy(next.engine, next.stream)
    else if (next.kind === 'end') this.store.releaseStream(next.stream)
    else if (next.kind === 'over') this.endedIds.markOver(next.stream)
    else if (next.kind === 'not over') this.endedIds.markNotOver(next.stream)
    else if (next.kind === 'ended') this.endedIds.markEnded(next.stream)
    else if (next.kind === 'fail') for (let i = 0; i < 3; i += 1) this.ejectionPolicy.recordFailure(next.engine)
    else if (next.kind === 'succeed') this.ejectionPolicy.recordSuccess(next.engine, 'content')
    else if (next.kind === 'pass') await this.clock.advance(next.ms)
  }

  /** The engines that this ranking may give to a caller, of which each of {@link PICKS} random numbers picks one. */
  linearSet(indexFilter: IndexFilter): { picked: (string | undefined)[]; equal: Set<string>; loads: Map<string, number> } {
    const usage = this.store.usage()
    if (this.snapshot === undefined) return { picked: [], equal: new Set(), loads: new Map() }
    const { candidates, preferred, compare, unseenCount, loads } = this.#linear.choose(this.snapshot, usage, indexFilter)
    const picked = this.#pickEach(() => this.#linear.rank(this.snapshot as EngineSnapshot, usage, indexFilter).best?.engine.containerId)
    const isSpread = unseenCount >= 2 && preferred.some(({ engine: { healthStatus } }) => healthStatus !== 'unhealthy')
    const best = candidates.toSorted(compare)[0]
    const isEqual = (candidate: Candidate): boolean => best !== undefined && compare(candidate, best) === 0
    const equal = isSpread ? preferred : candidates.filter(isEqual)
    return {
      picked: isSpread ? picked : [],
      equal: new Set(equal.map(({ engine: { containerId } }) => containerId)),
      loads: new Map(loads),
    }
  }

  indexPicks(indexFilter: IndexFilter): (string | undefined)[] {
    return this.#pickEach(() => this.index?.find(indexFilter, this.clock.now())?.engine.containerId)
  }

  #pickEach<T>(pick: () => T): T[] {
    return Array.from({ length: PICKS }, (_, index) => {
      this.#random = () => (index + 0.5) / PICKS
      return pick()
    })
  }

  #list({ listed, unreadable }: Extract<Step, { kind: 'list' }>): void {
    const engines = listed.map(([containerId, { vpnContainer, lastStreamUsage, ...traits }]) =>
      engineFromRecord({
        containerId,
        host: containerId,
        port: 1,
        streamCount: 0,
        labels: {},
        ...traits,
        ...(vpnContainer === undefined ? {} : { vpnContainer }),
        ...(lastStreamUsage === undefined ? {} : { lastStreamUsage }),
      }),
    )
    const streams = unreadable.map(({ containerId, id }) => ({ containerId, cause: 'test', ...(id === undefined ? {} : { id }) }))
    this.#index({ engines, unreadable: { engines: [], streams } })
  }

  #index(listed: Pick<EngineSnapshot, 'engines' | 'unreadable'> | undefined): void {
    if (listed === undefined) return
    const snapshot = { ...listed, sequence: this.sequence.next(), receivedAt: this.clock.now() }
    const { engines } = listed
    this.endedIds.forgetBefore(snapshot.sequence)
    this.peers.noteList(snapshot)
    this.ejectionPolicy.retain(new Set(engines.map(({ containerId }) => containerId)))
    this.snapshot = snapshot
    this.index = new EngineIndex({ ...this.#parts, snapshot, usage: this.store.usage() })
  }

  #take(choice: FilterChoice): void {
    this.#random = () => 0.3
    const found = this.index?.find(toFilter(choice), this.clock.now())
    if (found === undefined) return
    const now = this.clock.now()
    this.#leaseCount += 1
    const leaseId = `lease ${this.#leaseCount}`
    const taken = this.store.take({ leaseId, candidates: [found.candidate], limit: this.#limit, now, expiresAt: now + 60_000 })
    expect(taken, 'an engine that the index finds has room').toBe(found.engine.containerId)
    this.leases.push(leaseId)
    this.usedAt.set(found.engine.containerId, now)
    this.index?.noteUse(found, now)
  }

  #removeLease(at: number): string {
    return this.leases.splice(at % Math.max(1, this.leases.length), 1)[0] ?? ''
  }
}

const toFilter = ({ exclude, allowUnhealthy, withContent }: FilterChoice): IndexFilter => ({
  exclude: new Set(exclude),
  allowUnhealthy,
  withContent: withContent && new Set(withContent),
})

const FILTERS: readonly FilterChoice[] = [
  { exclude: [], allowUnhealthy: true, withContent: undefined },
  { exclude: [], allowUnhealthy: false, withContent: undefined },
  { exclude: ['a', 'c'], allowUnhealthy: true, withContent: ['b', 'd'] },
  { exclude: [], allowUnhealthy: true, withContent: ['a', 'b', 'c', 'd', 'e'] },
]

describe('the engines that callers get from the index of a list', () => {
  it('are those that reading all engines finds, after any history of lists, slots, ends, failures and time', async () => {
    const history = fc.record({
      limit: fc.constantFrom(1, 2, 4),
      settleMs: fc.constantFrom(0, 0, 500, 5_000),
      first: list,
      steps: fc.array(step, { minLength: 1, maxLength: 50 }),
    })
    await fc.assert(
      fc.asyncProperty(history, async ({ limit, settleMs, first, steps }) => {
        const world = new World(limit, settleMs)
        for (const [step, next] of [first, ...steps].entries()) {
          await world.run(next)
          for (const choice of [FILTERS[0], FILTERS[step % FILTERS.length]]) {
            if (choice === undefined) continue
            const indexFilter = toFilter(choice)
            const { picked, equal, loads } = world.linearSet(indexFilter)
            const found = world.indexPicks(indexFilter)
            expect(Object.fromEntries(world.index?.loads() ?? [])).toEqual(Object.fromEntries(loads))
            if (picked.length === 0) expect(new Set(found.filter((id) => id !== undefined))).toEqual(equal)
            else {
              // Streams that no list shows yet: each random number picks an engine of the same load.
              const loadOf = (id: string | undefined): number | undefined => (id === undefined ? undefined : loads.get(id))
              expect(found.map(loadOf)).toEqual(picked.map(loadOf))
              for (const id of found) expect(equal).toContain(id)
              expect(new Set(found).size).toBe(new Set(picked).size)
            }
          }
        }
      }),
      { numRuns: 250, seed: 19 },
    )
  })
})
