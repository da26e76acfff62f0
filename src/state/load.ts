import type { EngineUsage, SlotCandidate } from './store.ts'

/**
 * Computes the load of an engine: how many of its slots are taken.
 *
 * It is the number of distinct stream ids among the streams that the list reports there and the streams that hold a slot there, plus the
 * number of leases there. Ids are compared, not counts: a stream that is both listed and held counts once. So the load is right whether the
 * list shows a stream too early or too late. The caller leaves ids that are over out of `reportedStreamIds`.
 *
 * The operation `takeSlot` in `src/state/redis/slot-operations.ts` does the same in Lua. Change both together:
 * `test/state/redis/load-in-lua.deep.test.ts` compares them.
 *
 * @param usage leases and streams by engine, as the store's `usage()` returns them
 */
export function loadOf({ containerId, reportedStreamIds }: SlotCandidate, usage: ReadonlyMap<string, EngineUsage>): number {
  return loadWith(reportedStreamIds, usage.get(containerId))
}

/**
 * Computes the load of one engine, see {@link loadOf}.
 *
 * @param usage leases and streams of the engine. `undefined`: it has none
 */
export function loadWith(reportedStreamIds: SlotCandidate['reportedStreamIds'], usage: EngineUsage | undefined): number {
  const held = usage === undefined ? 0 : usage.leaseCount + usage.streamIds.size
  let onlyReportedCount = 0
  // A list may name a stream twice.
  for (const streamId of reportedStreamIds.length < 2 ? reportedStreamIds : new Set(reportedStreamIds)) {
    if (usage?.streamIds.has(streamId) !== true) onlyReportedCount += 1
  }
  return held + onlyReportedCount
}
