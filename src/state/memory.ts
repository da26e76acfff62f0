import { BoundedIdSet } from './bounded-id-set.ts'
import { loadOf } from './load.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore } from './store.ts'

interface Usage {
  leaseCount: number
  streamIds: Set<string>
}

/** The default store: in this process, for one proxy. Every method is synchronous, so each is one step. */
export class MemoryStore implements StateStore {
  readonly #usage = new Map<string, Usage>()
  readonly #leases = new Map<string, LeaseRecord>()
  readonly #engineOfStream = new Map<string, string>()
  readonly #ended = new BoundedIdSet()

  take({ leaseId, candidates, limit, expiresAt }: SlotRequest): string | undefined {
    for (const candidate of candidates) {
      if (loadOf(candidate, this.#usage) >= limit) continue
      const { containerId } = candidate
      this.#leases.set(leaseId, { leaseId, containerId, expiresAt })
      this.#on(containerId).leaseCount += 1
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
    this.#on(containerId).streamIds.add(streamId)
  }

  releaseLease(leaseId: string): string | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    this.#leases.delete(leaseId)
    this.#on(lease.containerId).leaseCount -= 1
    this.#dropIfIdle(lease.containerId)
    return lease.containerId
  }

  releaseStream(streamId: string): string | undefined {
    const containerId = this.#engineOfStream.get(streamId)
    if (containerId === undefined) return undefined
    this.#engineOfStream.delete(streamId)
    this.#on(containerId).streamIds.delete(streamId)
    this.#dropIfIdle(containerId)
    return containerId
  }

  expire(now: number): readonly LeaseRecord[] {
    const expired = [...this.#leases.values()].filter((lease) => lease.expiresAt <= now)
    for (const lease of expired) this.releaseLease(lease.leaseId)
    return expired
  }

  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#usage
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

  /** Nothing to write down: what this process knows is gone when it dies, and nobody is left to read it. */
  append(): void {}

  /** The journal is empty, so there is nothing to strike out. */
  settle(): void {}

  recover(): readonly JournalEntry[] {
    return []
  }

  #on(containerId: string): Usage {
    let usage = this.#usage.get(containerId)
    if (usage === undefined) {
      usage = { leaseCount: 0, streamIds: new Set() }
      this.#usage.set(containerId, usage)
    }
    return usage
  }

  /** Engines come and go with every restart; one without slots must leave nothing behind. */
  #dropIfIdle(containerId: string): void {
    const usage = this.#usage.get(containerId)
    if (usage?.leaseCount === 0 && usage.streamIds.size === 0) this.#usage.delete(containerId)
  }
}
