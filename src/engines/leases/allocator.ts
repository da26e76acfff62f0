import { ClientClosedError } from '../../errors.ts'
import type { EngineLease } from '../../model/lease.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { SlotTaker } from '../placement/slot-taker.ts'
import type { TakenSlot } from '../placement/slot-terms.ts'
import type { Provisioner } from '../provisioning/provisioner.ts'
import type { AcquireRequest } from './acquire-request.ts'
import { CallerErrors } from './caller-errors.ts'
import { CallerFilters } from './caller-filters.ts'
import { placeOf } from './caller-place.ts'
import { FallbackLease, type HeldLease } from './engine-lease.ts'
import type { LeaseRegistry } from './lease-registry.ts'
import { ListForCallers, type ListForCallersParts, type ListOrSubstitute } from './list-for-callers.ts'
import { acquireObserved } from './observed-acquire.ts'
import { RefusedCallers } from './refused-callers.ts'
import { Settling } from './settling.ts'
import { SlotYielding, type YieldSlot } from './slot-yielding.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

/** Dependencies and options of {@link Allocator}. */
export interface AllocatorParts extends ListForCallersParts {
  provisioner: Provisioner
  taker: SlotTaker
  leases: LeaseRegistry
  sequence: Sequence
  /** Whether an end is being delivered or a lease is being released, so that a slot may become free in a moment. */
  isSlotComing: () => boolean
  /** Frees the slot of a lingering stream for a caller that waits. @default no stream lingers */
  yieldSlot?: YieldSlot | undefined
}

/** What was begun for a caller before it had its place in the queue. */
interface Begun {
  readonly list: MaybePromise<EngineSnapshot>
  /** The slot that is being taken. `undefined`: there is no list yet, or no engine had room. A slot may become free before its turn. */
  readonly slot: Promise<TakenSlot | undefined> | undefined
}

/**
 * Gives each caller of `acquireEngine()` a lease on an engine with room: at once, or in order of arrival as soon as an engine has room.
 *
 * A caller takes its place in the {@link WaitQueue}. If no caller waits, it tries to take a slot at once. Otherwise it waits, and each
 * event that may free a slot calls {@link serve}: a list arrived, a slot was released, a requested engine was listed or refused. A round of
 * serving walks the queue from its first caller, then ends lingering streams for the callers that got no slot, rejects the callers for
 * which waiting makes no sense, and requests new engines for the others.
 */
export class Allocator {
  readonly #parts: AllocatorParts
  readonly #queue: WaitQueue
  readonly #list: ListForCallers
  readonly #yielding: SlotYielding
  readonly #errors: CallerErrors
  readonly #filters: CallerFilters
  readonly #refusals: RefusedCallers
  readonly #settling = new Settling()
  /** The round of {@link serve} that runs now. */
  #round: Promise<void> | undefined
  /** A call of {@link serve} came during a round. */
  #mustServeAgain = false
  #isClosed = false
  #unsubscribe: (() => void) | undefined

