import { StoreError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { randomId } from '../../runtime/random.ts'
import type { StateStore } from '../../state/store.ts'

/** No engine has this id: ids of containers are hexadecimal digits. */
export const PROVISIONING_SLOT = '(the turn to start engines)'

/** How long the turn lasts unless it is renewed: a release that the store lost costs other proxies no more. */
const LEASE_MS = 30_000
/** It is renewed when less than this is left. */
const RENEW_MS = 15_000

/**
 * The turn to request engines of v1, which one proxy of a fleet has at a time: the others' requests would add up (H19). It is a slot in the
 * shared store, with room for one, so that the store's own rules apply: taken in one step, and freed when its proxy dies.
 */
export class ProvisioningTurn {
  readonly #store: StateStore
  readonly #clock: Clock
  #lease: { readonly id: string; readonly until: number } | undefined
  #isClosed = false
  /** Calls of the store are made one after the other: a release never overtakes the renewal before it. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(store: StateStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Whether this proxy has the turn. */
  get isHeld(): boolean {
    return this.#lease !== undefined && this.#lease.until > this.#clock.now()
  }

  /** Takes the turn, or keeps it. `false`: another proxy has it, the store cannot tell, or the client closes. */
  async take(): Promise<boolean> {
    return this.#isClosed ? false : this.#isLasting || this.#inOrder(() => this.#take())
  }

  /** Keeps the turn if this proxy has it, for a request that is still awaited. */
  async renew(): Promise<void> {
    if (this.isHeld) await this.take()
  }

  /** Lets another proxy take it. Never rejects: where the store is away, its time runs out. */
  async release(): Promise<void> {
    const before = this.#lease
    this.#lease = undefined
    await this.#inOrder(async () => {
      const after = this.#lease
      this.#lease = undefined
      for (const lease of [before, after]) if (lease !== undefined) await this.#end(lease.id)
    })
  }

  /** Releases it for good. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.release()
  }

  get #isLasting(): boolean {
    return this.#lease !== undefined && this.#lease.until - this.#clock.now() > RENEW_MS
  }

  async #take(): Promise<boolean> {
    if (this.#isLasting) return true
    const now = this.#clock.now()
    const { isHeld } = this
    const before = this.#lease
    const next = { id: `provisioning/${randomId()}`, until: now + LEASE_MS }
    try {
      // Its time is up, and the store may not have noticed.
      if (!isHeld && before !== undefined) await this.#end(before.id)
      const candidates = [{ containerId: PROVISIONING_SLOT, reportedStreamIds: [] }]
      // The next lease is taken beside the one that is held, so that no other proxy takes the turn in between.
      const limit = isHeld ? 2 : 1
      const taken = await this.#store.take({ leaseId: next.id, candidates, limit, now, expiresAt: next.until })
      if (taken === undefined) return isHeld
      this.#lease = next
      if (isHeld && before !== undefined) await this.#end(before.id)
      return true
    } catch (error) {
      if (error instanceof StoreError && error.retryable) return isHeld
      throw error
    }
  }

  async #end(leaseId: string): Promise<void> {
    try {
      await this.#store.releaseLease(leaseId)
    } catch {
      // Its time runs out by itself.
    }
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }
}
