import type { Clock, Timer } from './clock.ts'

/** Runs a task again and again, `intervalMs` after the last run ended. Runs never overlap, and never reject. */
export class Periodic {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #task: () => unknown
  #timer: Timer | undefined
  #isRunning = false

  /** `intervalMs` 0: never runs. */
  constructor(clock: Clock, intervalMs: number, task: () => unknown) {
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.#task = task
  }

  start(): void {
    if (this.#isRunning || this.#intervalMs === 0) return
    this.#isRunning = true
    this.#arm()
  }

  stop(): void {
    this.#isRunning = false
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(): void {
    if (!this.#isRunning) return
    this.#timer = this.#clock.setTimeout(() => void this.#run(), this.#intervalMs)
  }

  async #run(): Promise<void> {
    try {
      await this.#task()
    } catch {
      // The task tells its own failures to the logger; the next run must come whatever happens.
    }
    this.#arm()
  }
}
