import type { Engine } from '../../model/domain.ts'
import type { Clock } from '../../runtime/clock.ts'

/** v1 starts what was requested, some day. What has not come by then was lost in a restart, or scaled down. */
const DEBT_MS = 600_000
/** Where the request may not have reached v1 at all. */
const UNCERTAIN_DEBT_MS = 120_000

/** An engine that v1 was asked for. It comes some day, together with any other that was requested (H19). */
export interface Debt {
  /** When it is given up. */
  until: number
  /** Whether a caller waits for it. An engine for which none does any more may serve the next request. */
  isAwaited: boolean
  /** The engine that came for it. */
  paidBy: string | undefined
  /** Called with that engine in the step that settles this. */
  onPaid: (engine: Engine) => void
}

/** The engines that v1 was asked for and has not listed yet, oldest first. Each container id not seen before settles one. */
export class Debts {
  readonly #clock: Clock
  #open: Debt[] = []
  /** Engines listed when the oldest was requested, and those that came since. */
  readonly #known = new Set<string>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Engines that are still to come. */
  get open(): readonly Debt[] {
    const now = this.#clock.now()
    if (this.#open.some(({ until }) => until <= now)) this.#open = this.#open.filter(({ until }) => until > now)
    return this.#open
  }

  /** An engine is about to be requested. `listed`: the engines that are there already. */
  owe(listed: readonly Engine[], onPaid: (engine: Engine) => void): Debt {
    if (this.open.length === 0) this.#known.clear()
    for (const { containerId } of listed) this.#known.add(containerId)
    const debt: Debt = { until: this.#clock.now() + UNCERTAIN_DEBT_MS, isAwaited: true, paidBy: undefined, onPaid }
    this.#open.push(debt)
    return debt
  }

  /** v1 has acknowledged the request. */
  confirm(debt: Debt): void {
    debt.until = this.#clock.now() + DEBT_MS
  }

  /** The request certainly never reached v1. */
  cancel(debt: Debt): void {
    this.#open = this.#open.filter((other) => other !== debt)
  }

  /** The oldest for which no caller waits any more; the caller of this does from now on. */
  adopt(onPaid: (engine: Engine) => void): Debt | undefined {
    const orphan = this.open.find(({ isAwaited }) => !isAwaited)
    return orphan && Object.assign(orphan, { isAwaited: true, onPaid })
  }

  /** Takes a list into account. Callers wait for the oldest first, so those are settled first. */
  settle(listed: readonly Engine[]): void {
    if (this.open.length === 0) return
    for (const engine of listed) {
      const { containerId } = engine
      if (this.#known.has(containerId)) continue
      this.#known.add(containerId)
      const [oldest] = this.#open.splice(0, 1)
      if (oldest === undefined) continue
      oldest.paidBy = containerId
      oldest.onPaid(engine)
    }
  }
}
