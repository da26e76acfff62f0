import type { Candidate } from '../../model/engine.ts'
import type { Random } from '../../runtime/random.ts'
import type { EngineUsage } from '../../state/store.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'

/** From the choice of an engine until the orchestrator lists the stream, as engines and proxies are: what happens in between nobody sees. */
const UNSEEN_MS = 1_000
/** Fewer streams than this of others that may have come unseen are no herd, and no reason to leave the order. */
const SMALLEST_HERD = 2

/**
 * Other proxies on the same engines, known only by the streams that appear from list to list. They read the same lists and choose by the
 * same order, so by now they have filled the emptiest engines: who followed that order too would be one more of the herd.
 */
export class PeerSpread {
  #known: ReadonlySet<string> | undefined
  #appeared: readonly { readonly containerId: string; readonly streamId: string }[] = []
  #spanMs = 0
  #receivedAt = 0

  /** A newer list has arrived. */
  note({ engines, receivedAt }: EngineSnapshot): void {
    const known = this.#known
    const listed = engines.flatMap(({ containerId, streamIds }) => streamIds.map((streamId) => ({ containerId, streamId })))
    this.#appeared = known === undefined ? [] : listed.filter(({ streamId }) => !known.has(streamId))
    this.#spanMs = receivedAt - this.#receivedAt
    this.#known = new Set(listed.map(({ streamId }) => streamId))
    this.#receivedAt = receivedAt
  }

  /** How many streams of others are likely to have started unseen by now, at the rate of late. */
  unseenCount(now: number, usage: ReadonlyMap<string, EngineUsage>, isOver: (streamId: string) => boolean): number {
    if (this.#appeared.length === 0 || this.#spanMs <= 0) return 0
    const isOurs = (containerId: string, id: string): boolean => usage.get(containerId)?.streamIds.has(id) === true || isOver(id)
    const theirs = this.#appeared.filter(({ containerId, streamId }) => !isOurs(containerId, streamId))
    return (theirs.length * (now - this.#receivedAt + UNSEEN_MS)) / this.#spanMs
  }
}

/**
 * One of the engines that so many unseen streams have filled by now, each as likely as it is short of the level that they have reached;
 * `undefined` where they are too few to matter.
 */
export function pickByWaterLevel(candidates: readonly Candidate[], unseenCount: number, random: Random): Candidate | undefined {
  if (unseenCount < SMALLEST_HERD) return undefined
  const fit = candidates.filter(({ engine }) => engine.healthStatus !== 'unhealthy').sort((a, b) => a.load - b.load)
  let level = fit[0]?.load ?? 0
  let left = unseenCount
  let width = 0
  for (const { load } of fit) {
    const cost = (load - level) * width
    if (cost >= left) break
    left -= cost
    level = load
    width += 1
  }
  if (width === 0) return undefined
  level += left / width
  let mark = random() * unseenCount
  for (const candidate of fit) {
    mark -= level - candidate.load
    if (mark < 0) return candidate
  }
  return fit[0]
}
