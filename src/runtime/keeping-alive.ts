import type { Clock, Timer } from './clock.ts'
import { turn } from './turn.ts'

const HOUR_MS = 3_600_000

/**
 * Keeps the process alive while a call of the host is pending: every other timer of a client is unref'd, and a request may be pausing
 * between two attempts. All pending calls share one timer. A call that settles within one turn of the event loop arms none.
 */
export class KeepAlive {
  readonly #clock: Clock
  #pendingCount = 0
  #isTurning = false
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Keeps the process alive until `call` settles. Returns the same promise, whose rejection stays the caller's to handle. */
  during<T>(call: Promise<T>): Promise<T> {
    this.#pendingCount += 1
    call.then(this.#over, this.#over)
    if (this.#timer === undefined && !this.#isTurning) {
      this.#isTurning = true
      // A turn keeps the process alive by itself.
      void turn().then(this.#turned)
    }
    return call
  }

  readonly #turned = (): void => {
    this.#isTurning = false
    if (this.#pendingCount > 0) this.#arm()
  }

  readonly #over = (): void => {
    this.#pendingCount -= 1
    if (this.#pendingCount > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  readonly #arm = (): void => {
    this.#timer = this.#clock.setTimeout(this.#arm, HOUR_MS, { keepsAlive: true })
  }
}
