import type { Clock } from '../../runtime/clock.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** How long one caller of a shared {@link Refresh} waits while its requests fail. */
export interface RefreshPatience {
  /** Milliseconds since the call. The caller waits for the first request in any case. @default as long as requests are retried */
  patienceMs?: number | undefined
  /** Whether an old list can be served to this caller instead. Then it waits for no request after the first that failed. */
  canServeStale?: (() => boolean) | undefined
}

/** Dependencies and options of {@link Refresh}. */
export interface RefreshParts {
  clock: Clock
  /** Number of the first request. */
  sequence: number
  /** How long a refresh may take until {@link Refresh.slow} resolves, milliseconds. */
  slowAfterMs: number
  /** Whether a caller needs this very refresh, because no older list serves it. */
  isRequired: boolean
  /** Requests the list until it succeeds or gives up. Calls `requestFailed` for each request that fails. */
  load: (refresh: Refresh) => Promise<EngineSnapshot>
}

/** One refresh of the engine list, with its retries. All callers that need a list meanwhile share it. */
export class Refresh {
  /** The refreshed list, or the error of the last request. */
  readonly result: Promise<EngineSnapshot>
  /** See {@link slowSignal}. */
  readonly slow: () => Promise<void>
  readonly #clock: Clock
  readonly #firstFailure = Promise.withResolvers<never>()
  #sequence: number
  #isRequired: boolean

  constructor({ clock, sequence, slowAfterMs, isRequired, load }: RefreshParts) {
    this.#clock = clock
    this.#sequence = sequence
    this.#isRequired = isRequired
    this.#firstFailure.promise.catch(() => {}) // perhaps no caller asks for it
    this.result = load(this)
    this.slow = slowSignal(clock, this.result, slowAfterMs)
  }

  /** Number of the request that is under way: the list will show everything that was acknowledged before it. */
  get sequence(): number {
    return this.#sequence
  }

  /** Whether a caller needs this very refresh. Then failed requests are retried although an old list could be served. */
  get isRequired(): boolean {
    return this.#isRequired
  }

  /** A caller needs this very refresh from now on. */
  require(): void {
    this.#isRequired = true
  }

  /** A request failed. The next one has the number `nextSequence`. */
  requestFailed(error: unknown, nextSequence: number): void {
    this.#sequence = nextSequence
    this.#firstFailure.reject(error)
  }

  /**
   * The result, for one caller.
   *
   * @throws the error of the first request, once this caller's patience is over; else the error of the last request
   */
  resultWithin({ patienceMs = Number.POSITIVE_INFINITY, canServeStale }: RefreshPatience): Promise<EngineSnapshot> {
    const since = this.#clock.now()
    return new Promise((resolve, reject) => {
      this.result.then(resolve, reject)
      this.#firstFailure.promise.catch((error: unknown) => {
        const leftMs = patienceMs - (this.#clock.now() - since)
        if (leftMs <= 0 || canServeStale?.()) return reject(error)
        if (leftMs === Number.POSITIVE_INFINITY) return
        const timer = this.#clock.setTimeout(() => reject(error), leftMs)
        const stop = (): void => timer.cancel()
        this.result.then(stop, stop)
      })
    })
  }
}

/**
 * Measures from now on how long `work` takes. Every call of the returned function gives the same promise, which resolves once the work has
 * taken `slowAfterMs` milliseconds; never, if the work ends before. All callers share one timer, and the first call arms it.
 */
export function slowSignal(clock: Clock, work: Promise<unknown>, slowAfterMs: number): () => Promise<void> {
  const slowAt = clock.now() + slowAfterMs
  let slow: Promise<void> | undefined
  return () => {
    slow ??= new Promise((resolve) => {
      const leftMs = slowAt - clock.now()
      if (leftMs <= 0) return resolve()
      const timer = clock.setTimeout(resolve, leftMs)
      const stop = (): void => timer.cancel()
      work.then(stop, stop)
    })
    return slow
  }
}
