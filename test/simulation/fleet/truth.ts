import type { JournalEntry } from '../../../src/index.ts'
import type { MemberStatus } from './member-status.ts'
import { LIMIT, REPORTED_MS, STEP_MS, TIMEOUT_MS } from './settings.ts'

/** An invariant is broken. */
export class Violation extends Error {}

interface Slot {
  readonly owner: MemberStatus
  readonly containerId: string
  /** A lease that has no stream expires. */
  readonly expiresAt: number
  /** Its owner may have been taken for dead while it held this slot, so another member may have got it too. */
  isReassignable: boolean
}

interface Promotion {
  readonly leaseId: string
  readonly containerId: string
  readonly streamKey: string
  readonly begunAt: number
}

interface Entry {
  owner: MemberStatus
  readonly writtenAt: number
  isReassignable: boolean
  /** Whether the store must have the entry. */
  isStored: boolean
}

interface Claim {
  readonly by: string
  readonly begunAt: number
  /** Whether the store must have recorded the claim at once. */
  readonly isCertain: boolean
}

interface Settled {
  readonly at: number
  /** Whether the store must have recorded that. */
  isCertain: boolean
}

/** The real state of the fleet, recorded outside of it. Checks the invariants, which hold whatever happens to the store. */
export class Truth {
  readonly #now: () => number
  readonly #slots = new Map<string, Slot>()
  readonly #entries = new Map<string, Entry>()
  readonly #settled = new Map<string, Settled>()
  readonly #claims = new Map<string, Claim[]>()
  /** Since when the store answers without a restart, failover or loss of all data; `+Infinity` while it is away. */
  storeUpSince: number
  /** As {@link storeUpSince}, but also `+Infinity` while the store rejects writes. */
  storeWritableSince: number
  lostDataAt: number = Number.NEGATIVE_INFINITY

  constructor(now: () => number) {
    this.#now = now
    this.storeUpSince = now()
    this.storeWritableSince = now()
  }

  /** Leases and streams on an engine that living members hold. */
  heldOn(containerId: string): number {
    return this.#onEngine(containerId).length
  }

  taken(owner: MemberStatus, leaseId: string, containerId: string, expiresAt: number, begunAt: number): void {
    // The owner was cut off after its request. Until the answer arrives, the slot may have been granted to another member.
    const isReassignable = owner.mayBeTakenForDead && begunAt < owner.clearSince
    this.#slots.set(leaseId, { owner, containerId, expiresAt, isReassignable })
    // A new slot must leave room for the streams of members that have reported again.
    const counted = this.#onEngine(containerId).filter((slot) => !slot.isReassignable || !slot.owner.mayBeTakenForDead)
    if (counted.length > LIMIT) this.#overLimit(containerId, counted.length, `with lease ${leaseId}`)
  }

  /** A lease became a stream: from now on its slot has the stream's key. An expired lease is promoted only if the engine has room. */
  promoted(owner: MemberStatus, { leaseId, containerId, streamKey, begunAt }: Promotion): void {
    const lease = this.#slots.get(leaseId)
    // A lease that expired while its owner slept is not known any more: its slot may have been granted to another member before.
    const isReassignable = lease === undefined ? owner.mayBeTakenForDead : lease.isReassignable
    this.#slots.delete(leaseId)
    // The store has confirmed this slot after its owner came back.
    const isConfirmed = begunAt >= owner.clearSince + 2 * TIMEOUT_MS
    const expiresAt = Number.POSITIVE_INFINITY
    this.#slots.set(streamKey, { owner, containerId, expiresAt, isReassignable: isReassignable && !isConfirmed })
  }

  freed(key: string): void {
    this.#slots.delete(key)
  }

  appended(owner: MemberStatus, entryKey: string, streamKey: string | undefined): void {
    const isReassignable = owner.isCutOff && owner.mayBeTakenForDead && this.#slots.get(streamKey ?? '')?.isReassignable !== false
    this.#settled.delete(entryKey)
    this.#entries.set(entryKey, { owner, writtenAt: this.#now(), isReassignable, isStored: false })
  }

