import type { OrchestratorError } from '../../errors.ts'
import type { EngineLease } from '../../model/lease.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'

/** The requirements of a caller of `acquireEngine()`. */
export interface AcquireRequest {
  /** Container ids of engines that the caller does not want. */
  readonly exclude: ReadonlySet<string>
  /** Whether a new engine may be requested for this caller. */
  readonly mayProvision: boolean
  /** How long the caller waits for an engine, milliseconds, from its call on. 0: it does not wait. */
  readonly waitMs: number
  /** Aborts this caller's wait. */
  readonly signal: AbortSignal | undefined
  /** How long this caller's lease lasts, milliseconds. @default the option `leaseTtlMs` */
  readonly leaseTtlMs?: number | undefined
}

/** A caller in the {@link WaitQueue}, from its call until it is served or rejected. */
export interface Waiter extends AcquireRequest {
  /** When it called, milliseconds by the client's clock. */
  readonly since: number
  /** Settles when the caller is served or rejected. */
  readonly lease: Promise<EngineLease>
  /** Serves the caller. `false`: it has left the queue already, and the lease is for another caller. */
  serve(lease: EngineLease): boolean
  /** Rejects the caller, unless it has left the queue. */
  reject(error: unknown): void
}

/**
 * State of a caller in the queue. It begins as `choosing`; {@link WaitQueue.wait} and {@link WaitQueue.markLastRound} move it on.
 * A caller that is served or rejected leaves the queue and has no state.
 */
type WaiterState =
  /** It has its place, and tries to take a slot at once. */
  | { readonly status: 'choosing' }
  /** It waits. The timer ends the wait after `waitMs`; a caller with `waitMs` 0 has none, and waits for a refresh of an old list. */
  | { readonly status: 'waiting'; readonly timer: Timer | undefined; readonly listFailure: OrchestratorError | undefined }
  /** Its `waitMs` is 0 and no engine was free: the next round serves it or rejects it. */
  | { readonly status: 'last-round'; readonly listFailure: OrchestratorError | undefined }

/** Where a caller was in the queue when it was rejected. */
export interface QueuePosition {
  /** 1: it was next. */
  readonly position: number
  /** How long it had waited, milliseconds. */
  readonly waitedMs: number
}

/** Callbacks of a {@link WaitQueue}. */
export interface WaitQueueHooks {
  /** Makes the error of a caller for which no engine became free. */
  errorFor: (waiter: Waiter, place: QueuePosition) => Error
  /** Called when a waiting caller was rejected or aborted: the callers behind it may be served now. */
  onLeave: () => void
}

/**
 * The callers of `acquireEngine()`, first come, first served. A caller has its place from its call on, also while it still tries to take
 * a slot at once. It leaves when it is served, when its time is up or when its signal aborts, and changes no other caller's place.
 */
export class WaitQueue {
  /** In order of arrival. */
  readonly #states = new Map<Waiter, WaiterState>()
  #waitingCount = 0
  #provisioningCount = 0
  readonly #clock: Clock
  readonly #hooks: WaitQueueHooks

  constructor(clock: Clock, hooks: WaitQueueHooks) {
    this.#clock = clock
    this.#hooks = hooks
  }

  /** Number of waiting callers. A caller that still tries to take a slot at once is not counted. */
  get waitingCount(): number {
    return this.#waitingCount
  }

  /** Number of waiting callers that a new engine would help. */
  get provisioningCount(): number {
    return this.#provisioningCount
  }

