import { ignoreRejection, type MaybePromise } from '../../runtime/maybe-promise.ts'
import type { HeldLease } from './engine-lease.ts'

/**
 * Settles the calls that are served at once, in the order of the calls. A caller with a signal may abort right after its call, so its call settles a
 * moment later, and so do the calls after it.
 */
export class Settling {
  /** Calls that are served and not settled yet. */
  #count = 0

  /** The lease for the caller: itself if the call can settle at once. The promise rejects with the reason of the signal if that aborts first. */
  settle(lease: HeldLease, signal: AbortSignal | undefined): MaybePromise<HeldLease> {
    if (signal === undefined && this.#count === 0) return lease
    this.#count += 1
    const settled = unlessAborted(lease, signal)
    // The client's own promise settles with this one. Only then a later call may settle at once.
    settled.catch(() => undefined).then(this.#onSettled)
    return settled
  }

  readonly #onSettled = (): void => {
    this.#count -= 1
  }
}

async function unlessAborted(lease: HeldLease, signal: AbortSignal | undefined): Promise<HeldLease> {
  await undefined // until the code that made the call has run to its end
  if (!signal?.aborted) return lease
  ignoreRejection(lease.release()) // if the store fails, the lease expires
  throw signal.reason
}
