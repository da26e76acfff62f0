import type { OrchestratorError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { EngineLease } from './lease.ts'

/** What a caller in the line wants. */
export interface Wish {
  readonly exclude: ReadonlySet<string>
  readonly mayProvision: boolean
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
  /** Why there was no list to choose from when the caller called. */
  readonly listFailure?: OrchestratorError
}

/** A caller in the line. */
export interface Waiter extends Wish {
  /** When it called, by the client's clock. */
  readonly since: number
  readonly lease: Promise<EngineLease>
  /** `false`: the caller has left; the lease is for somebody else. */
  serve(lease: EngineLease): boolean
  /** Sends the caller away, for a reason of the host's or the client's. */
  reject(error: unknown): void
}

/** Where a caller was in the line when it left. */
export interface Place {
  /** 1: it was next. */
  readonly position: number
  /** How long it had waited, milliseconds. */
  readonly waitedMs: number
}

/** First come, first served. A caller leaves when served, when its time is up or its signal aborts, and disturbs nobody by it. */
export class WaitingLine {
  readonly #waiters = new Set<Waiter>()
  /** Those of them who are to be served at the next look or not at all. */
  readonly #hasty = new Set<Waiter>()
  #provisioningCount = 0
  readonly #clock: Clock
  /** Makes the error of a caller for whom there is no engine. */
  readonly #explain: (waiter: Waiter, place: Place) => Error
  readonly #onLeave: () => void

  constructor(clock: Clock, explain: (waiter: Waiter, place: Place) => Error, onLeave: () => void) {
    this.#clock = clock
    this.#explain = explain
    this.#onLeave = onLeave
  }

  get length(): number {
    return this.#waiters.size
  }

  /** Callers whom a new engine would help. */
  get provisioningCount(): number {
    return this.#provisioningCount
  }

  /** Callers who do not wait, as of now. */
  get hasty(): readonly Waiter[] {
    return this.#hasty.size === 0 ? [] : [...this.#hasty]
  }

  /** In order of arrival. May change while it is walked. */
  [Symbol.iterator](): Iterator<Waiter> {
    return this.#waiters.values()
  }

  /** @param since when the caller called: its `waitMs` counts from then */
  join(wish: Wish, since: number): Waiter {
    const { promise, resolve, reject } = Promise.withResolvers<EngineLease>()
    const leave = (): boolean => {
      if (!this.#waiters.delete(waiter)) return false
      this.#hasty.delete(waiter)
      if (wish.mayProvision) this.#provisioningCount -= 1
      timer?.cancel()
      wish.signal?.removeEventListener('abort', onAbort)
      return true
    }
    const fail = (error: unknown): void => {
      if (!leave()) return
      reject(error)
      this.#onLeave()
    }
    const onAbort = (): void => fail(wish.signal?.reason)
    const waiter: Waiter = {
      ...wish,
      since,
      lease: promise,
      serve: (lease) => {
        const isHere = leave()
        if (isHere) resolve(lease)
        return isHere
      },
      reject: fail,
    }
    // Who does not wait is sent away by the one who serves the line, after one look.
    const timer =
      wish.waitMs === 0
        ? undefined
        : this.#clock.setTimeout(() => this.#timeUp(waiter), Math.max(0, since + wish.waitMs - this.#clock.now()))
    wish.signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiters.add(waiter)
    if (wish.waitMs === 0) this.#hasty.add(waiter)
    if (wish.mayProvision) this.#provisioningCount += 1
    return waiter
  }

  /** Sends callers away together, each with its place as it was before the first of them left. */
  dismiss(leaving: readonly Waiter[]): void {
    if (leaving.length === 0) return
    const now = this.#clock.now()
    const positions = new Map<Waiter, number>()
    for (const waiter of this.#waiters) positions.set(waiter, positions.size + 1)
    for (const waiter of leaving) {
      const position = positions.get(waiter)
      if (position !== undefined) waiter.reject(this.#explain(waiter, { position, waitedMs: now - waiter.since }))
    }
  }

  /** All whose time is up at this moment go together: else each of them would have been the first in the line. */
  #timeUp(one: Waiter): void {
    const now = this.#clock.now()
    this.dismiss([...this.#waiters].filter((waiter) => waiter === one || (waiter.waitMs > 0 && now - waiter.since >= waiter.waitMs)))
  }
}
