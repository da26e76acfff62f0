import type { JournalEntry, LeaseRecord, Retention, SlotCandidate, SlotRequest, StateStore } from '../../state/store.ts'

/** The time at which every rule begins. A store uses the time of each request, never a clock of its own. */
export const BEGIN: number = Date.UTC(2026, 0, 1)
/** Duration of a lease. */
export const LEASE_MS = 30_000
/** How long ended ids are remembered. */
export const RETENTION_MS = 3_600_000
/** Number of concurrent calls in the rules about concurrency. */
export const CALLS = 200

const candidate = (containerId: string, reportedStreamIds: readonly string[] = []): SlotCandidate => ({ containerId, reportedStreamIds })

/** A request for a slot. By default its only candidate is engine `a`, with a limit of one. */
export function slot(leaseId: string, request: Partial<SlotRequest> & { on?: string; reported?: readonly string[] } = {}): SlotRequest {
  const { on = 'a', reported, ...rest } = request
  return { leaseId, candidates: [candidate(on, reported)], limit: 1, now: BEGIN, expiresAt: BEGIN + LEASE_MS, ...rest }
}

/** Engines without reported streams. */
export const engines = (...containerIds: readonly string[]): SlotCandidate[] => containerIds.map((containerId) => candidate(containerId))

/** The retention of ended ids at `BEGIN + afterMs`, with at most `max` of them. */
export const retention = (afterMs = 0, max = 1_000): Retention => ({ now: BEGIN + afterMs, retentionMs: RETENTION_MS, max })

/** A journal entry of a stream on engine `a`. */
export const entry = (streamId: string, fields: Partial<JournalEntry> = {}): JournalEntry => ({
  streamId,
  containerId: 'a',
  proxyId: 'proxy',
  isOver: false,
  ...fields,
})

/** Which of these ids the store remembers as ended. */
export async function endedAmong(store: StateStore, streamIds: readonly string[], within: Retention): Promise<ReadonlySet<string>> {
  return new Set((await store.endedAmong(streamIds, within)).keys())
}

/** Makes `count` concurrent calls and returns their results in order. */
export async function together<T>(count: number, act: (index: number) => T | Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, async (_, index) => act(index)))
}

/** The values that are not `undefined`. */
export const present = <T>(values: readonly (T | undefined)[]): T[] => values.filter((value) => value !== undefined)

/** Leases sorted by id, so that the order of the store does not matter. */
export const byId = (leases: readonly LeaseRecord[]): LeaseRecord[] =>
  leases.toSorted((one, other) => (one.leaseId < other.leaseId ? -1 : 1))

/** The slots taken on one engine, as the store reports them. */
export async function usageOf(store: StateStore, containerId: string): Promise<{ leaseCount: number; streamIds: ReadonlySet<string> }> {
  const { leaseCount = 0, streamIds = new Set<string>() } = (await store.usage()).get(containerId) ?? {}
  return { leaseCount, streamIds }
}
