import type { Clock } from '../../runtime/clock.ts'

import type { EngineSnapshot } from './snapshot.ts'

/** A refresh of the engine list that is under way, and shared by all callers that want one. */
export class Refresh {
  /** Position of its last request among everything that was sent and acknowledged here. */
  sequence: number
  /** Whether a caller can use no older list. Then failed requests are retried although an old list could be served. */
  isNeeded: boolean
  readonly result: Promise<EngineSnapshot>
  readonly slowness: Slowness
  readonly #clock: Clock
  readonly #failed = Promise.withResolvers<never>()

  /** `load` calls `failed` for each request that failed. */
  constructor(sequence: number, clock: Clock, isNeeded: boolean, load: (refresh: Refresh) => Promise<EngineSnapshot>) {
    this.sequence = sequence
    this.isNeeded = isNeeded
    this.#clock = clock
    this.#failed.promise.catch(() => {}) // every caller may be patient
    this.result = load(this)
    this.slowness = new Slowness(clock, this.result)
  }

  /** A request failed; the next has this number. */
  failed(error: unknown, sequence: number): void {
    this.sequence = sequence
    this.#failed.reject(error)
  }

  /**
   * The result, for one caller.
   *
   * @param patienceMs how long this caller waits while requests fail; it waits for the first request in any case. `undefined`: to the end
   * @param hasSpare whether this caller can be served an old list instead; its patience is over with the first failure then
   * @throws the error of the first request, when out of patience
   */
  within(patienceMs: number | undefined, hasSpare: () => boolean = () => false): Promise<EngineSnapshot> {
    const since = this.#clock.now()
    return new Promise((resolve, reject) => {
      this.result.then(resolve, reject)
      this.#failed.promise.catch((error: unknown) => {
        const leftMs = (patienceMs ?? Number.POSITIVE_INFINITY) - (this.#clock.now() - since)
        if (leftMs <= 0 || hasSpare()) return reject(error)
        if (leftMs === Number.POSITIVE_INFINITY) return
        const timer = this.#clock.setTimeout(() => reject(error), leftMs)
        const stop = (): void => timer.cancel()
        this.result.then(stop, stop)
      })
    })
  }
}

/** Which list is fresh enough not to be asked for again. */
export class Freshness {
  readonly #clock: Clock
  readonly #cacheTtlMs: number
  #pushDueBy = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, cacheTtlMs: number) {
    this.#clock = clock
    this.#cacheTtlMs = cacheTtlMs
  }

  /** A push is expected until then, by the client's clock; any other list serves on that long, instead of being asked for twice. */
  set pushDueBy(time: number) {
    this.#pushDueBy = time
  }

  /** A list that was asked for: for `cacheTtlMs`. One that was pushed: for 3 s, whatever that is. */
  isFresh(snapshot: EngineSnapshot): boolean {
    const ttlMs = snapshot.takenAtNs === undefined ? this.#cacheTtlMs : PUSH_FRESH_MS
    return this.#isYounger(snapshot, ttlMs)
  }

  /** Whether pushes make it unnecessary to look any further. */
  isHeld(snapshot: EngineSnapshot): boolean {
    const isPushed = snapshot.takenAtNs !== undefined
    return (isPushed || this.#clock.now() < this.#pushDueBy) && this.#isYounger(snapshot, PUSH_FRESH_MS)
  }

  /** How long a list that is held now stays so at most, milliseconds. */
  heldForMs(snapshot: EngineSnapshot): number {
    const until = snapshot.receivedAt + PUSH_FRESH_MS
    return Math.max(0, (snapshot.takenAtNs === undefined ? Math.min(until, this.#pushDueBy) : until) - this.#clock.now())
  }

  #isYounger(snapshot: EngineSnapshot, ttlMs: number): boolean {
    return this.#clock.now() - snapshot.receivedAt < ttlMs
  }
}

/** How long shared work takes: one timer for all callers that stop waiting for it after the same time. */
export class Slowness {
  readonly #clock: Clock
  readonly #work: Promise<unknown>
  readonly #startedAt: number
  #slow: Promise<void> | undefined

  constructor(clock: Clock, work: Promise<unknown>) {
    this.#clock = clock
    this.#work = work
    this.#startedAt = clock.now()
  }

  /** Resolves once the work has taken `waitMs`; never, if it is over before. All callers name the same time. */
  after(waitMs: number): Promise<void> {
    this.#slow ??= new Promise((resolve) => {
      const leftMs = this.#startedAt + waitMs - this.#clock.now()
      if (leftMs <= 0) return resolve()
      const timer = this.#clock.setTimeout(resolve, leftMs)
      const stop = (): void => timer.cancel()
      this.#work.then(stop, stop)
    })
    return this.#slow
  }
}

/** How long a pushed list is fresh, milliseconds: three of v1's pushes. */
export const PUSH_FRESH_MS = 3_000
