import { CapacityError, type CapacityErrorOptions } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { EngineLease } from './lease.ts'

/** What a caller in the line wants. */
export interface Wish {
  readonly exclude: ReadonlySet<string>
  readonly mayProvision: boolean
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
}

/** A caller in the line. */
export interface Waiter extends Wish {
  readonly since: number
  readonly lease: Promise<EngineLease>
  /** `false`: the caller has left; the lease is for somebody else. */
  serve(lease: EngineLease): boolean
  /** Sends the caller away, for a reason of the host's or the client's. */
  reject(error: unknown): void
}

/** First come, first served. A caller leaves when served, when its time is up or its signal aborts, and disturbs nobody by it. */
export class WaitingLine {
  readonly #waiters = new Set<Waiter>()
  /** Those of them who are to be served at the next look or not at all. */
  readonly #hasty = new Set<Waiter>()
  #provisioningCount = 0
  readonly #clock: Clock
  /** What to tell a caller for whom there is no engine. */
  readonly #explain: () => CapacityErrorOptions
  readonly #onLeave: () => void

  constructor(clock: Clock, explain: () => CapacityErrorOptions, onLeave: () => void) {
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

  join(wish: Wish): Waiter {
    const { promise, resolve, reject } = Promise.withResolvers<EngineLease>()
    const since = this.#clock.now()
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
    const timer = wish.waitMs === 0 ? undefined : this.#clock.setTimeout(() => this.#timeUp(waiter), wish.waitMs)
    wish.signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiters.add(waiter)
    if (wish.waitMs === 0) this.#hasty.add(waiter)
    if (wish.mayProvision) this.#provisioningCount += 1
    return waiter
  }

  /** Sends callers away together, each with its place as it was before the first of them left. */
  dismiss(leaving: readonly Waiter[]): void {
    if (leaving.length === 0) return
    const positions = new Map<Waiter, number>()
    for (const waiter of this.#waiters) positions.set(waiter, positions.size + 1)
    for (const waiter of leaving) {
      const position = positions.get(waiter)
      if (position !== undefined) waiter.reject(this.#refusal(waiter, position))
    }
  }

  /** All whose time is up at this moment go together: else each of them would have been the first in the line. */
  #timeUp(one: Waiter): void {
    const now = this.#clock.now()
    this.dismiss([...this.#waiters].filter((waiter) => waiter === one || (waiter.waitMs > 0 && now - waiter.since >= waiter.waitMs)))
  }

  #refusal({ since }: Waiter, position: number): CapacityError {
    const waitedMs = this.#clock.now() - since
    const options = this.#explain()
    const what = `No engine became free within ${waitedMs} ms (${options.reason}, position ${position} in the line)`
    return new CapacityError(what, { ...options, position, waitedMs })
  }
}
