import type { Core } from '../core.ts'

/** The controller checks again this long after it started engines. */
const CATCH_UP_MS = 25_000
/** A request within this time of a round waits for the next round. */
const IGNORE_MS = 1_000
/** A vanished engine is replaced after this time. */
const REPLACE_MS = 2_000

/**
 * v1's controller (H19). A request only raises the number of wanted engines, permanently, and begins a round, which starts all missing
 * engines. A request within a second of a round does not begin another: it waits for the next one. A container that starts begins a round
 * too, so a request right after a new engine was listed waits as well.
 *
 * Measured on a real v1: of three concurrent requests, one engine came after 1 s and two after 26 s; of six requests that were 1.5 s apart,
 * each engine came after 1 s.
 */
export class Provisioner {
  readonly #core: Core
  #life: number
  #wantedCount = 0
  #requestedCount = 0
  /** Number of engines that a round has started and that are not listed yet. */
  #startingCount = 0
  #lastRoundAt = Number.NEGATIVE_INFINITY
  #isCatchingUp = false

  constructor(core: Core) {
    this.#core = core
    this.#life = core.life
  }

  /** `POST /provision/acestream`. */
  request(): void {
    this.#resetAfterRestart()
    const { settings } = this.#core
    this.#wantedCount = Math.max(this.#wantedCount, settings.minReplicas, this.#runningCount()) + 1
    this.#requestedCount++
    if (settings.provisioning.runtimeDown) {
      // Every request is then a separate attempt, and five failures open the breaker.
      this.#core.after(settings.provisioning.delayMs, () => this.#startEngines(1))
      return
    }
    if (this.#core.clock.now() - this.#lastRoundAt >= IGNORE_MS) this.#beginRound()
    else if (this.#startingCount === 0) this.#scheduleCatchUp()
  }

  /** Replaces an engine that has vanished, unless enough engines are left. */
  replace(): void {
    this.#resetAfterRestart()
    this.#core.after(REPLACE_MS, () => this.#startEngines(this.#missing()))
  }

  /** Forgets the number of wanted engines after a restart (H9). */
  #resetAfterRestart(): void {
    if (this.#life === this.#core.life) return
    this.#life = this.#core.life
    this.#wantedCount = this.#requestedCount = this.#startingCount = 0
    this.#lastRoundAt = Number.NEGATIVE_INFINITY
    this.#isCatchingUp = false
  }

  #beginRound(): void {
    this.#lastRoundAt = this.#core.clock.now()
    const wanted = this.#missing()
    if (wanted === 0) return
    this.#startingCount += wanted
    this.#core.after(this.#core.settings.provisioning.delayMs, () => {
      this.#startingCount -= wanted
      this.#startEngines(wanted)
    })
  }

  #runningCount(): number {
    let count = 0
    for (const engine of this.#core.records.engines.values()) if (!engine.draining) count++
    return count
  }

  #missing(): number {
    const { minReplicas, maxReplicas } = this.#core.settings
    return Math.max(0, Math.min(Math.max(this.#wantedCount, minReplicas), maxReplicas) - this.#runningCount() - this.#startingCount)
  }

  #startEngines(wanted: number): void {
    const core = this.#core
    const { runtimeDown, refuse } = core.settings.provisioning
    // No engine starts, and only the status shows why.
    if (core.breaker.state !== 'open' && runtimeDown) core.breaker.fail()
    if (core.breaker.state !== 'open' && !runtimeDown && refuse === undefined) {
      const count = Math.min(wanted, this.#missing())
      // A container that starts begins a round too, just before its engine is listed.
      const beginsRound = count > 0 && core.clock.now() - this.#lastRoundAt > IGNORE_MS
      for (let left = count; left > 0; left--) {
        core.createEngine()
        core.breaker.succeed()
        if (this.#requestedCount > 0) {
          this.#requestedCount--
          core.records.counters.enginesProvisioned++
        }
      }
      if (beginsRound) this.#beginRound()
    }
    if (this.#missing() > 0) this.#scheduleCatchUp()
  }

  #scheduleCatchUp(): void {
    if (this.#isCatchingUp) return
    this.#isCatchingUp = true
    this.#core.after(CATCH_UP_MS, () => {
      this.#isCatchingUp = false
      this.#startEngines(this.#missing())
    })
  }
}
