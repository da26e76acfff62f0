import type { Candidate, CandidateComparator, Engine } from '../../model/engine.ts'
import type { Random } from '../../runtime/random.ts'

/**
 * The built-in order: healthy or unknown first, then fewest streams, then the VPN node with fewest streams, then engines with a
 * forwarded port, then the longest unused.
 */
export const compareCandidates: CandidateComparator = (a, b) =>
  Number(a.engine.healthStatus === 'unhealthy') - Number(b.engine.healthStatus === 'unhealthy') ||
  a.load - b.load ||
  a.vpnLoad - b.vpnLoad ||
  Number(b.engine.forwarded) - Number(a.engine.forwarded) ||
  a.lastUsedAt - b.lastUsedAt

/**
 * The best candidate, in one pass. Among equals each is as likely as any other, so that a fleet of proxies reading the same list does
 * not march in step onto one engine.
 */
export function pickBest(candidates: Iterable<Candidate>, compare: CandidateComparator, random: Random): Candidate | undefined {
  let best: Candidate | undefined
  let equals = 0
  for (const candidate of candidates) {
    const order = best === undefined ? -1 : compare(candidate, best)
    if (order < 0) {
      best = candidate
      equals = 1
    } else if (order === 0) {
      // Reservoir sampling: the n-th of n equals is taken with probability 1/n.
      equals += 1
      if (random() * equals < 1) best = candidate
    }
  }
  return best
}

/** The best, then the others in their order, which only a store that other processes use as well may have to know. */
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
