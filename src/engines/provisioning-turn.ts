import { StoreError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { randomId } from '../runtime/random.ts'
import type { StateStore } from '../state/store.ts'

/** No engine has this id: ids of containers are hexadecimal digits. */
export const PROVISIONING_SLOT = '(the turn to start engines)'

/**
 * The turn to request engines of v1, which one proxy of a fleet has at a time: the others' requests would add up (H19). It is a slot in the
 * shared store, with room for one, so that the store's own rules apply: taken in one step, and freed when its proxy dies.
 */
export class ProvisioningTurn {
  readonly #store: StateStore
  readonly #clock: Clock
  readonly #leaseId = `provisioning/${randomId()}`
  #until = Number.NEGATIVE_INFINITY

  constructor(store: StateStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Takes the turn, or keeps it, for `durationMs`. `false`: another proxy has it, or the store cannot tell. */
  async take(durationMs: number): Promise<boolean> {
    const now = this.#clock.now()
    const until = now + durationMs
    if (this.#until > now) return true
    try {
      // A lease of an earlier turn that was never released.
      if (this.#until !== Number.NEGATIVE_INFINITY) await this.release()
      const candidates = [{ containerId: PROVISIONING_SLOT, reportedStreamIds: [] }]
      const taken = await this.#store.take({ leaseId: this.#leaseId, candidates, limit: 1, now, expiresAt: until })
      if (taken === undefined) return false
      this.#until = until
      return true
    } catch (error) {
      if (error instanceof StoreError && error.retryable) return false
      throw error
    }
  }

  /** Gives it to another proxy. Never rejects: a store that is away frees it when its time is up. */
  async release(): Promise<void> {
    if (this.#until === Number.NEGATIVE_INFINITY) return
    this.#until = Number.NEGATIVE_INFINITY
    try {
      await this.#store.releaseLease(this.#leaseId)
    } catch {
      // Its time runs out by itself.
    }
  }
}
