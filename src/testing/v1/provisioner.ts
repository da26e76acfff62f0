import type { Core } from '../core.ts'

/** The controller looks again this long after it acted. */
const CATCH_UP_MS = 25_000
/** A request that comes so soon after a round is not noticed before the next. */
const DEAF_MS = 1_000
/** A vanished engine is replaced after this. */
const REPLACE_MS = 2_000

/**
 * v1's controller (H19). A request only raises the number of engines it wants, for good, and starts a round, which starts all engines that
 * are missing by then. Within a second of a round no request starts another: what is asked for then waits for the next round. So of three
 * asked for at once, one came after a second and two after 26; of six asked for 1.5 s apart, each came after a second. A container
 * that starts begins a round as well: a request right after a new engine was listed waits.
 */
export class Provisioner {
  readonly #core: Core
  #life: number
  #desired = 0
  #asked = 0
  /** Engines that a round has started and that are not listed yet. */
  #starting = 0
  #lastRoundAt = Number.NEGATIVE_INFINITY
  #isCatchingUp = false

  constructor(core: Core) {
    this.#core = core
    this.#life = core.life
  }

  /** `POST /provision/acestream`. */
  request(): void {
    this.#meetLife()
    const { settings } = this.#core
    this.#desired = Math.max(this.#desired, settings.minReplicas, this.#runningCount()) + 1
    this.#asked++
    if (settings.provisioning.runtimeDown) {
      // Every request is an attempt then, and five failures open the breaker.
      this.#core.after(settings.provisioning.delayMs, () => this.#grow(1))
      return
    }
    if (this.#core.clock.now() - this.#lastRoundAt >= DEAF_MS) this.#round()
    else if (this.#starting === 0) this.#catchUp()
  }

  /** An engine has vanished: unless fewer are wanted, another comes in its place. */
  replace(): void {
    this.#meetLife()
    this.#core.after(REPLACE_MS, () => this.#grow(this.#missing()))
  }

  /** The number wanted dies with the orchestrator (hazard 9). */
  #meetLife(): void {
    if (this.#life === this.#core.life) return
    this.#life = this.#core.life
    this.#desired = this.#asked = this.#starting = 0
    this.#lastRoundAt = Number.NEGATIVE_INFINITY
    this.#isCatchingUp = false
  }

  #round(): void {
    this.#lastRoundAt = this.#core.clock.now()
    const wanted = this.#missing()
    if (wanted === 0) return
    this.#starting += wanted
    this.#core.after(this.#core.settings.provisioning.delayMs, () => {
      this.#starting -= wanted
      this.#grow(wanted)
    })
  }

  #runningCount(): number {
    let count = 0
    for (const engine of this.#core.book.engines.values()) if (!engine.draining) count++
    return count
  }

  #missing(): number {
    const { minReplicas, maxReplicas } = this.#core.settings
    return Math.max(0, Math.min(Math.max(this.#desired, minReplicas), maxReplicas) - this.#runningCount() - this.#starting)
  }

  #grow(wanted: number): void {
    const core = this.#core
    const { runtimeDown, refuse } = core.settings.provisioning
    // Nothing comes of it, and nobody is told but by the status.
    if (core.breaker.state !== 'open' && runtimeDown) core.breaker.fail()
    if (core.breaker.state !== 'open' && !runtimeDown && refuse === undefined) {
      const count = Math.min(wanted, this.#missing())
      // A container that starts begins a round too, a moment before its engine is listed.
      const isRound = count > 0 && core.clock.now() - this.#lastRoundAt > DEAF_MS
      for (let left = count; left > 0; left--) {
        core.createEngine()
        core.breaker.succeed()
        if (this.#asked > 0) {
          this.#asked--
          core.book.counters.enginesProvisioned++
        }
      }
      if (isRound) this.#round()
    }
    if (this.#missing() > 0) this.#catchUp()
  }

  #catchUp(): void {
    if (this.#isCatchingUp) return
    this.#isCatchingUp = true
    this.#core.after(CATCH_UP_MS, () => {
      this.#isCatchingUp = false
      this.#grow(this.#missing())
    })
  }
}
