import { BoundedIdSet } from './bounded-id-set.ts'
import { loadWith } from './load.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore, UsageListener } from './store.ts'

interface Usage {
  leaseCount: number
  streamIds: Set<string>
}

/** The streams of an engine that has only leases. It is shared, and stays empty. */
const NO_STREAMS = new Set<string>()

/**
 * The default store: in memory, for one proxy. Nothing survives the process: streams that were running when it died stay in the
 * orchestrator's list until another program ends them. Every method is synchronous, so each is one step.
 *
 * @example
 * import { MemoryStore, OrchestratorClient } from 'acestream-orchestrator-client'
 *
 * const store = new MemoryStore() // as if the option were absent
 * const client = new OrchestratorClient({ baseUrl, apiKey, store })
 */
export class MemoryStore implements StateStore {
  readonly #usages = new Map<string, Usage>()
  readonly #leases = new Map<string, LeaseRecord>()
  readonly #engineOfStream = new Map<string, string>()
  readonly #ended = new BoundedIdSet()
  /** Replaced with each change, so that a listener may be added or removed during a call. */
  #usageListeners: readonly UsageListener[] = []

  take(request: SlotRequest): string | undefined {
    const { leaseId, candidates, limit, expiresAt } = request
    for (const candidate of candidates) {
      const { containerId, reportedStreamIds } = candidate
      const known = this.#usages.get(containerId)
      if (loadWith(reportedStreamIds, known) >= limit) continue
      this.#leases.set(leaseId, { leaseId, containerId, expiresAt })
      const usage = known ?? this.#addUsage(containerId)
      usage.leaseCount += 1
      this.#usageChanged(containerId, usage)
      return containerId
    }
    return undefined
  }

  promote(leaseId: string, streamId: string): boolean {
    const containerId = this.releaseLease(leaseId)
    if (containerId === undefined) return false
    this.occupy(containerId, streamId)
    return true
  }

  occupy(containerId: string, streamId: string): void {
    this.releaseStream(streamId)
    this.#engineOfStream.set(streamId, containerId)
    const usage = this.#usages.get(containerId) ?? this.#addUsage(containerId)
    if (usage.streamIds === NO_STREAMS) usage.streamIds = new Set()
    usage.streamIds.add(streamId)
    this.#usageChanged(containerId, usage)
  }

  releaseLease(leaseId: string): string | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    this.#leases.delete(leaseId)
    const usage = this.#usages.get(lease.containerId)
    if (usage !== undefined) usage.leaseCount -= 1
    this.#released(lease.containerId, usage)
    return lease.containerId
  }

  releaseStream(streamId: string): string | undefined {
    const containerId = this.#engineOfStream.get(streamId)
    if (containerId === undefined) return undefined
    this.#engineOfStream.delete(streamId)
    const usage = this.#usages.get(containerId)
    usage?.streamIds.delete(streamId)
    this.#released(containerId, usage)
    return containerId
  }

  expire(now: number): readonly LeaseRecord[] {
    const expired = [...this.#leases.values()].filter((lease) => lease.expiresAt <= now)
    for (const lease of expired) this.releaseLease(lease.leaseId)
    return expired
  }

  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#usages
  }

  onUsageChanged(listener: UsageListener): () => void {
    // Of its own: a listener that is added twice must be removed twice.
    const added: UsageListener = (containerId, usage) => listener(containerId, usage)
    this.#usageListeners = [...this.#usageListeners, added]
    return () => {
      this.#usageListeners = this.#usageListeners.filter((other) => other !== added)
    }
  }

  claimEnd(streamId: string, retention: Retention, life?: string): boolean {
    return this.#ended.claim(streamId, retention, life)
  }

  unclaimEnd(streamId: string): void {
    this.#ended.unclaim(streamId)
  }

  endedAmong(streamIds: readonly string[], retention: Retention): ReadonlyMap<string, string> {
    return this.#ended.livesAmong(streamIds, retention)
  }

  forgetEnded(retention: Retention): number {
    return this.#ended.forget(retention)
  }

  /** Does nothing: a later process needs the entry, and memory does not survive this process. */
  append(): void {}

  /** Does nothing, see {@link append}. */
  settle(): void {}

  /** Returns nothing, see {@link append}. */
  recover(): readonly JournalEntry[] {
    return []
  }

  #addUsage(containerId: string): Usage {
    const usage = { leaseCount: 0, streamIds: NO_STREAMS }
    this.#usages.set(containerId, usage)
    return usage
  }

  #released(containerId: string, usage: Usage | undefined): void {
    // Each restart brings new engine ids. An engine without slots must not use memory.
    const isIdle = usage?.leaseCount === 0 && usage.streamIds.size === 0
    if (isIdle) this.#usages.delete(containerId)
    this.#usageChanged(containerId, isIdle ? undefined : usage)
  }

  #usageChanged(containerId: string, usage: Usage | undefined): void {
    for (const listener of this.#usageListeners) listener(containerId, usage)
  }
}
