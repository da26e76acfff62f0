import type { EngineUsage, SlotCandidate } from './store.ts'

/**
 * The load of an engine: how many of its slots are taken.
 *
 * It is the number of distinct stream ids among the streams that the list reports there and the streams that hold a slot there, plus the
 * number of leases there. Ids are compared, not counts: a stream that is both listed and held counts once, so neither a list that lags
 * behind nor one that is ahead opens a gap. The caller leaves ids that are over out of `reportedStreamIds`.
 *
 * The operation `takeSlot` in `redis/slot-operations.ts` is the twin of this function in Lua. Change both together:
 * `test/state/redis/load-in-lua.deep.test.ts` compares them.
 *
 * @param usage leases and streams by engine, as `usage()` of the store answers them
 */
export function loadOf({ containerId, reportedStreamIds }: SlotCandidate, usage: ReadonlyMap<string, EngineUsage>): number {
  const { leaseCount = 0, streamIds = new Set() } = usage.get(containerId) ?? {}
  // A list may name a stream twice.
  const onlyReported = [...new Set(reportedStreamIds)].filter((streamId) => !streamIds.has(streamId))
  return leaseCount + streamIds.size + onlyReported.length
}
