import { MemoryStore } from '../memory.ts'
import type { EngineUsage, LeaseRecord, SlotCandidate, SlotRequest, UsageListener } from '../store.ts'
import type { Operation } from './script.ts'

/** The name of a lease's slot in Redis. */
export const leaseSlot = (leaseId: string): string => `l:${leaseId}`
/** The name of a stream's slot in Redis. */
export const streamSlot = (streamId: string): string => `s:${streamId}`

/** Keeps the slots of this process, and the slots that Redis may have. Does no I/O; {@link encode} makes the operations to send. */
export class LocalSlots {
  /** Counts the same slots by engine. */
  readonly #memory = new MemoryStore()
  readonly #leases = new Map<string, LeaseRecord>()
  readonly #engineOfStream = new Map<string, string>()
  /** Slot -> the engines on which Redis may have it for this member. */
  readonly #possibleEngines = new Map<string, Set<string>>()
  /** Leases that Redis granted and then lost. They keep their slots only if they are reported before the hold ends. */
  readonly #lostLeases = new Set<string>()
  /** Leases taken without Redis that it does not know yet. */
  readonly #unreportedLeases = new Set<string>()

  /** The names of all slots that this process holds. */
  get names(): readonly string[] {
    return [...[...this.#engineOfStream.keys()].map(streamSlot), ...[...this.#leases.keys()].map(leaseSlot)]
  }

  /** The slots of this process, by engine. */
  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#memory.usage()
  }

  /** Calls `listener` with each change of {@link usage}. */
  onUsageChanged(listener: UsageListener): void {
    this.#memory.onUsageChanged(listener)
  }

  engineOf(streamId: string): string | undefined {
    return this.#engineOfStream.get(streamId)
  }

  /** Records a lease that Redis granted. */
  addGranted(request: SlotRequest, containerId: string): void {
    this.#addLease(request, containerId)
    this.addPossibleEngines(leaseSlot(request.leaseId), [containerId])
  }

  /**
   * Takes a slot without Redis, by the slots of this process and the reported streams. Returns the engine, or `undefined` if all are full.
   */
  takeWithoutRedis(request: SlotRequest, candidates: readonly SlotCandidate[]): string | undefined {
    const containerId = this.#memory.take({ ...request, candidates })
    if (containerId === undefined) return undefined
    this.#addLease(request, containerId)
    this.#unreportedLeases.add(request.leaseId)
    return containerId
  }

  removeLease(leaseId: string): LeaseRecord | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    this.#memory.releaseLease(leaseId)
    this.#leases.delete(leaseId)
    this.#unreportedLeases.delete(leaseId)
    this.#lostLeases.delete(leaseId)
    return lease
  }

  /** Removes the leases that have expired at `now`, and returns them. */
  removeExpired(now: number): readonly LeaseRecord[] {
    const expired = [...this.#leases.values()].filter(({ expiresAt }) => expiresAt <= now)
    for (const { leaseId } of expired) this.removeLease(leaseId)
    return expired
  }

  /** Puts a stream on an engine, whether or not there is room. */
  addStream(containerId: string, streamId: string): void {
    this.#memory.occupy(containerId, streamId)
    this.#engineOfStream.set(streamId, containerId)
  }

  /** Returns the engine of the stream, or `undefined` if it has no slot. */
  removeStream(streamId: string): string | undefined {
    this.#engineOfStream.delete(streamId)
    return this.#memory.releaseStream(streamId)
  }

  /** Records that Redis may have this slot on one of these engines: {@link encode} releases it there. */
  addPossibleEngines(slot: string, engines: readonly string[]): void {
    const possible = this.#possibleEngines.get(slot) ?? new Set()
    for (const engine of engines) possible.add(engine)
    this.#possibleEngines.set(slot, possible)
  }

  /**
   * Call it when this process has a new member id, for which Redis has no slots. If its predecessor was taken for dead, its leases are
   * removed, because other members may have their slots. Otherwise Redis lost them.
   */
  becomeNewMember(wasTakenForDead: boolean): void {
    this.#possibleEngines.clear()
    for (const leaseId of [...this.#leases.keys()]) {
      if (this.#unreportedLeases.has(leaseId)) continue
      if (wasTakenForDead) this.removeLease(leaseId)
      else this.#lostLeases.add(leaseId)
    }
  }

  /** Makes the operation that reports where a slot is now. `undefined`: Redis has no such slot. */
  encode(slot: string): Operation | undefined {
    const leaseId = slot.startsWith('l:') ? slot.slice(2) : undefined
    const engine = leaseId === undefined ? this.#engineOfStream.get(slot.slice(2)) : this.#leases.get(leaseId)?.containerId
    const others = [...(this.#possibleEngines.get(slot) ?? [])].filter((other) => other !== engine)
    if (engine === undefined && others.length === 0) return undefined
    if (engine !== undefined) this.addPossibleEngines(slot, [engine])
    if (leaseId !== undefined && engine !== undefined && this.#lostLeases.has(leaseId)) return this.#reclaim(leaseId, engine)
    const onApplied = (): void => {
      if (leaseId !== undefined) this.#unreportedLeases.delete(leaseId)
      const possible = this.#possibleEngines.get(slot)
      for (const other of others) possible?.delete(other)
      if (possible?.size === 0) this.#possibleEngines.delete(slot)
    }
    return { call: ['setSlot', slot, engine ?? '', String(others.length), ...others], onApplied }
  }

  #reclaim(leaseId: string, engine: string): Operation {
    const onApplied = (answer: unknown): void => {
      if (Number(answer) === 1) this.#lostLeases.delete(leaseId)
      else if (this.#lostLeases.has(leaseId)) this.removeLease(leaseId)
    }
    return { call: ['reclaimLease', leaseSlot(leaseId), engine], onApplied }
  }

  #addLease({ leaseId, expiresAt }: SlotRequest, containerId: string): void {
    this.#memory.releaseLease(leaseId)
    this.#memory.take({ leaseId, candidates: [{ containerId, reportedStreamIds: [] }], limit: Number.POSITIVE_INFINITY, now: 0, expiresAt })
    this.#leases.set(leaseId, { leaseId, containerId, expiresAt })
  }
}
