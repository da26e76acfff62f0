import type { Candidate } from '../../model/engine.ts'
import type { Random } from '../../runtime/random.ts'
import type { EngineUsage } from '../../state/store.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import { isUnhealthy } from './ranking.ts'

/** Milliseconds from the choice of an engine until the list shows the stream. Other proxies do not see streams that started within this time. */
const UNSEEN_MS = 1_000
/** With fewer unseen streams than this, the ranking decides. */
const MIN_UNSEEN_COUNT = 2

/**
 * Estimates how many streams other proxies have started that no list shows yet. Other proxies are known only by the streams that appear
 * from one list to the next. They read the same lists and use the same ranking, so by now they have filled the emptiest engines. If this
 * client ranked in the same way, it would choose the same engine as all other proxies.
 */
export class PeerSpread {
  #listedIds: ReadonlySet<string> | undefined
  /** Streams of the last list that the list before it did not show. */
  #appeared: readonly { readonly containerId: string; readonly streamId: string }[] = []
  /** Milliseconds between these two lists. */
  #spanMs = 0
  #receivedAt = 0

  /** Takes a newer list into account. */
  noteList({ engines, receivedAt }: EngineSnapshot): void {
    const listedBefore = this.#listedIds
    const listed = engines.flatMap(({ containerId, streamIds }) => streamIds.map((streamId) => ({ containerId, streamId })))
    this.#appeared = listedBefore === undefined ? [] : listed.filter(({ streamId }) => !listedBefore.has(streamId))
    this.#spanMs = receivedAt - this.#receivedAt
    this.#listedIds = new Set(listed.map(({ streamId }) => streamId))
    this.#receivedAt = receivedAt
  }

  /**
   * How many streams other proxies have probably started since the last list, at the rate of the last two lists.
   *
   * @param usage the streams of this client, by engine: they are not counted
   * @param isOver whether a listed stream was ended by this client: it is not counted either
   */
  unseenCount(now: number, usage: ReadonlyMap<string, EngineUsage>, isOver: (streamId: string) => boolean): number {
    if (this.#appeared.length === 0 || this.#spanMs <= 0) return 0
    const isOurs = (containerId: string, id: string): boolean => usage.get(containerId)?.streamIds.has(id) === true || isOver(id)
    const theirs = this.#appeared.filter(({ containerId, streamId }) => !isOurs(containerId, streamId))
    return (theirs.length * (now - this.#receivedAt + UNSEEN_MS)) / this.#spanMs
  }
}

/**
 * Picks among the engines that the unseen streams have filled, as water fills a vessel from the lowest point. The
 * probability of an engine is proportional to the unseen streams that it has at that level. Unhealthy engines are not picked. Returns
 * `undefined` if there are too few unseen streams to matter: then the ranking decides.
 */
export function pickByWaterLevel(candidates: readonly Candidate[], unseenCount: number, random: Random): Candidate | undefined {
  if (unseenCount < MIN_UNSEEN_COUNT) return undefined
  const usable = candidates.filter((candidate) => !isUnhealthy(candidate)).sort((a, b) => a.load - b.load)
  let level = usable[0]?.load ?? 0
  let remaining = unseenCount
  let filledCount = 0
  for (const { load } of usable) {
    const cost = (load - level) * filledCount
    if (cost >= remaining) break
    remaining -= cost
    level = load
    filledCount += 1
  }
  if (filledCount === 0) return undefined
  level += remaining / filledCount
  let mark = random() * unseenCount
  for (const candidate of usable) {
    mark -= level - candidate.load
    if (mark < 0) return candidate
  }
  return usable[0]
}
