import type { OrchestratorError } from '../../errors.ts'
import type { EngineLease } from '../../model/lease.ts'
import { onAbort } from '../../runtime/abort.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import { LinkedMap } from '../../runtime/linked-map.ts'
import type { AcquireRequest, WaitingCall } from './acquire-request.ts'

/** How patient a caller is. {@link WaitingCall.extend} changes it while the caller waits. */
interface Patience {
  readonly waitMs: number
  readonly mayProvision: boolean
  /** Whether the caller is rejected early if the orchestrator refuses to start an engine and advises not to wait. */
  readonly heedsRefusal: boolean
}

/** A caller in the {@link WaitQueue}, from its call until it is served or rejected. */
export interface Waiter extends AcquireRequest, Patience {
  /** When it called, milliseconds by the client's clock. */
  readonly since: number
  /** Settles when the caller is served or rejected. */
  readonly lease: Promise<EngineLease>
  /** Serves the caller. `false`: it has left the queue already, and the lease is for another caller. */
  serve(lease: EngineLease): boolean
  /** Rejects the caller, unless it has left the queue. */
  reject(error: unknown): void
}

/** State of a caller in the queue: how patient it is, and its {@link Progress}. */
type WaiterState = Progress & { readonly patience: Patience }

/**
 * How far a caller in the queue has got. It begins as `choosing`; {@link WaitQueue.wait} and {@link WaitQueue.markLastRound} move it on.
 * A caller that is served or rejected leaves the queue and has no state.
 */
type Progress =
  /** It has its place, and tries to take a slot at once. */
  | { readonly status: 'choosing' }
  /**
   * It waits. The timer ends the wait after `waitMs`; a caller with `waitMs` 0 has none, and waits for a refresh of an old list.
   * `hasYield`: a stream is ending to free a slot for it.
   */
  | {
      readonly status: 'waiting'
      readonly timer: Timer | undefined
      readonly listFailure: OrchestratorError | undefined
      readonly hasYield: boolean
    }
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
  /**
   * Called when a waiting caller was rejected or aborted, since the callers behind it may be served now, and when an engine may be requested
   * for it now, or none any more.
   */
  onChange: () => void
}

/**
 * The callers of `acquireEngine()`, first come, first served. A caller has its place from its call on, also while it still tries to take
 * a slot at once. It leaves when it is served, when its time is up or when its signal aborts, and changes no other caller's place.
 */
export class WaitQueue {
  /** In order of arrival. */
  readonly #states = new LinkedMap<Waiter, WaiterState>()
  readonly #lastRound = new Set<Waiter>()
  #waitingCount = 0
  /** Number of waiting callers for which no engine may be requested. */
  #unprovisionableCount = 0
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

  /** Whether no caller has a place: none waits, and none tries to take a slot at once. */
  get isEmpty(): boolean {
    return this.#states.size === 0
  }

  /** Number of waiting callers that a new engine would help. A caller for which a stream is ending is not counted. */
  get provisioningCount(): number {
    return this.#provisioningCount
  }

  /** Whether an engine may be requested for each waiting caller. */
  get allMayProvision(): boolean {
    return this.#unprovisionableCount === 0
  }