  /** The callers that the next round serves or rejects, as of now. */
  get lastRound(): readonly Waiter[] {
    return [...this.#states].filter(([, { status }]) => status === 'last-round').map(([waiter]) => waiter)
  }

  /** Whether any waiting caller has a `waitMs` above 0. Without such a caller, neither a new engine nor another list is needed. */
  get hasTimeLeft(): boolean {
    for (const { waitMs } of this) if (waitMs > 0) return true
    return false
  }

  /** The waiting callers in order of arrival. Callers may be added and may leave during the iteration. */
  *[Symbol.iterator](): Iterator<Waiter> {
    for (const [waiter, state] of this.#states) if (isWaiting(state)) yield waiter
  }

  /** Whether the caller has been neither served nor rejected. */
  has(waiter: Waiter): boolean {
    return this.#states.has(waiter)
  }

  /** The earliest caller that `accepts`, whether it waits or still tries to take a slot at once. */
  first(accepts: (waiter: Waiter) => boolean): Waiter | undefined {
    for (const waiter of this.#states.keys()) if (accepts(waiter)) return waiter
    return undefined
  }

  /** Why there was no engine list when this caller called; `undefined` if there was one. */
  listFailureOf(waiter: Waiter): OrchestratorError | undefined {
    const state = this.#states.get(waiter)
    return isWaiting(state) ? state.listFailure : undefined
  }

  /**
   * Gives a caller its place. It does not {@link wait} yet.
   *
   * @param since when the caller called, milliseconds: its `waitMs` counts from then
   */
  add(request: AcquireRequest, since: number): Waiter {
    const { promise, resolve, reject } = Promise.withResolvers<EngineLease>()
    const leave = (): boolean => {
      request.signal?.removeEventListener('abort', onAbort)
      const isPresent = this.#states.has(waiter)
      this.#transition(waiter, undefined)
      return isPresent
    }
    const fail = (error: unknown): void => {
      const wasWaiting = isWaiting(this.#states.get(waiter))
      if (!leave()) return
      reject(error)
      if (wasWaiting) this.#hooks.onLeave()
    }
    const onAbort = (): void => fail(request.signal?.reason)
    const waiter: Waiter = {
      ...request,
      since,
      lease: promise,
      serve: (lease) => {
        const isPresent = leave()
        if (isPresent) resolve(lease)
        return isPresent
      },
      reject: fail,
    }
    request.signal?.addEventListener('abort', onAbort, { once: true })
    this.#transition(waiter, { status: 'choosing' })
    return waiter
  }

  /**
   * Lets a caller that found no engine at once wait, at the place that it got when it arrived.
   *
   * @param listFailure why there was no engine list to choose from
   * @throws {Error} if the caller waits already or has left the queue
   */
  wait(waiter: Waiter, listFailure: OrchestratorError | undefined): void {
    const { waitMs, since } = waiter
    if (this.#states.get(waiter)?.status !== 'choosing') throw new Error('Only a caller that is choosing an engine can begin to wait')
    const leftMs = Math.max(0, since + waitMs - this.#clock.now())
    const timer = waitMs === 0 ? undefined : this.#clock.setTimeout(() => this.#expire(waiter), leftMs)
    this.#transition(waiter, { status: 'waiting', timer, listFailure })
  }

  /** The next round serves this waiting caller or rejects it. Does nothing if it has left the queue meanwhile. */
  markLastRound(waiter: Waiter): void {
    const state = this.#states.get(waiter)
    if (isWaiting(state)) this.#transition(waiter, { status: 'last-round', listFailure: state.listFailure })
  }

  /** Rejects these callers together, each with its place as it was before the first of them left. Callers that have left are skipped. */
  rejectAll(leaving: readonly Waiter[]): void {
    if (leaving.length === 0) return
    const now = this.#clock.now()
    const positions = new Map<Waiter, number>()
    for (const waiter of this) positions.set(waiter, positions.size + 1)
    for (const waiter of leaving) {
      const position = positions.get(waiter)
      if (position !== undefined) waiter.reject(this.#hooks.errorFor(waiter, { position, waitedMs: now - waiter.since }))
    }
  }

  /** Rejects all callers whose time is up now, together: one by one, each of them would have position 1. */
  #expire(expired: Waiter): void {
    const now = this.#clock.now()
    this.rejectAll([...this].filter((waiter) => waiter === expired || (waiter.waitMs > 0 && now - waiter.since >= waiter.waitMs)))
  }

  /** The only place where a caller's state changes. `undefined`: it leaves the queue. */
  #transition(waiter: Waiter, next: WaiterState | undefined): void {
    const before = this.#states.get(waiter)
    if (before?.status === 'waiting') before.timer?.cancel()
    const added = Number(isWaiting(next)) - Number(isWaiting(before))
    this.#waitingCount += added
    if (waiter.mayProvision && waiter.waitMs > 0) this.#provisioningCount += added
    if (next === undefined) this.#states.delete(waiter)
    else this.#states.set(waiter, next)
  }
}

/** Whether a caller in this state is one of the waiting callers. */
function isWaiting(state: WaiterState | undefined): state is Exclude<WaiterState, { status: 'choosing' }> {
  return state !== undefined && state.status !== 'choosing'
}
