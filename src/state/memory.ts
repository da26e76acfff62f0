import { BoundedIdSet } from './bounded-id-set.ts'
import { loadOf } from './load.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore } from './store.ts'

interface Usage {
  leaseCount: number
  streamIds: Set<string>
}

/**
 * The default store: in memory, for one proxy. Nothing survives the process: streams that were running when it died stay in the
 * orchestrator's list until another program ends them. Every method is synchronous, so each is one step.
 */
export class MemoryStore implements StateStore {
  readonly #usages = new Map<string, Usage>()
  readonly #leases = new Map<string, LeaseRecord>()
  readonly #engineOfStream = new Map<string, string>()
  readonly #ended = new BoundedIdSet()

  take({ leaseId, candidates, limit, expiresAt }: SlotRequest): string | undefined {
    for (const candidate of candidates) {
      if (loadOf(candidate, this.#usages) >= limit) continue
      const { containerId } = candidate
      this.#leases.set(leaseId, { leaseId, containerId, expiresAt })
      this.#usageOf(containerId).leaseCount += 1
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
    this.#usageOf(containerId).streamIds.add(streamId)
  }

  releaseLease(leaseId: string): string | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    this.#leases.delete(leaseId)
    this.#usageOf(lease.containerId).leaseCount -= 1
    this.#dropIfIdle(lease.containerId)
    return lease.containerId
  }

  releaseStream(streamId: string): string | undefined {
    const containerId = this.#engineOfStream.get(streamId)
    if (containerId === undefined) return undefined
    this.#engineOfStream.delete(streamId)
    this.#usageOf(containerId).streamIds.delete(streamId)
    this.#dropIfIdle(containerId)
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

  #usageOf(containerId: string): Usage {
    let usage = this.#usages.get(containerId)
    if (usage === undefined) {
      usage = { leaseCount: 0, streamIds: new Set() }
      this.#usages.set(containerId, usage)
    }
    return usage
  }

  /** Each restart brings new engine ids. An engine without slots must not use memory. */
  #dropIfIdle(containerId: string): void {
    const usage = this.#usages.get(containerId)
    if (usage?.leaseCount === 0 && usage.streamIds.size === 0) this.#usages.delete(containerId)
  }
}
