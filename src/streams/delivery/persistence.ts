import type { Clock, Timer } from '../../runtime/clock.ts'

/** How long an event is kept up: until its time is up, it is given up, or one of `signals` aborts. */
export class Persistence {
  readonly #controller = new AbortController()
  readonly #signals: readonly AbortSignal[]
  readonly #timer: Timer
  readonly #stop = (): void => this.#controller.abort()

  constructor(clock: Clock, timeoutMs: number, signals: readonly (AbortSignal | undefined)[]) {
    this.#signals = signals.filter((signal) => signal !== undefined)
    this.#timer = clock.setTimeout(this.#stop, timeoutMs)
    for (const signal of this.#signals) {
      if (signal.aborted) this.#stop()
      else signal.addEventListener('abort', this.#stop, { once: true })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  giveUp(): void {
    this.#stop()
  }

  /** Lets go of the timer and the signals. */
  end(): void {
    this.#timer.cancel()
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#stop)
  }
}
