import { MemoryStore } from '../memory.ts'
import type { LeaseRecord, SlotCandidate, SlotRequest } from '../store.ts'

/** What is held on one engine. */
export interface HeldOn {
  readonly leases: { readonly leaseId: string; readonly leftMs: number; readonly isUnwritten: boolean }[]
  readonly streamIds: string[]
}

/** The slots that this process holds, and where Redis may hold others for it. */
export class SlotsHere {
  readonly #memory = new MemoryStore()
  readonly #leases = new Map<string, LeaseRecord>()
  readonly #engineOfStream = new Map<string, string>()
  /** Leases taken while Redis was away. */
  readonly #unwritten = new Set<string>()
  /** Fields of commands under way, and how many. */
  readonly #busy = new Map<string, number>()
  /** Engines on which something changed since the last renewal, and since the one before. */
  #touched = new Set<string>()
  #touchedBefore = new Set<string>()

  get memory(): MemoryStore {
    return this.#memory
  }

  get busy(): readonly string[] {
    return [...this.#busy.keys()]
  }

  /** Writes down what Redis gave, or what was taken without it. */
  hold({ leaseId, expiresAt }: SlotRequest, containerId: string, { isUnwritten }: { isUnwritten: boolean }): void {
    this.#memory.releaseLease(leaseId)
    this.#memory.take({ leaseId, candidates: [{ containerId, reportedStreamIds: [] }], limit: Number.POSITIVE_INFINITY, now: 0, expiresAt })
    this.#leases.set(leaseId, { leaseId, containerId, expiresAt })
    if (isUnwritten) this.#unwritten.add(leaseId)
    this.touch(containerId)
  }

  /** Takes without Redis, by what is held here and listed. */
  takeAlone(request: SlotRequest, candidates: readonly SlotCandidate[]): string | undefined {
    const containerId = this.#memory.take({ ...request, candidates })
    if (containerId !== undefined) this.hold(request, containerId, { isUnwritten: true })
    return containerId
  }

  /** Whether a lease was taken without Redis, which has not heard of it yet. */
  isUnwritten(leaseId: string): boolean {
    return this.#unwritten.has(leaseId)
  }

  engineOf(streamId: string): string | undefined {
    return this.#engineOfStream.get(streamId)
  }

  /** Gives a lease back. */
  dropLease(leaseId: string): LeaseRecord | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    this.#memory.releaseLease(leaseId)
    this.#leases.delete(leaseId)
    this.#unwritten.delete(leaseId)
    this.touch(lease.containerId)
    return lease
  }

  putStream(containerId: string, streamId: string): void {
    const before = this.#engineOfStream.get(streamId)
    if (before !== undefined) this.touch(before)
    this.#memory.occupy(containerId, streamId)
    this.#engineOfStream.set(streamId, containerId)
    this.touch(containerId)
  }

  dropStream(streamId: string): string | undefined {
    const containerId = this.#memory.releaseStream(streamId)
    if (containerId === undefined) return undefined
    this.#engineOfStream.delete(streamId)
    this.touch(containerId)
    return containerId
  }

  dropDue(now: number): readonly LeaseRecord[] {
    const due = [...this.#leases.values()].filter(({ expiresAt }) => expiresAt <= now)
    for (const { leaseId } of due) this.dropLease(leaseId)
    return due
  }

  /** Something of ours may be left on this engine. */
  touch(containerId: string): void {
    this.#touched.add(containerId)
  }

  /** Marks fields as under way while `work` runs: a renewal that is sent meanwhile leaves them alone. */
  async during<T>(fields: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const field of fields) this.#busy.set(field, (this.#busy.get(field) ?? 0) + 1)
    try {
      return await work()
    } finally {
      for (const field of fields) {
        const count = (this.#busy.get(field) ?? 1) - 1
        if (count === 0) this.#busy.delete(field)
        else this.#busy.set(field, count)
      }
    }
  }

  /** What is held, by engine, with those where something may be left; without what is under way. */
  held(now: number): Map<string, HeldOn> {
    const engines = new Map<string, HeldOn>()
    const on = (containerId: string): HeldOn => {
      const found = engines.get(containerId) ?? { leases: [], streamIds: [] }
      engines.set(containerId, found)
      return found
    }
    for (const containerId of [...this.#touched, ...this.#touchedBefore]) on(containerId)
    for (const { leaseId, containerId, expiresAt } of this.#leases.values()) {
      const held = on(containerId)
      if (!this.#busy.has(`l:${leaseId}`)) held.leases.push({ leaseId, leftMs: expiresAt - now, isUnwritten: this.#unwritten.has(leaseId) })
    }
    for (const [streamId, containerId] of this.#engineOfStream) {
      const held = on(containerId)
      if (!this.#busy.has(`s:${streamId}`)) held.streamIds.push(streamId)
    }
    return engines
  }

  /** Begins a renewal. Answers what is to be called with its outcome. */
  beginRenewal(): (isDone: boolean) => void {
    const [touched, before] = [this.#touched, this.#touchedBefore]
    const unwritten = [...this.#unwritten].filter((leaseId) => !this.#busy.has(`l:${leaseId}`))
    this.#touchedBefore = touched
    this.#touched = new Set()
    return (isDone) => {
      if (isDone) for (const leaseId of unwritten) this.#unwritten.delete(leaseId)
      else for (const containerId of [...before, ...touched]) this.#touched.add(containerId)
    }
  }
}
