import type { Candidate } from '../../model/engine.ts'
import type { Random } from '../../runtime/random.ts'
import type { EngineUsage } from '../../state/store.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import { isUnhealthy } from './ranking.ts'

/** Milliseconds from the choice of an engine until the list shows the stream. Other proxies do not see streams that started within this time. */
const UNSEEN_MS = 1_000
/** With fewer unseen streams than this, the ranking decides. */
export const MIN_UNSEEN_COUNT = 2

/**
 * Estimates how many streams other proxies have started that no list shows yet. Other proxies are known only by the streams that appear
 * from one list to the next. They read the same lists and use the same ranking, so by now they have filled the emptiest engines. If this
 * client ranked in the same way, it would choose the same engine as all other proxies.
 */
export class PeerSpread {
  #listedIds: ReadonlySet<string> | undefined
  /** Streams of the last list that the list before it did not show, by engine. */
  #appeared: ReadonlyMap<string, readonly string[]> = new Map()
  /** Milliseconds between these two lists. */
  #spanMs = 0
  #receivedAt = 0

  /** Takes a newer list into account. */
  noteList({ engines, receivedAt }: EngineSnapshot): void {
    const listedBefore = this.#listedIds
    const listed = new Set<string>()
    const appeared = new Map<string, readonly string[]>()
    for (const { containerId, streamIds } of engines) {
      for (const streamId of streamIds) listed.add(streamId)
      const newIds = listedBefore === undefined ? [] : streamIds.filter((streamId) => !listedBefore.has(streamId))
      if (newIds.length > 0) appeared.set(containerId, newIds)
    }
    this.#appeared = appeared
    this.#spanMs = receivedAt - this.#receivedAt
    this.#listedIds = listed
    this.#receivedAt = receivedAt
  }

  /** Streams on this engine in the last list that the list before it did not show. */
  appearedOn(containerId: string): readonly string[] | undefined {
    return this.#appeared.get(containerId)
  }

  /**
   * How many streams other proxies have probably started since the last list, at the rate of the last two lists.
   *
   * @param usage the streams of this client, by engine: they are not counted
   * @param isOver whether a listed stream was ended by this client: it is not counted either
   */
  unseenCount(now: number, usage: ReadonlyMap<string, EngineUsage>, isOver: (streamId: string) => boolean): number {
    let theirCount = 0
    for (const [containerId, appearedIds] of this.#appeared) theirCount += countPeerStreams(appearedIds, usage.get(containerId), isOver)
    return this.estimate(theirCount, now)
  }

  /**
   * The same, for a number of streams of other proxies that the caller has counted.
   *
   * @param theirCount streams that other proxies have started, of those that appeared in the last list
   */
  estimate(theirCount: number, now: number): number {
    return theirCount === 0 || this.#spanMs <= 0 ? 0 : (theirCount * (now - this.#receivedAt + UNSEEN_MS)) / this.#spanMs
  }
}

/** How many of the streams that appeared on one engine other proxies have started. */
export function countPeerStreams(
  appearedIds: readonly string[],
  usage: EngineUsage | undefined,
  isOver: (streamId: string) => boolean,
): number {
  let count = 0
  for (const streamId of appearedIds) if (!(usage?.streamIds.has(streamId) === true || isOver(streamId))) count += 1
  return count
}

/**
 * Picks among the engines that the unseen streams have filled, as water fills a vessel from the lowest point. The
 * probability of an engine is proportional to the unseen streams that it has at that level. Unhealthy engines are not picked. Returns
 * `undefined` if there are too few unseen streams to matter: then the ranking decides.
 */
export function pickByWaterLevel(candidates: readonly Candidate[], unseenCount: number, random: Random): Candidate | undefined {
  if (unseenCount < MIN_UNSEEN_COUNT) return undefined
  const groups = new Map<number, Candidate[]>()
  for (const candidate of candidates) {
    if (isUnhealthy(candidate)) continue
    const group = groups.get(candidate.load)
    if (group === undefined) groups.set(candidate.load, [candidate])
    else group.push(candidate)
  }
  return pickFromGroups(groups, unseenCount, random)
}

/** As {@link pickByWaterLevel}, among healthy engines that are grouped by their load. */
export function pickFromGroups<Item>(groups: ReadonlyMap<number, readonly Item[]>, unseenCount: number, random: Random): Item | undefined {
  if (unseenCount < MIN_UNSEEN_COUNT) return undefined
  const loads = [...groups.keys()].sort((a, b) => a - b)
  let level = loads[0] ?? 0
  let remaining = unseenCount
  let filledCount = 0
  for (const load of loads) {
    const cost = (load - level) * filledCount
    if (cost >= remaining) break
    remaining -= cost
    level = load
    filledCount += groups.get(load)?.length ?? 0
  }
  if (filledCount === 0) return undefined
  level += remaining / filledCount
  let mark = random() * unseenCount
  for (const load of loads) {
    const group = groups.get(load) ?? []
    const depth = level - load
    if (mark < depth * group.length) return group[Math.min(Math.floor(mark / depth), group.length - 1)]
    mark -= Math.max(0, depth * group.length)
  }
  return groups.get(loads[0] ?? 0)?.[0]
}
