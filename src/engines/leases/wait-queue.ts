import type { OrchestratorError } from '../../errors.ts'
import type { EngineLease } from '../../model/lease.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'

/** What a caller in the line wants. */
export interface AcquireRequest {
  readonly exclude: ReadonlySet<string>
  readonly mayProvision: boolean
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
}

/** A caller, from its arrival until it is served or leaves. */
export interface Waiter extends AcquireRequest {
  /** When it called, by the client's clock. */
  readonly since: number
  readonly lease: Promise<EngineLease>
  /** `false`: the caller has left; the lease is for somebody else. */
  serve(lease: EngineLease): boolean
  /** Sends the caller away, for a reason of the host's or the client's. */
  reject(error: unknown): void
}

/** What the line keeps for a caller that waits. */
interface Wait {
  /** Ends the wait after `waitMs`; a caller that does not wait has none. */
  readonly timer: Timer | undefined
  /** Why there was no list to choose from when the caller called. */
  readonly listFailure: OrchestratorError | undefined
}

/** Where a caller was in the line when it left. */
export interface QueuePosition {
  /** 1: it was next. */
  readonly position: number
  /** How long it had waited, milliseconds. */
  readonly waitedMs: number
}

/**
 * First come, first served. A caller has its place from its arrival on, also while it still looks for an engine at once. A caller leaves when
 * served, when its time is up or its signal aborts, and disturbs nobody by it.
 */
export class WaitQueue {
  /** All callers in order of arrival, callers that look for an engine at once included. */
  readonly #callers = new Set<Waiter>()
  readonly #waiting = new Map<Waiter, Wait>()
  /** Waiting callers that are served at the next look or not at all. */
  readonly #hasty = new Set<Waiter>()
  #provisioningCount = 0
  readonly #clock: Clock
  /** Makes the error of a caller for whom there is no engine. */
  readonly #explain: (waiter: Waiter, place: QueuePosition) => Error
  readonly #onLeave: () => void

  constructor(clock: Clock, explain: (waiter: Waiter, place: QueuePosition) => Error, onLeave: () => void) {
    this.#clock = clock
    this.#explain = explain
    this.#onLeave = onLeave
  }

  /** Callers that wait. */
  get length(): number {
    return this.#waiting.size
  }

  /** Waiting callers whom a new engine would help. */
  get provisioningCount(): number {
    return this.#provisioningCount
  }

  /** Waiting callers that leave after the next look, as of now. */
  get nonWaiting(): readonly Waiter[] {
    return this.#hasty.size === 0 ? [] : [...this.#hasty]
  }

  /** Whether a caller has time left: the others need neither a new engine nor another list. */
  get hasPatient(): boolean {
    for (const { waitMs } of this.#waiting.keys()) if (waitMs > 0) return true
    return false
  }

  /** Callers that wait, in order of arrival. May change while it is walked. */
  *[Symbol.iterator](): Iterator<Waiter> {
    for (const caller of this.#callers) if (this.#waiting.has(caller)) yield caller
  }

  /** Whether the caller is neither served nor gone. */
  has(caller: Waiter): boolean {
    return this.#callers.has(caller)
  }

  /** The earliest caller that `accepts`, whether it waits or still looks for an engine at once. */
  first(accepts: (caller: Waiter) => boolean): Waiter | undefined {
    for (const caller of this.#callers) if (accepts(caller)) return caller
    return undefined
  }

  /** Why there was no list to choose from when this caller called. */
  listFailureOf(waiter: Waiter): OrchestratorError | undefined {
    return this.#waiting.get(waiter)?.listFailure
  }

  /**
   * Gives a caller its place. It does not {@link wait} yet.
   *
   * @param since when the caller called: its `waitMs` counts from then
   */
  arrive(wish: AcquireRequest, since: number): Waiter {
    const { promise, resolve, reject } = Promise.withResolvers<EngineLease>()
    const leave = (): boolean => {
      wish.signal?.removeEventListener('abort', onAbort)
      this.#stopWaiting(caller)
      return this.#callers.delete(caller)
    }
    const fail = (error: unknown): void => {
      const hasWaited = this.#waiting.has(caller)
      if (!leave()) return
      reject(error)
      if (hasWaited) this.#onLeave()
    }
    const onAbort = (): void => fail(wish.signal?.reason)
    const caller: Waiter = {
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
    wish.signal?.addEventListener('abort', onAbort, { once: true })
    this.#callers.add(caller)
    return caller
  }

  /** Lets a caller wait at the place that it got when it arrived. */
  wait(caller: Waiter, listFailure: OrchestratorError | undefined): void {
    const { waitMs, since, mayProvision } = caller
    // A caller that does not wait is rejected by the look that follows `hasten`.
    const timer =
      waitMs === 0 ? undefined : this.#clock.setTimeout(() => this.#timeUp(caller), Math.max(0, since + waitMs - this.#clock.now()))
    this.#waiting.set(caller, { timer, listFailure })
    if (mayProvision && waitMs > 0) this.#provisioningCount += 1
  }

  /** The next look decides about this waiting caller: it is served then or not at all. */
  markNonWaiting(waiter: Waiter): void {
    if (this.#waiting.has(waiter)) this.#hasty.add(waiter)
  }

  #stopWaiting(waiter: Waiter): void {
    const wait = this.#waiting.get(waiter)
    if (wait === undefined) return
    wait.timer?.cancel()
    this.#waiting.delete(waiter)
    this.#hasty.delete(waiter)
    if (waiter.mayProvision && waiter.waitMs > 0) this.#provisioningCount -= 1
  }

  /** Sends callers away together, each with its place as it was before the first of them left. */
  dismiss(leaving: readonly Waiter[]): void {
    if (leaving.length === 0) return
    const now = this.#clock.now()
    const positions = new Map<Waiter, number>()
    for (const waiter of this) positions.set(waiter, positions.size + 1)
    for (const waiter of leaving) {
      const position = positions.get(waiter)
      if (position !== undefined) waiter.reject(this.#explain(waiter, { position, waitedMs: now - waiter.since }))
    }
  }

  /** All whose time is up at this moment go together: else each of them would have been the first in the line. */
  #timeUp(one: Waiter): void {
    const now = this.#clock.now()
    this.dismiss([...this].filter((waiter) => waiter === one || (waiter.waitMs > 0 && now - waiter.since >= waiter.waitMs)))
  }
}
