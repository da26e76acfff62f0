import type { Core } from '../core.ts'

/** The controller looks again this long after it acted. */
const CATCH_UP_MS = 25_000
/** A vanished engine is replaced after this. */
const REPLACE_MS = 2_000

/**
 * v1's controller (hazard 19). A request only raises the number of engines it wants, for good. It acts on the first request after
 * a while, on what it wanted then; what was asked for meanwhile it finds on its next round: of three asked for at once, one came
 * after a second and two after 26.
 */
export class Provisioner {
  readonly #core: Core
  #life: number
  #desired = 0
  #asked = 0
  #isWaking = false
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
    if (this.#isWaking) return
    this.#isWaking = true
    const wanted = this.#missing()
    this.#core.after(settings.provisioning.delayMs, () => {
      this.#isWaking = false
      this.#grow(wanted)
    })
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
    this.#desired = this.#asked = 0
    this.#isWaking = this.#isCatchingUp = false
  }

  #runningCount(): number {
    let count = 0
    for (const engine of this.#core.book.engines.values()) if (!engine.draining) count++
    return count
  }

  #missing(): number {
    const { minReplicas, maxReplicas } = this.#core.settings
    return Math.max(0, Math.min(Math.max(this.#desired, minReplicas), maxReplicas) - this.#runningCount())
  }

  #grow(wanted: number): void {
    const core = this.#core
    const { runtimeDown, refuse } = core.settings.provisioning
    // Nothing comes of it, and nobody is told but by the status.
    if (core.breaker.state !== 'open' && runtimeDown) core.breaker.fail()
    if (core.breaker.state !== 'open' && !runtimeDown && refuse === undefined) {
      for (let left = Math.min(wanted, this.#missing()); left > 0; left--) {
        core.createEngine()
        core.breaker.succeed()
        if (this.#asked > 0) {
          this.#asked--
          core.book.counters.enginesProvisioned++
        }
      }
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
