import { isRefusal, type PushSource } from '../../orchestrator/push-source.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { PushOrder } from './push-order.ts'

/** What the time keeper is built from. */
export interface ServerTimeParts {
  source: Pick<PushSource, 'time'>
  order: PushOrder
  clock: Clock
}

/** How often the orchestrator is asked for its time, at most: often enough for a pushed list, fresh for 3 s, to be followed in time. */
const MIN_INTERVAL_MS = 2_000

/**
 * Asks the orchestrator what time it is by the clock that stamps its pushes, where nothing else proves that they hold what was
 * acknowledged: v1's answer to an end tells no time, and neither does a list. One small request instead of two large ones, after which
 * pushes count again.
 */
export class ServerTime {
  readonly #parts: ServerTimeParts
  #notBefore = Number.NEGATIVE_INFINITY
  #isAsking = false

  constructor(parts: ServerTimeParts) {
    this.#parts = parts
  }

  /** Asks, unless that is under way, was done a moment ago, or is of no use. Never rejects, and nobody waits for it. */
  ask(signal: AbortSignal): void {
    const now = this.#parts.clock.now()
    if (this.#isAsking || now < this.#notBefore) return
    this.#notBefore = now + MIN_INTERVAL_MS
    this.#isAsking = true
    void this.#ask(signal).finally(() => {
      this.#isAsking = false
    })
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { source, order } = this.#parts
    const asked = order.asked()
    try {
      order.acknowledged(asked, await source.time({ signal }))
    } catch (error) {
      // A connection made anew proves the same, if later.
      if (isRefusal(error)) this.#notBefore = Number.POSITIVE_INFINITY
    }
  }
}
