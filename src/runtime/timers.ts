import { type Clock, type Timer, waitOneTurn } from './clock.ts'

/** Runs a task repeatedly, each time `intervalMs` after the last run ended. Runs never overlap. A run that fails does not stop the next. */
export class Periodic {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #task: () => unknown
  #timer: Timer | undefined
  #isRunning = false

  /**
   * @param intervalMs milliseconds from the end of a run to the next run; 0: the task never runs
   * @param task must log its own failures: an error that it throws, or rejects with, is ignored
   */
  constructor(clock: Clock, intervalMs: number, task: () => unknown) {
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.#task = task
  }

  /** Arms the first run. Does nothing if the task is running already. */
  start(): void {
    if (this.#isRunning || this.#intervalMs === 0) return
    this.#isRunning = true
    this.#arm()
  }

  /** Ends the runs. A run in flight finishes. */
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
      // The task has logged this error.
    }
    this.#arm()
  }
}

/** Calls back once when {@link feed} was not called for a while. It arms one timer, however often {@link feed} is called. */
export class Watchdog {
  readonly #clock: Clock
  readonly #quietMs: number
  readonly #onQuiet: () => void
  #fedAt = 0
  #timer: Timer | undefined

  /**
   * @param quietMs milliseconds after the last {@link feed}
   * @param onQuiet is called once after that time; the next {@link feed} starts the watch again
   */
  constructor(clock: Clock, quietMs: number, onQuiet: () => void) {
    this.#clock = clock
    this.#quietMs = quietMs
    this.#onQuiet = onQuiet
  }

  /** Whether it was fed, and has neither called back nor been stopped since. */
  get isAwake(): boolean {
    return this.#timer !== undefined
  }

  /** Restarts the time. The first call starts the watch. */
  feed(): void {
    this.#fedAt = this.#clock.now()
    if (this.#timer === undefined) this.#arm(this.#quietMs)
  }

  /** Ends the watch. `onQuiet` is not called. */
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

const HOUR_MS = 3_600_000

/**
 * Keeps the process alive while a call of the host is pending. Needed because all other timers of a client are unref'd: without it, the
 * process could exit while a call pauses between two attempts. All pending calls share one timer. A call that settles within one turn of
 * the event loop arms none.
 */
export class KeepAlive {
  readonly #clock: Clock
  #pendingCount = 0
  #isInFirstTurn = false
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Keeps the process alive until `call` settles. Returns the same promise. The caller must handle its rejection. */
  during<T>(call: Promise<T>): Promise<T> {
    this.#pendingCount += 1
    call.then(this.#onSettled, this.#onSettled)
    if (this.#timer === undefined && !this.#isInFirstTurn) {
      this.#isInFirstTurn = true
      // A turn of the event loop keeps the process alive without a timer.
      void waitOneTurn().then(this.#onTurnOver)
    }
    return call
  }

  readonly #onTurnOver = (): void => {
    this.#isInFirstTurn = false
    if (this.#pendingCount > 0) this.#arm()
  }

  readonly #onSettled = (): void => {
    this.#pendingCount -= 1
    if (this.#pendingCount > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  readonly #arm = (): void => {
    this.#timer = this.#clock.setTimeout(this.#arm, HOUR_MS, { keepsAlive: true })
  }
}
