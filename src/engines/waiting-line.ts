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
  reject(error: unknown): void
}

/** First come, first served. A caller leaves when served, when its time is up or its signal aborts, and disturbs nobody by it. */
export class WaitingLine {
  readonly #waiters = new Set<Waiter>()
  readonly #clock: Clock
  /** What to tell a caller whose time is up. */
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

  /** In order of arrival. May change while it is walked. */
  [Symbol.iterator](): Iterator<Waiter> {
    return this.#waiters.values()
  }

  join(wish: Wish): Waiter {
    const { promise, resolve, reject } = Promise.withResolvers<EngineLease>()
    const since = this.#clock.now()
    const leave = (): boolean => {
      if (!this.#waiters.delete(waiter)) return false
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
    const timer = wish.waitMs === 0 ? undefined : this.#clock.setTimeout(() => fail(this.#timeUp(waiter)), wish.waitMs)
    wish.signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiters.add(waiter)
    return waiter
  }

  #timeUp(waiter: Waiter): CapacityError {
    const position = [...this.#waiters].indexOf(waiter) + 1
    const waitedMs = this.#clock.now() - waiter.since
    const options = this.#explain()
    return new CapacityError(`No engine became free within ${waitedMs} ms (${options.reason}, position ${position} in the line)`, options)
  }
}