  /** The callers that the next round serves or rejects, as of now. */
  get lastRound(): readonly Waiter[] {
    return this.#lastRound.size === 0 ? [] : [...this.#lastRound]
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
    for (const [waiter] of this.#states) if (accepts(waiter)) return waiter
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
      stopListening?.()
      const isPresent = this.#states.has(waiter)
      this.#transition(waiter, undefined)
      return isPresent
    }
    const initial: Patience = { waitMs: request.waitMs, mayProvision: request.mayProvision, heedsRefusal: request.mayProvision }
    const patience = (): Patience => this.#states.get(waiter)?.patience ?? initial
    const fail = (error: unknown): void => {
      const wasWaiting = isWaiting(this.#states.get(waiter))
      if (!leave()) return
      reject(error)
      if (wasWaiting) this.#hooks.onChange()
    }
    const waiter: Waiter = {
      ...request,
      get waitMs() {
        return patience().waitMs
      },
      get mayProvision() {
        return patience().mayProvision
      },
      get heedsRefusal() {
        return patience().heedsRefusal
      },
      since,
      lease: promise,
      serve: (lease) => {
        const isPresent = leave()
        if (isPresent) resolve(lease)
        return isPresent
      },
      reject: fail,
    }
    const { signal } = request
    const stopListening = signal && onAbort(signal, () => fail(signal.reason))
    this.#transition(waiter, { status: 'choosing', patience: initial })
    return waiter
  }

  /**
   * Lets a caller that found no engine at once wait, at the place that it got when it arrived.
   *
   * @param listFailure why there was no engine list to choose from
   * @param refreshed see {@link WaitingCall.refreshed}
   * @throws {Error} if the caller waits already or has left the queue
   */
  wait(waiter: Waiter, listFailure: OrchestratorError | undefined, refreshed?: () => Promise<void>): void {
    const state = this.#states.get(waiter)
    if (state?.status !== 'choosing') throw new Error('Only a caller that is choosing an engine can begin to wait')
    const { patience } = state
    const timer = patience.waitMs === 0 ? undefined : this.#armTimer(waiter, patience)
    this.#transition(waiter, { status: 'waiting', patience, timer, listFailure, hasYield: false })
    waiter.onWaiting?.({
      refreshed,
      isWaiting: () => this.#states.get(waiter)?.status === 'waiting',
      extend: ({ untilMs, mayProvision }) => this.#extend(waiter, untilMs, mayProvision),
      forbidEngines: () => this.#forbidEngines(waiter),
      errorAfter: (waitedMs) => {
        const index = [...this].indexOf(waiter)
        return this.#hooks.errorFor(waiter, { position: Math.max(index, 0) + 1, waitedMs })
      },
    })
  }

  /** The next round serves this waiting caller or rejects it. Does nothing if it has left the queue meanwhile. */
  markLastRound(waiter: Waiter): void {
    const state = this.#states.get(waiter)
    if (isWaiting(state)) this.#transition(waiter, { status: 'last-round', patience: state.patience, listFailure: state.listFailure })
  }

  /** Records whether a stream is ending to free a slot for this waiting caller. Does nothing if it has left the queue meanwhile. */
  markYield(waiter: Waiter, hasYield: boolean): void {
    const state = this.#states.get(waiter)
    if (state?.status === 'waiting') this.#transition(waiter, { ...state, hasYield })
  }

  /** Whether a stream is ending to free a slot for this caller. */
  hasYield(waiter: Waiter): boolean {
    const state = this.#states.get(waiter)
    return state?.status === 'waiting' && state.hasYield
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

  #extend(waiter: Waiter, untilMs: number, mayProvision: boolean): void {
    const state = this.#states.get(waiter)
    if (!isWaiting(state)) return
    const before = state.patience
    const patience: Patience = {
      waitMs: Math.max(before.waitMs, untilMs - waiter.since),
      mayProvision: before.mayProvision || mayProvision,
      heedsRefusal: before.heedsRefusal && mayProvision,
    }
    const { listFailure } = state
    if (state.status === 'last-round') {
      // It waits on: it is shared with a caller that has time left.
      if (patience.waitMs === 0) return
      this.#transition(waiter, { status: 'waiting', patience, timer: this.#armTimer(waiter, patience), listFailure, hasYield: false })
    } else {
      const timer = patience.waitMs === before.waitMs ? state.timer : this.#armTimer(waiter, patience)
      this.#transition(waiter, { ...state, patience, timer })
    }
    if (patience.mayProvision !== before.mayProvision) this.#hooks.onChange()
  }

  #forbidEngines(waiter: Waiter): void {
    const state = this.#states.get(waiter)
    if (state?.status !== 'waiting') return
    this.#transition(waiter, { ...state, patience: { ...state.patience, mayProvision: false, heedsRefusal: false } })
    this.#hooks.onChange()
  }

  /** Arms the timer that ends the wait of a caller. */
  #armTimer(waiter: Waiter, { waitMs }: Patience): Timer {
    return this.#clock.setTimeout(() => this.#expire(waiter), Math.max(0, waiter.since + waitMs - this.#clock.now()))
  }

  /** Rejects all callers whose time is up now, together: one by one, each of them would have position 1. */
  #expire(expired: Waiter): void {
    const now = this.#clock.now()
    this.rejectAll([...this].filter((waiter) => waiter === expired || (waiter.waitMs > 0 && now - waiter.since >= waiter.waitMs)))
  }

  /** The only place where a caller's state changes. `undefined`: it leaves the queue. */
  #transition(waiter: Waiter, next: WaiterState | undefined): void {
    const before = this.#states.get(waiter)
    const timer = next?.status === 'waiting' ? next.timer : undefined
    if (before?.status === 'waiting' && before.timer !== timer) before.timer?.cancel()
    this.#waitingCount += Number(isWaiting(next)) - Number(isWaiting(before))
    this.#unprovisionableCount += Number(isUnprovisionable(next)) - Number(isUnprovisionable(before))
    if (next?.status === 'last-round') this.#lastRound.add(waiter)
    else this.#lastRound.delete(waiter)
    this.#provisioningCount += Number(needsEngine(next)) - Number(needsEngine(before))
    if (next === undefined) this.#states.delete(waiter)
    else this.#states.set(waiter, next)
  }
}

/** Whether a caller in this state is one of the waiting callers. */
function isWaiting(state: WaiterState | undefined): state is Exclude<WaiterState, { status: 'choosing' }> {
  return state !== undefined && state.status !== 'choosing'
}

const isUnprovisionable = (state: WaiterState | undefined): boolean => isWaiting(state) && !state.patience.mayProvision

/** Whether a new engine would help a caller in this state. */
function needsEngine(state: WaiterState | undefined): boolean {
  return state?.status === 'waiting' && !state.hasYield && state.patience.mayProvision && state.patience.waitMs > 0
}