  constructor(parts: AllocatorParts) {
    this.#parts = parts
    this.#list = new ListForCallers(parts)
    this.#errors = new CallerErrors({ ...parts, hasUsableList: () => this.#list.usable !== undefined })
    this.#filters = new CallerFilters(parts.provisioner.backoff)
    this.#queue = new WaitQueue(parts.clock, {
      errorFor: (waiter, place) => this.#errors.waiting(waiter, place, this.#queue.listFailureOf(waiter)),
      onChange: () => this.serve(),
    })
    this.#refusals = new RefusedCallers({ ...parts, queue: this.#queue, serve: () => this.serve() })
    const { taker, yieldSlot } = parts
    this.#yielding = new SlotYielding({ queue: this.#queue, taker, yieldSlot, filters: this.#filters, onSettled: () => this.serve() })
    parts.engineList.onRefresh((snapshot) => {
      parts.taker.noteList(snapshot)
      this.serve()
    })
  }

  /** Number of callers that wait for an engine. */
  get waitingCount(): number {
    return this.#queue.waitingCount
  }

  /** Number of waiting callers that a new engine would help. */
  get provisioningCount(): number {
    return this.#queue.provisioningCount
  }

  /** See `OrchestratorClient.acquireEngine`. */
  async acquire(request: AcquireRequest): Promise<EngineLease> {
    return acquireObserved(this.#parts, () => this.acquireNow(request))
  }

  /**
   * As {@link acquire}. Returns the lease itself if the caller has no signal, the list is fresh, an engine has room, no caller is before this
   * one and no listener runs. A failure is always a rejection.
   */
  acquireNow(request: AcquireRequest): MaybePromise<EngineLease> {
    if (request.signal?.aborted) return Promise.reject(request.signal.reason)
    const { clock, sequence, taker, leases, emitter } = this.#parts
    const calledAt = sequence.current
    let begun: Begun | undefined
    if (this.#queue.isEmpty && leases.opensSilently && taker.isIndexed && !emitter.has('engine:acquired')) {
      const list = this.#list.begin(request, true)
      const slot = list instanceof Promise ? undefined : this.#begin(list, request)
      if (slot !== undefined && !(slot instanceof Promise)) {
        this.#errors.storeFailure = undefined
        return this.#settling.settle(leases.openSilently(slot), request.signal)
      }
      begun = { list, slot }
    }
    const caller = this.#queue.add(request, clock.now())
    this.#place(caller, calledAt, begun).catch((error: unknown) => caller.reject(error))
    return caller.lease
  }

  /** Serves the waiting callers as far as there is room, and requests engines for the others, in one round at a time. */
  serve(): void {
    if (this.#queue.waitingCount === 0) this.#stopTimers()
    else if (this.#round !== undefined) this.#mustServeAgain = true
    else
      this.#round = this.#serveAll().finally(() => {
        this.#round = undefined
        if (this.#mustServeAgain) {
          this.#mustServeAgain = false
          this.serve()
        }
      })
  }

  /** Rejects all callers, also callers that do not wait yet. */
  close(): void {
    this.#isClosed = true
    for (const waiter of this.#queue) waiter.reject(new ClientClosedError())
    this.#stopTimers()
    this.#unsubscribe?.()
    this.#parts.taker.close()
  }

  /**
   * Serves a caller at once, or lets it wait.
   *
   * @param calledAt sequence number at which it called
   * @param begun what was begun for it before it had its place
   */
  async #place(caller: Waiter, calledAt: number, begun?: Begun): Promise<void> {
    const { engineList, emitter } = this.#parts
    let list: ListOrSubstitute | undefined
    // While callers wait, a new caller waits behind them, so it overtakes none. Without a list they cannot be served, so it reads one.
    if (this.#queue.waitingCount === 0 || this.#list.usable === undefined) {
      list = await this.#list.read(caller, begun?.list ?? this.#list.begin(caller, true))
      if (list instanceof FallbackLease) return this.#handOutFallback(list, caller)
      if (!(list instanceof Error)) await this.#tryAtOnce(caller, list, begun?.slot)
    }
    if (this.#isClosed) throw new ClientClosedError()
    if (!this.#queue.has(caller)) {
      // It may have a place in the line of the store, which it took before it left.
      if (caller.signal?.aborted) this.serve()
      return
    }
    const hadList = list !== undefined && !(list instanceof Error)
    const allowStale = !this.#list.isFresh && (!hadList || engineList.isBusy)
    if (this.#queue.waitingCount === 0) {
      if (caller.waitMs === 0 && !allowStale) throw this.#errors.notWaiting(caller)
      this.#list.beginWait(calledAt)
    }
    this.#queue.wait(caller, list instanceof Error ? list : undefined, this.#list.isFresh ? undefined : () => this.#serveRefreshed())
    if (caller.waitMs > 0) emitter.to('capacity:waiting')?.({ waiting: this.#queue.waitingCount })
    else if (allowStale) void this.#decideAfterRefresh(caller)
    else this.#queue.markLastRound(caller)
    this.serve()
  }

  /** An old list never proves that there is no room: a caller with `waitMs` 0 is rejected only after the refresh. */
  async #decideAfterRefresh(waiter: Waiter): Promise<void> {
    try {
      const refreshed = await this.#list.read(waiter, this.#list.begin(waiter, false))
      if (refreshed instanceof FallbackLease) return await this.#handOutFallback(refreshed, waiter)
      if (waiter.waitMs === 0) this.#queue.markLastRound(waiter)
      this.serve()
    } catch (error) {
      if (waiter.waitMs === 0) waiter.reject(error) // otherwise another caller shares it, and waits for the next list
    }
  }

  /**
   * Takes a slot for this caller. If an earlier caller gets that slot, tries again until this caller is served, has left or must wait.
   *
   * @param begun the slot that is being taken for it
   */
  async #tryAtOnce(caller: Waiter, list: EngineSnapshot, begun: Promise<TakenSlot | undefined> | undefined): Promise<void> {
    if (begun !== undefined) {
      const lease = await this.#open(() => begun)
      if (lease === undefined) return
      await this.#handOut(lease, caller, list)
    }
    while (!this.#isClosed && this.#queue.waitingCount === 0 && this.#queue.has(caller)) {
      const lease = await this.#open(() => this.#take(list, caller))
      if (lease === undefined) return
      await this.#handOut(lease, caller, list)
    }
  }

  /** Begins to take a slot for a caller. A failure is a rejection. */
  #begin(list: EngineSnapshot, request: AcquireRequest): MaybePromise<TakenSlot | undefined> {
    try {
      return this.#take(list, request)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** One round of {@link serve}. */
  async #serveAll(): Promise<void> {
    const { lastRound } = this.#queue
    const snapshot = this.#list.usable
    // Interrupted: the next round begins at once, and serves all callers, also callers with `waitMs` 0.
    if (snapshot !== undefined && !(await this.#serveFrom(snapshot))) return
    this.#queue.rejectAll(this.#queue.lastRound.filter((waiter) => lastRound.includes(waiter)))
    // H14: without a list it is not known whether all engines are full, so no stream ends, and a refusal to start an engine rejects no caller.
    if (snapshot !== undefined && this.#errors.storeFailure === undefined && !this.#mustServeAgain) this.#yielding.begin(snapshot)
    if (snapshot !== undefined && !this.#mustServeAgain) this.#refusals.reject(snapshot)
    if (!this.#queue.hasTimeLeft) return this.#stopTimers()
    this.#startPolling()
    // An event during this round may have freed a slot: the next round tries to take it before a new engine is requested.
    if (this.#mustServeAgain || this.#errors.storeFailure !== undefined) return
    if (snapshot !== undefined && this.#list.provesFull(snapshot)) this.#parts.provisioner.provisionForDemand()
    else void this.#refresh()
  }

  /** Serves the waiting callers from this list. Returns `false` if it was interrupted, because an event may have freed a slot. */
  async #serveFrom(snapshot: EngineSnapshot): Promise<boolean> {
    let onlyUnhealthyLeft = false
    let isFirst = true
    for (const waiter of this.#queue) {
      // A slot that was freed after an earlier caller found none belongs to that caller: begin again with the first.
      if (!isFirst && this.#mustServeAgain) return false
      isFirst = false
      const filter = this.#filters.filterFor(waiter)
      if (onlyUnhealthyLeft && !filter.allowUnhealthy) continue
      try {
        const lease = await this.#open(() => this.#take(snapshot, waiter))
        if (lease !== undefined && !(await this.#handOut(lease, waiter, snapshot))) this.#mustServeAgain = true
        if (lease !== undefined || waiter.exclude.size > 0) continue
        // This waiter accepts any engine and got none, so no later waiter can be served. Stop.
        if (filter.allowUnhealthy) return true
        if (this.#queue.allMayProvision && this.#filters.mayGrow) return !this.#mustServeAgain
        onlyUnhealthyLeft = true
      } catch (error) {
        waiter.reject(error) // thrown by the host's mapEngine or rankEngines, or by its store
      }
    }
    return true
  }

  /**
   * Gives a lease to the earliest caller that accepts its engine, also if a later caller found it: with an
   * asynchronous store a slot may become free after an earlier caller tried, and before a later caller tries.
   *
   * @returns `false`: `finder` waits on, or the slot was lost
   */
  async #handOut(taken: HeldLease, finder: Waiter, snapshot: EngineSnapshot): Promise<boolean> {
    const { leases, clock } = this.#parts
    const { containerId, healthStatus } = taken.listed
    const accepts = (caller: Waiter): boolean =>
      caller === finder || !(caller.exclude.has(containerId) || (healthStatus === 'unhealthy' && this.#filters.mayGrowFor(caller)))
    const findReceiver = (): Waiter | undefined => (this.#isClosed ? undefined : this.#queue.first(accepts))
    let lease: HeldLease | undefined = taken
    let { leaseTtlMs } = finder
    let receiver = findReceiver()
    // The lease lasts as long as its finder wanted. An earlier caller that wants another duration needs a lease of its own.
    while (lease !== undefined && receiver !== undefined && receiver.leaseTtlMs !== leaseTtlMs) {
      leaseTtlMs = receiver.leaseTtlMs
      const replaced: HeldLease = lease
      lease = await this.#errors.unlessStoreFails(() => leases.replace(replaced, snapshot, leaseTtlMs))
      receiver = findReceiver()
    }
    if (lease === undefined) return false // the next round tries again
    receiver?.serve(lease)
    leases.emitAcquired(lease, clock.now() - (receiver ?? finder).since)
    if (receiver === undefined) await lease.release()
    // The receiver may have been the last waiting caller: then the polling stops.
    else if (receiver !== finder) this.serve()
    return !this.#queue.has(finder)
  }

  async #handOutFallback(lease: FallbackLease, caller: Waiter): Promise<void> {
    if (this.#isClosed || !caller.serve(lease)) await lease.release()
    if (this.#isClosed) throw new ClientClosedError()
  }

  /** Makes a lease for the slot that `take` takes. Returns `undefined` if no engine has room, or the store fails for a while. */
  async #open(take: () => MaybePromise<TakenSlot | undefined>): Promise<HeldLease | undefined> {
    const slot = await this.#errors.unlessStoreFails(take)
    return slot === undefined ? undefined : this.#parts.leases.open(slot)
  }

  #take(list: EngineSnapshot, request: AcquireRequest): MaybePromise<TakenSlot | undefined> {
    const { taker, clock } = this.#parts
    const { leaseTtlMs } = request
    const place = taker.hasLine ? placeOf(request, this.#queue, { now: clock.now(), clientId: taker.clientId }) : undefined
    return taker.take(list, this.#filters.filterFor(request), { leaseTtlMs, place })
  }

  /** See {@link CallerErrors.sharing}. */
  errorFor(caller: Pick<Waiter, 'mayProvision' | 'exclude'>, waitedMs: number): Error {
    return this.#errors.sharing(caller, waitedMs)
  }

  /** Schedules the next read of the list. On the first call it also subscribes to slots that other processes release. */
  #startPolling(): void {
    this.#unsubscribe ??= this.#parts.taker.onFreedByOthers(() => this.serve())
    this.#list.schedulePoll(() => void this.#refresh().then(() => this.serve()))
  }

  #stopTimers(): void {
    this.#parts.taker.leaveLine()
    this.#list.cancelPoll()
    this.#refusals.cancel()
  }

  /** Requests a list, whose listener serves the callers. A round does not wait for it: a slot may be freed while the orchestrator hangs. */
  async #refresh(): Promise<void> {
    try {
      await this.#list.refresh()
    } catch (error) {
      if (this.#list.usable === undefined) this.#serveFallback(error)
    }
  }

  /** Requests a list, and resolves when the callers were served from it. */
  async #serveRefreshed(): Promise<void> {
    await this.#refresh()
    while (this.#round !== undefined) await this.#round
  }

  #serveFallback(error: unknown): void {
    for (const waiter of this.#queue) {
      const lease = this.#list.fallbackFor(error, waiter.leaseTtlMs)
      if (lease === undefined) return
      waiter.serve(lease)
    }
  }
}
