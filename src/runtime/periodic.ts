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

/** Calls back once nothing has fed it for a while. Feeding it costs nothing: one timer is armed, however often it is fed. */
export class Watchdog {
  readonly #clock: Clock
  readonly #quietMs: number
  readonly #onQuiet: () => void
  #fedAt = 0
  #timer: Timer | undefined

  /** `quietMs`: milliseconds without food. Sleeps until it is fed for the first time, and again after it has called. */
  constructor(clock: Clock, quietMs: number, onQuiet: () => void) {
    this.#clock = clock
    this.#quietMs = quietMs
    this.#onQuiet = onQuiet
  }

  /** Whether it was fed and nothing has made it call or stop since. */
  get isAwake(): boolean {
    return this.#timer !== undefined
  }

  feed(): void {
    this.#fedAt = this.#clock.now()
    if (this.#timer === undefined) this.#arm(this.#quietMs)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined
      const leftMs = this.#fedAt + this.#quietMs - this.#clock.now()
      if (leftMs > 0) this.#arm(leftMs)
      else this.#onQuiet()
    }, delayMs)
  }
}
