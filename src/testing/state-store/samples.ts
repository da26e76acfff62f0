import type { JournalEntry, LeaseRecord, Retention, SlotCandidate, SlotRequest, StateStore } from '../../state/store.ts'

/** When all rules begin: a store goes by the time it is handed, whatever its own clock says. */
export const BEGIN: number = Date.UTC(2026, 0, 1)
/** How long a lease lasts. */
export const LEASE_MS = 30_000
/** How long ended ids are remembered. */
export const RETENTION_MS = 3_600_000
/** How many ask at once where a rule is about asking at once. */
export const CROWD = 200

const candidate = (containerId: string, reportedStreamIds: readonly string[] = []): SlotCandidate => ({ containerId, reportedStreamIds })

/** A request for a slot on one of these engines, best first; by default on `a` alone, of one slot. */
export function slot(leaseId: string, request: Partial<SlotRequest> & { on?: string; reported?: readonly string[] } = {}): SlotRequest {
  const { on = 'a', reported, ...rest } = request
  return { leaseId, candidates: [candidate(on, reported)], limit: 1, now: BEGIN, expiresAt: BEGIN + LEASE_MS, ...rest }
}

/** Engines without reported streams. */
export const engines = (...containerIds: readonly string[]): SlotCandidate[] => containerIds.map((containerId) => candidate(containerId))

/** How long and how many ended ids are remembered, `afterMs` after the beginning. */
export const retention = (afterMs = 0, max = 1_000): Retention => ({ now: BEGIN + afterMs, retentionMs: RETENTION_MS, max })

/** An entry of the journal, of a stream on `a`. */
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

/** Does all of this at once; answers what came of it in order. */
export async function together<T>(count: number, act: (index: number) => T | Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, async (_, index) => act(index)))
}

/** The values that are there. */
export const present = <T>(values: readonly (T | undefined)[]): T[] => values.filter((value) => value !== undefined)

/** Leases in an order that does not depend on the store. */
export const byId = (leases: readonly LeaseRecord[]): LeaseRecord[] =>
  leases.toSorted((one, other) => (one.leaseId < other.leaseId ? -1 : 1))

/** What is taken on one engine, as far as the store knows without asking. */
export async function usageOf(store: StateStore, containerId: string): Promise<{ leaseCount: number; streamIds: ReadonlySet<string> }> {
  const { leaseCount = 0, streamIds = new Set<string>() } = (await store.usage()).get(containerId) ?? {}
  return { leaseCount, streamIds }
}
