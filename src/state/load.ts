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
  const { leaseCount = 0, streamIds = new Set() } = usage.get(containerId) ?? {}
  // A list may name a stream twice.
  const onlyReported = [...new Set(reportedStreamIds)].filter((streamId) => !streamIds.has(streamId))
  return leaseCount + streamIds.size + onlyReported.length
}
