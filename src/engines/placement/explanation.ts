import type { Candidate, Engine } from '../../model/engine.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { Choice } from './linear-ranking.ts'
import { MIN_UNSEEN_COUNT } from './peer-spread.ts'
import { isUnhealthy } from './ranking.ts'
import type { SlotTaker } from './slot-taker.ts'
import type { EngineFilter } from './slot-terms.ts'

/** Why a caller cannot use an engine now. `unsettled`: it was handed out a moment ago, and another engine has room. */
export type Hindrance = 'excluded' | 'draining' | 'full' | 'unhealthy' | 'ejected' | 'unsettled'

/** An engine of a list, with its place in the choice for one caller. */
export interface ExplainedEngine {
  readonly engine: Engine
  /** Slots that are taken. */
  readonly load: number
  /** Its place: 1 is the best. Engines with the same place are equally likely. `undefined`: the caller cannot use it. */
  readonly rank: number | undefined
  /** Why the caller cannot use it. `undefined`: it can. */
  readonly hindrance: Hindrance | undefined
  /** What the ranking compares. `undefined`: the caller cannot use the engine. */
  readonly candidate: Candidate | undefined
}

/** The choice for one caller, explained. */
export interface Explanation {
  /** All engines of the list: those that the caller can use by rank, then the others in the order of the list. */
  readonly engines: readonly ExplainedEngine[]
  /**
   * Whether chance decides among the least loaded engines, and not the rank: other proxies start many streams now, and would all choose the same
   * engine.
   */
  readonly isSpread: boolean
}

/** Explains which engine a caller of `acquireEngine()` would get from this list, and why it gets no other. Takes no slot. */
export async function explainChoice(taker: SlotTaker, snapshot: EngineSnapshot, filter: EngineFilter): Promise<Explanation> {
  const choice = await taker.choose(snapshot, filter)
  const places = placesOf(choice)
  const ranked = judged(choice, taker, snapshot, filter).map((each) => ({ ...each, rank: places.get(each.engine.containerId) }))
  const placeOf = ({ rank = Number.POSITIVE_INFINITY }: ExplainedEngine): number => rank
  const isSpread = choice.unseenCount >= MIN_UNSEEN_COUNT && choice.preferred.some((candidate) => !isUnhealthy(candidate))
  // Equal infinite places differ by NaN, which keeps the order of the list.
  return { engines: ranked.sort((a, b) => placeOf(a) - placeOf(b) || 0), isSpread }
}

/** The same without ranks: calls no `rankEngines` of the host. In the order of the list. */
export async function judgeEngines(
  taker: SlotTaker,
  snapshot: EngineSnapshot,
  filter: EngineFilter,
): Promise<readonly Omit<ExplainedEngine, 'rank'>[]> {
  return judged(await taker.choose(snapshot, filter), taker, snapshot, filter)
}

function judged(choice: Choice, taker: SlotTaker, snapshot: EngineSnapshot, filter: EngineFilter): Omit<ExplainedEngine, 'rank'>[] {
  const accepts = taker.acceptsIn(snapshot, filter)
  const candidates = new Map(choice.candidates.map((candidate) => [candidate.engine.containerId, candidate]))
  return snapshot.engines.map((engine) => {
    const candidate = candidates.get(engine.containerId)
    const load = choice.loads.get(engine.containerId) ?? 0
    const hindrance = candidate === undefined ? hindranceOf(engine, load, choice.limit, filter, accepts(engine.containerId)) : undefined
    return { engine, load, hindrance, candidate }
  })
}

/** The place of each candidate: equal candidates share one. */
function placesOf({ candidates, compare }: Choice): ReadonlyMap<string, number> {
  const places = new Map<string, number>()
  let previous: Candidate | undefined
  let place = 0
  for (const [index, candidate] of [...candidates].sort(compare).entries()) {
    if (previous === undefined || compare(previous, candidate) !== 0) place = index + 1
    places.set(candidate.engine.containerId, place)
    previous = candidate
  }
  return places
}

function hindranceOf(
  { containerId, draining, healthStatus }: Engine,
  load: number,
  limit: number,
  { exclude, allowUnhealthy }: EngineFilter,
  isAccepted: boolean,
): Hindrance {
  if (exclude.has(containerId)) return 'excluded'
  if (draining) return 'draining'
  if (load >= limit) return 'full'
  if (healthStatus === 'unhealthy' && !allowUnhealthy) return 'unhealthy'
  return isAccepted ? 'unsettled' : 'ejected'
}