  /** A member begins to settle an entry. Returns a function to call when the store has confirmed that. */
  settling(by: MemberStatus, entryKey: string): () => void {
    this.#entries.delete(entryKey)
    const settled: Settled = { at: this.#now(), isCertain: false }
    this.#settled.set(entryKey, settled)
    return () => {
      settled.isCertain = this.#hasReported(by)
    }
  }

  recovered(by: MemberStatus, name: string, { streamId, life = '' }: JournalEntry): void {
    const key = `${streamId}#${life}`
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const settled = this.#settled.get(key)
      if (settled === undefined) throw new Violation(`[I4] ${name} recovered ${key}, which no member wrote`)
      if (settled.isCertain && settled.at > this.lostDataAt)
        throw new Violation(`[I7] ${name} recovered ${key}, which was settled ${this.#now() - settled.at} ms before`)
      return
    }
    if (entry.owner === by) throw new Violation(`[I4] ${name} recovered ${key}, which is its own`)
    if (entry.owner.isAlive && !entry.isReassignable) throw new Violation(`[I4] ${name} recovered ${key} of a living member`)
    Object.assign(entry, { owner: by, isReassignable: false })
  }

  claimed(owner: MemberStatus, name: string, key: string, begunAt: number): void {
    // A client library may reject a call whose answer was lost. Then the store decides by its own memory.
    const since = Math.max(owner.clearSince, owner.cutAt, this.storeWritableSince)
    const isCertain = begunAt >= since + REPORTED_MS
    const claim: Claim = { by: name, begunAt, isCertain }
    const earlier = (this.#claims.get(key) ?? []).filter(({ begunAt: at }) => at > this.lostDataAt)
    const otherClaim = earlier.find(({ isCertain }) => isCertain && claim.isCertain)
    if (otherClaim !== undefined) throw new Violation(`[I4] the end of ${key} was claimed by ${otherClaim.by} and by ${name}`)
    this.#claims.set(key, [...earlier, claim])
  }

  /** Call this when the store has lost data. */
  lostData(): void {
    this.lostDataAt = this.#now()
    for (const entry of this.#entries.values()) entry.isStored = false
  }

  /** The slots of a member that leaves or has ended do not count any more. */
  forget(owner: MemberStatus): void {
    for (const [key, slot] of this.#slots) if (slot.owner === owner) this.#slots.delete(key)
  }

  /** Others may take this member for dead: its slots and entries may go to other members. */
  allowReassignment(owner: MemberStatus): void {
    for (const slot of this.#slots.values()) if (slot.owner === owner) slot.isReassignable = true
    for (const entry of this.#entries.values()) if (entry.owner === owner) entry.isReassignable = true
  }

  /** Checks the limits of all engines. Call this after each step. */
  check(): void {
    const now = this.#now()
    for (const [key, { expiresAt }] of this.#slots) if (expiresAt <= now) this.#slots.delete(key)
    for (const containerId of new Set([...this.#slots.values()].map((slot) => slot.containerId))) {
      const rightful = this.#onEngine(containerId).filter(({ isReassignable }) => !isReassignable)
      if (rightful.length > LIMIT) this.#overLimit(containerId, rightful.length, 'without slots of members that may be taken for dead')
    }
    for (const entry of this.#entries.values()) {
      if (!entry.owner.isAlive) continue
      const since = Math.max(entry.owner.clearSince, this.storeWritableSince, this.lostDataAt)
      if (since + STEP_MS <= entry.writtenAt || now - since >= REPORTED_MS) entry.isStored = true
    }
  }

  /** Checks that the entries of dead members were recovered. Call this after a time without faults. */
  checkRecovered(): void {
    const left = [...this.#entries].filter(([, { owner, isStored }]) => isStored && !owner.isAlive)
    if (left.length > 0) throw new Violation(`[I5] no member recovered ${left.map(([key]) => key).join(', ')}, whose owners are dead`)
  }

  #hasReported(owner: MemberStatus): boolean {
    return this.#now() - Math.max(owner.clearSince, this.storeWritableSince) >= REPORTED_MS
  }

  #onEngine(containerId: string): Slot[] {
    const now = this.#now()
    return [...this.#slots.values()].filter((slot) => slot.containerId === containerId && slot.expiresAt > now)
  }

  #overLimit(containerId: string, count: number, which: string): never {
    const keys = [...this.#slots].filter(([, slot]) => slot.containerId === containerId).map(([key]) => key)
    throw new Violation(`[I1] ${containerId} holds ${count} slots of ${LIMIT} (${which}): ${keys.join(', ')}`)
  }
}
