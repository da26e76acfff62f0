import type { Candidate, CandidateComparator, Engine } from '../../model/engine.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Random } from '../../runtime/random.ts'
import { loadOf } from '../../state/load.ts'
import type { EngineUsage, SlotCandidate } from '../../state/store.ts'
import type { EndedIds, EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'
import type { IndexFilter } from './engine-index.ts'
import { type PeerSpread, pickByWaterLevel } from './peer-spread.ts'
import { bestFirst, candidatesAmong, compareCandidates, compareForContent, isUnhealthy, pickBest, preferWithoutContent } from './ranking.ts'
import { unnamedStreams } from './unnamed-streams.ts'

/** Dependencies and options of {@link LinearRanking}. */
export interface LinearRankingParts {
  endedIds: Pick<EndedIds, 'isOver'>
  ejectionPolicy: EjectionPolicy
  peers: PeerSpread
  /** When this client last took a slot on each engine. */
  usedAt: ReadonlyMap<string, number>
  clock: Clock
  random: Random
  maxStreamsPerEngine: number
  settleMs: number
  rankEngines: CandidateComparator | undefined
}

/** The engines that one caller can use, with what decides among them. */
export interface Choice {
  readonly candidates: readonly Candidate[]
  /** Those without the caller's content, if a healthy one is among them; otherwise all. */
  readonly preferred: readonly Candidate[]
  readonly compare: CandidateComparator
  /** Number of slots of each engine, free or taken. */
  readonly limit: number
  /** Streams of other proxies that no list shows yet. */
  readonly unseenCount: number
  /** The load of each engine of the list, by its id. */
  readonly loads: ReadonlyMap<string, number>
}

/** The engines that one caller can use, ranked. */
export interface Ranked {
  /** The best engine; `undefined`: there is none. */
  readonly best: Candidate | undefined
  /** All engines, best first. They are sorted only if a second one is read. */
  readonly engines: Iterable<Engine>
  /** The load of each engine of the list, by its id. */
  readonly loads: ReadonlyMap<string, number>
}

/**
 * Ranks the engines of a list for one caller, and reads all of them for that. It is used with a host's `rankEngines`, with a store that does
 * not report changes of its slots, and to find a second engine after another process has filled the best.
 */
export class LinearRanking {
  readonly #parts: LinearRankingParts

  constructor(parts: LinearRankingParts) {
    this.#parts = parts
  }

  /** Ranks the engines of a list for one caller. */
  rank(snapshot: EngineSnapshot, usage: ReadonlyMap<string, EngineUsage>, filter: IndexFilter): Ranked {
    const { random } = this.#parts
    const { candidates, preferred, compare, unseenCount, loads } = this.choose(snapshot, usage, filter)
    const best = pickByWaterLevel(preferred, unseenCount, random) ?? pickBest(candidates, compare, random)
    return { best, engines: best === undefined ? [] : bestFirst(best, candidates, compare, random), loads }
  }

  /** Finds the engines that one caller can use. */
  choose(snapshot: EngineSnapshot, usage: ReadonlyMap<string, EngineUsage>, filter: IndexFilter): Choice {
    const { endedIds, peers, clock, maxStreamsPerEngine: limit, usedAt, rankEngines } = this.#parts
    const { engines } = snapshot
    const { withContent } = filter
    const isAcceptable = this.acceptable(engines, filter)
    const toSlot = this.toSlotCandidate(snapshot)
    const loads = new Map(engines.map((engine) => [engine.containerId, loadOf(toSlot(engine), usage)]))
    const settled = this.#preferSettled(candidatesAmong(engines, { loads, limit, usedAt, isAcceptable }))
    const candidates = withContent === undefined ? settled : settled.map((candidate) => withContentOf(candidate, withContent))
    const isOver = (id: string): boolean => endedIds.isOver(id, snapshot.sequence)
    // A host's own ranking is used without regard to other proxies.
    const unseenCount = rankEngines === undefined ? peers.unseenCount(clock.now(), usage, isOver) : 0
    const compare = rankEngines ?? (withContent === undefined ? compareCandidates : compareForContent)
    const preferred = withContent === undefined ? candidates : preferWithoutContent(candidates)
    return { candidates, preferred, compare, limit, unseenCount, loads }
  }

  /** Tests whether one caller can use an engine, apart from its load. */
  acceptable(engines: readonly Engine[], { exclude, allowUnhealthy }: IndexFilter): (engine: Engine) => boolean {
    const ejected = this.#parts.ejectionPolicy.ejectedAmong(engines.map(({ containerId }) => containerId))
    return ({ containerId, draining, healthStatus }) =>
      !(draining || exclude.has(containerId) || ejected.has(containerId) || (healthStatus === 'unhealthy' && !allowUnhealthy))
  }

  /**
   * Makes the engines of a list ready for the store, with the streams that the list reports there. Streams that are over are left out. A
   * stream whose entry could not be read is counted.
   */
  toSlotCandidate(snapshot: EngineSnapshot): (engine: Engine) => SlotCandidate {
    const { endedIds } = this.#parts
    const unnamed = unnamedStreams(snapshot)
    return ({ containerId, streamIds }) => {
      const reportedStreamIds = streamIds.filter((streamId) => !endedIds.isOver(streamId, snapshot.sequence))
      return { containerId, reportedStreamIds: reportedStreamIds.concat(unnamed.get(containerId) ?? []) }
    }
  }

  /** Leaves out engines on which a slot was taken within the last `settleMs`, unless no engine or only unhealthy ones would remain. */
  #preferSettled(candidates: readonly Candidate[]): readonly Candidate[] {
    const { clock, settleMs, usedAt } = this.#parts
    if (settleMs === 0) return candidates
    const settledBefore = clock.now() - settleMs
    const settled = candidates.filter(({ engine }) => (usedAt.get(engine.containerId) ?? Number.NEGATIVE_INFINITY) <= settledBefore)
    const isEnough = settled.some((candidate) => !isUnhealthy(candidate)) || (settled.length > 0 && candidates.every(isUnhealthy))
    return isEnough ? settled : candidates
  }
}

function withContentOf(candidate: Candidate, engines: ReadonlySet<string>): Candidate {
  return engines.has(candidate.engine.containerId) ? { ...candidate, hasContent: true } : candidate
}
