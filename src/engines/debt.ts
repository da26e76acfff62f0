import type { Engine } from '../orchestrator/domain.ts'
import type { Clock } from '../runtime/clock.ts'

/** v1 gives what it was asked for, some day. If it has not by then, it was restarted or scaled down in between. */
const DEBT_MS = 600_000
/** Where the request may not have reached v1 at all. */
const UNCERTAIN_DEBT_MS = 120_000

/**
 * An engine that v1 was asked for and has not listed yet. It will come some day, together with any other that was asked for (hazard 19):
 * until then there is nothing to ask for.
 */
export class Debt {
  readonly #clock: Clock
  #before: ReadonlySet<string> | undefined
  #until = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** v1 has been asked. `before`: the engines it listed; `isCertain`: whether it answered. */
  owe(before: readonly Engine[], isCertain: boolean): void {
    this.#before = new Set(before.map((engine) => engine.containerId))
    this.#until = this.#clock.now() + (isCertain ? DEBT_MS : UNCERTAIN_DEBT_MS)
  }

  /** Whether an engine is still to come, with this list. */
  isOpen(listed: readonly Engine[]): boolean {
    return this.#before !== undefined && this.#clock.now() < this.#until && !listed.some((engine) => this.pays(engine))
  }

  /** Whether this is an engine that was not there when v1 was asked. */
  pays(engine: Engine): boolean {
    return this.#before?.has(engine.containerId) === false
  }

  settle(): void {
    this.#before = undefined
  }
}
