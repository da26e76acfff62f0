import type { Candidate, CandidateComparator, Engine } from '../../model/engine.ts'
import type { Random } from '../../runtime/random.ts'

/** The facts that decide whether a listed engine is a candidate, and that the ranking compares. */
export interface CandidateFacts {
  /** The load of each listed engine, by its id. */
  loads: ReadonlyMap<string, number>
  /** Number of slots of each engine, free or taken. */
  limit: number
  /** When this client last took a slot on an engine, milliseconds since the epoch. The time that the orchestrator lists is older. */
  usedAt: ReadonlyMap<string, number>
  /** Whether this caller can use the engine, apart from its load. */
  isAcceptable: (engine: Engine) => boolean
}

/** The listed engines that have room and that the caller can use, with the facts that the ranking compares. */
export function candidatesAmong(engines: readonly Engine[], { loads, limit, usedAt, isAcceptable }: CandidateFacts): Candidate[] {
  const vpnLoads = new Map<string, number>()
  for (const { containerId, vpnContainer } of engines) {
    if (vpnContainer !== undefined) vpnLoads.set(vpnContainer, (vpnLoads.get(vpnContainer) ?? 0) + (loads.get(containerId) ?? 0))
  }
  return engines.flatMap((engine) => {
    const load = loads.get(engine.containerId) ?? 0
    if (load >= limit || !isAcceptable(engine)) return []
    const vpnLoad = engine.vpnContainer === undefined ? 0 : (vpnLoads.get(engine.vpnContainer) ?? 0)
    const lastUsedAt = Math.max(engine.lastStreamUsage?.getTime() ?? 0, usedAt.get(engine.containerId) ?? 0)
    return [{ engine, load, vpnLoad, lastUsedAt, hasContent: false }]
  })
}

/** Whether the orchestrator's own check failed on the engine. */
export const isUnhealthy = ({ engine }: Pick<Candidate, 'engine'>): boolean => engine.healthStatus === 'unhealthy'

const compareHealth: CandidateComparator = (a, b) => Number(isUnhealthy(a)) - Number(isUnhealthy(b))
const compareUse: CandidateComparator = (a, b) =>
  a.load - b.load || a.vpnLoad - b.vpnLoad || Number(b.engine.forwarded) - Number(a.engine.forwarded) || a.lastUsedAt - b.lastUsedAt

/**
 * The built-in ranking: healthy or unknown first (H16), then fewest streams, then the VPN node with fewest streams, then engines with a
 * forwarded port, then the engine that was unused for the longest time.
 */
export const compareCandidates: CandidateComparator = (a, b) => compareHealth(a, b) || compareUse(a, b)

/** The built-in ranking for a caller that named its content: after the health, engines without this content come first. */
export const compareForContent: CandidateComparator = (a, b) =>
  compareHealth(a, b) || Number(a.hasContent) - Number(b.hasContent) || compareUse(a, b)

/** The candidates without the caller's content, if a healthy one is among them; otherwise all. */
export function preferWithoutContent(candidates: readonly Candidate[]): readonly Candidate[] {
  const without = candidates.filter(({ hasContent }) => !hasContent)
  return without.every(isUnhealthy) ? candidates : without
}

/**
 * The best candidate, in one pass; `undefined` if there is none. Equal candidates are equally likely, so that proxies that read the same
 * list do not all choose the same engine.
 */
export function pickBest(candidates: Iterable<Candidate>, compare: CandidateComparator, random: Random): Candidate | undefined {
  let best: Candidate | undefined
  let equalCount = 0
  for (const candidate of candidates) {
    const order = best === undefined ? -1 : compare(candidate, best)
    if (order < 0) {
      best = candidate
      equalCount = 1
    } else if (order === 0) {
      // Reservoir sampling: the n-th of n equal candidates is chosen with probability 1/n.
      equalCount += 1
      if (random() * equalCount < 1) best = candidate
    }
  }
  return best
}

/** The best engine, then the others by rank. They are sorted only if the store asks for a second one: another process may fill the first. */
export function* bestFirst(
  best: Candidate,
  candidates: readonly Candidate[],
  compare: CandidateComparator,
  random: Random,
): Generator<Engine> {
  yield best.engine
  const others = candidates.filter((candidate) => candidate !== best).map((candidate) => ({ candidate, mark: random() }))
  others.sort((a, b) => compare(a.candidate, b.candidate) || a.mark - b.mark)
  for (const { candidate } of others) yield candidate.engine
}
