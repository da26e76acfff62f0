import { StoreError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { makeRandomId } from '../../runtime/random.ts'
import type { StateStore } from '../../state/store.ts'

/** The slot in the store that stands for the lock. No engine has this id: ids of containers are hexadecimal digits. */
export const PROVISIONING_SLOT = '(the turn to start engines)'

/** How long the lock lasts unless it is renewed, milliseconds. If the store loses a release, other proxies wait no longer than this. */
const LEASE_MS = 30_000
/** The lock is renewed when less than this is left. */
const RENEW_MS = 15_000

/** Dependencies of {@link ProvisioningLock}. */
export interface ProvisioningLockParts {
  store: Pick<StateStore, 'take' | 'releaseLease'>
  clock: Clock
}

/**
 * Lets one proxy of a fleet at a time request engines from v1, because v1 would start an engine for each request of each proxy (H19). The
 * lock is a lease on a slot of the shared store, with room for one. So the rules of the store apply: the lock is taken atomically, and
 * freed when its proxy dies.
 */
export class ProvisioningLock {
  readonly #parts: ProvisioningLockParts
  #lease: { readonly id: string; readonly until: number } | undefined
  #isClosed = false
  /** The last call of the store. Calls are made one after the other, so that a release never overtakes a renewal. */
  #lastCall: Promise<unknown> = Promise.resolve()

  constructor(parts: ProvisioningLockParts) {
    this.#parts = parts
  }

  /** Whether this proxy holds the lock. */
  get isHeld(): boolean {
    return this.#leftMs > 0
  }

  /** Takes or renews the lock. `false`: another proxy holds it, the store fails for a while, or this lock is closed. */
  async take(): Promise<boolean> {
    return this.#isClosed ? false : this.#leftMs > RENEW_MS || this.#inOrder(() => this.#take())
  }

  /** Renews the lock if this proxy holds it: one of its requests is still under way. */
  async renew(): Promise<void> {
    if (this.isHeld) await this.take()
  }

  /** Releases the lock. Never rejects: if the store fails, the lease expires. */
  async release(): Promise<void> {
    const before = this.#lease
    this.#lease = undefined
    await this.#inOrder(async () => {
      const after = this.#lease
      this.#lease = undefined
      for (const lease of [before, after]) if (lease !== undefined) await this.#releaseLease(lease.id)
    })
  }

  /** Releases the lock for good. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.release()
  }

  get #leftMs(): number {
    return this.#lease === undefined ? 0 : this.#lease.until - this.#parts.clock.now()
  }

  async #take(): Promise<boolean> {
    if (this.#leftMs > RENEW_MS) return true
    const { store, clock } = this.#parts
    const now = clock.now()
    const { isHeld } = this
    const before = this.#lease
    const next = { id: `provisioning/${makeRandomId()}`, until: now + LEASE_MS }
    try {
      // By this client's clock the lease has expired. The store may not have removed it yet.
      if (!isHeld && before !== undefined) await this.#releaseLease(before.id)
      const candidates = [{ containerId: PROVISIONING_SLOT, reportedStreamIds: [] }]
      // To renew, take a second lease before the first is released: no other proxy can take the lock in between.
      const limit = isHeld ? 2 : 1
      const taken = await store.take({ leaseId: next.id, candidates, limit, now, expiresAt: next.until })
      if (taken === undefined) return isHeld
      this.#lease = next
      if (isHeld && before !== undefined) await this.#releaseLease(before.id)
      return true
    } catch (error) {
      if (error instanceof StoreError && error.retryable) return isHeld
      throw error
    }
  }

  /** Never rejects: a lease that cannot be released expires. */
  async #releaseLease(leaseId: string): Promise<void> {
    try {
      await this.#parts.store.releaseLease(leaseId)
    } catch {
      // See above.
    }
  }

  /** Makes a call of the store after all earlier ones have settled. */
  #inOrder<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#lastCall.then(call)
    this.#lastCall = result.catch(() => {})
    return result
  }
}
