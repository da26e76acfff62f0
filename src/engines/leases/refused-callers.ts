import type { Clock, Timer } from '../../runtime/clock.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { Provisioner } from '../provisioning/provisioner.ts'
import { isWorthWaiting } from './capacity-error.ts'
import type { WaitQueue } from './wait-queue.ts'

/**
 * If there are engines, a caller waits at least this long before a refusal of the orchestrator rejects it: a player that changes the channel
 * frees its slot a moment after it requests the next one.
 */
const REFUSAL_GRACE_MS = 2_000

/** Dependencies of {@link RefusedCallers}. */
export interface RefusedCallersParts {
  queue: WaitQueue
  provisioner: Provisioner
  clock: Clock
  /** Whether a slot may become free in a moment. */
  isSlotComing: () => boolean
  /** Begins a round that serves the waiting callers. */
  serve: () => void
}

/** Rejects the callers for which the orchestrator advises not to wait, after it has refused to start an engine. */
export class RefusedCallers {
  readonly #parts: RefusedCallersParts
  #timer: Timer | undefined

  constructor(parts: RefusedCallersParts) {
    this.#parts = parts
  }

  /**
   * Rejects them once they have waited long enough, unless a slot may become free in a moment. A caller stays if an engine that was requested
   * before the refusal will serve it, or if a stream is ending for it.
   */
  reject({ engines }: EngineSnapshot): void {
    const { queue, provisioner, clock, isSlotComing, serve } = this.#parts
    const { backoff, requestedSlotCount } = provisioner
    const graceMs = engines.length === 0 ? 0 : REFUSAL_GRACE_MS
    this.cancel()
    if (backoff.refusal === undefined || isSlotComing()) return
    const now = clock.now()
    const hopeless = [...queue]
      .filter((waiter) => !queue.hasYield(waiter))
      .slice(requestedSlotCount)
      .filter((waiter) => waiter.heedsRefusal && waiter.waitMs > 0 && !isWorthWaiting(backoff, waiter.waitMs - (now - waiter.since)))
    queue.rejectAll(hopeless.filter(({ since }) => now - since >= graceMs))
    const next = Math.min(...hopeless.map(({ since }) => since + graceMs).filter((at) => at > now))
    if (next !== Number.POSITIVE_INFINITY) this.#timer = clock.setTimeout(serve, next - now)
  }

  /** Cancels the round that is due when the next caller has waited long enough. */
  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
