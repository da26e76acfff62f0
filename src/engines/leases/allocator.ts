import { CircuitOpenError, ClientClosedError, StoreError } from '../../errors.ts'
import type { EngineLease } from '../../model/lease.ts'
import type { CircuitBreaker } from '../../orchestrator/circuit-breaker.ts'
import type { Timer } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Emitter } from '../../telemetry/emitter.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { EngineFilter, SlotTaker } from '../placement/slot-taker.ts'
import { capacityErrorFor, isWorthWaiting, type Outlook } from '../provisioning/capacity-error.ts'
import type { Provisioner } from '../provisioning/provisioner.ts'
import { FallbackLease, ListForCaller, type ListForCallerParts, type ListOrSubstitute } from './fallback-lease.ts'
import type { HeldLease } from './held-lease.ts'
import type { LeaseRegistry } from './lease-registry.ts'
import { type AcquireRequest, type QueuePosition, type Waiter, WaitQueue } from './wait-queue.ts'

/** What the allocator is built from. */
export interface AllocatorParts extends ListForCallerParts {
  provisioner: Provisioner
  taker: SlotTaker
  leases: LeaseRegistry
  sequence: Sequence
  emitter: Emitter
  cacheTtlMs: number
  staleIfErrorMs: number
  circuit: CircuitBreaker | undefined
  /** Whether an end is being delivered or a lease released, so that a slot may become free in a moment. */
  isSlotComing: () => boolean
}

/** How often the list is read while somebody waits, at most. */
const MIN_POLL_MS = 500
/** How often, at most, a list is requested for callers who have none to choose from. */
const BLIND_POLL_MS = 2_000
/** With engines there, no refusal sends a caller away sooner: a player that zaps frees its slot a moment after it wants the next. */
const GRACE_MS = 2_000

/** Gives every caller a lease on an engine with room: at once, or in order of arrival as soon as an engine has room. */
export class Allocator {
  readonly #parts: AllocatorParts
  readonly #line: WaitQueue
  readonly #list: ListForCaller
  #isServing = false
  #mustServeAgain = false
  #isClosed = false
  #poll: Timer | undefined
  #grace: Timer | undefined
  /** Lists requested up to here say nothing of whether those in the line still have to wait. */
  #fullSince = 0
  /** The list that was known when the first of the line began to wait: a pushed list that came later may say that all are full. */
  #listBefore: EngineSnapshot | undefined
  /** Why the store could not say just now whether there is room. */
  #storeTrouble: StoreError | undefined
  #stopListening: (() => void) | undefined

  constructor(parts: AllocatorParts) {
    this.#parts = parts
    this.#list = new ListForCaller(parts)
    this.#line = new WaitQueue(
      parts.clock,
      (waiter, place) => this.#explain(waiter, place),
      () => this.serve(),
    )
    parts.engineList.onRefresh((snapshot) => {
      parts.taker.noteList(snapshot)
      this.serve()
    })
  }

  get waitingCount(): number {
    return this.#line.length
  }

  /** Waiting callers that a new engine would help. */
  get provisioningCount(): number {
    return this.#line.provisioningCount
  }

  /** See `OrchestratorClient.acquireEngine`. */
  async acquire(wish: AcquireRequest): Promise<EngineLease> {
    wish.signal?.throwIfAborted()
    const { clock, sequence } = this.#parts
    const caller = this.#line.arrive(wish, clock.now())
    this.#place(caller, sequence.current).catch((error: unknown) => caller.reject(error))
    return caller.lease
  }

  /** Serves a caller at once, or lets it wait. */
  async #place(caller: Waiter, before: number): Promise<void> {
    const { engineList, emitter } = this.#parts
    let list: ListOrSubstitute | undefined
    // A newcomer never overtakes: while others wait, it waits behind them. Where there is no list to serve the line from, it looks too.
    if (this.#line.length === 0 || this.#usableList() === undefined) {
      list = await this.#list.read(caller, caller.since, true)
      if (list instanceof FallbackLease) return this.#handOutFallback(list, caller)
      if (!(list instanceof Error)) await this.#tryAtOnce(caller, list)
    }
    if (this.#isClosed) throw new ClientClosedError()
    if (!this.#line.has(caller)) return
    const hasLooked = list !== undefined && !(list instanceof Error)
    const mayBeOld = !this.#hasFreshList() && (!hasLooked || engineList.isBusy)
    if (this.#line.length === 0) {
      if (caller.waitMs === 0 && !mayBeOld) throw capacityErrorFor(this.#outlook(caller))
      this.#fullSince = before
      this.#listBefore = engineList.last
    }
    this.#line.wait(caller, list instanceof Error ? list : undefined)
    if (caller.waitMs > 0) emitter.emit('capacity:waiting', { waiting: this.#line.length })
    else if (mayBeOld) void this.#hastenAfterRefresh(caller)
    else this.#line.markNonWaiting(caller)
    this.serve()
  }

  /** An old list never proves that there is no room: a caller that does not wait is rejected only after the refresh. */
  async #hastenAfterRefresh(waiter: Waiter): Promise<void> {
    try {
      const refreshed = await this.#list.read(waiter, waiter.since, false)
      if (refreshed instanceof FallbackLease) return await this.#handOutFallback(refreshed, waiter)
      this.#line.markNonWaiting(waiter)
      this.serve()
    } catch (error) {
      waiter.reject(error)
    }
  }

  /** Serves the line as far as there is room, then sees to it that there will be more. */
  serve(): void {
    if (this.#line.length === 0) {
      this.#stopPolling()
      return
    }
    if (this.#isServing) {
      this.#mustServeAgain = true
      return
    }
    this.#isServing = true
    void this.#serveAll().finally(() => {
      this.#isServing = false
      if (this.#mustServeAgain) {
        this.#mustServeAgain = false
        this.serve()
      }
    })
  }

  /** Sends everybody away, those included who are still looking. */
  close(): void {
    this.#isClosed = true
    for (const waiter of this.#line) waiter.reject(new ClientClosedError())
    this.#stopPolling()
    this.#stopListening?.()
  }

  /** Takes slots until this caller has one, has left, or has to wait: a slot that it finds may go to an earlier caller. */
  async #tryAtOnce(caller: Waiter, list: EngineSnapshot): Promise<void> {
    while (!this.#isClosed && this.#line.length === 0 && this.#line.has(caller)) {
      const lease = await this.#take(list, { exclude: caller.exclude, allowUnhealthy: !this.#mayGrow(caller) })
      if (lease === undefined) return
      await this.#handOut(lease, caller)
    }
  }

  async #serveAll(): Promise<void> {
    const { nonWaiting } = this.#line
    const snapshot = this.#usableList()
    // Interrupted: the next round begins at once, and looks for everybody, those who do not wait included.
    if (snapshot !== undefined && !(await this.#serveFrom(snapshot))) return
    this.#line.dismiss(nonWaiting)
    // Without a list nobody knows whether all engines are full: a refusal to start another one says nothing then (H14).
    if (snapshot !== undefined) this.#dismiss(snapshot.engines.length === 0 ? 0 : GRACE_MS)
    if (!this.#line.hasPatient) return this.#stopPolling()
    this.#startPolling()
    // What happened meanwhile may have brought room: the next round looks before more is asked for.
    if (this.#mustServeAgain || this.#storeTrouble !== undefined) return
    // H14: a list that could not be read, or is older than the wait, is no proof that every engine is full.
    if (snapshot !== undefined && this.#provesFull(snapshot)) this.#parts.provisioner.provisionForDemand()
    else void this.#refresh()
  }

  /** A pushed list has no number of its own: it counts if it came after the wait began, and holds everything acknowledged before. */
  #provesFull(list: EngineSnapshot): boolean {
    const isLaterPush = list.takenAtNs !== undefined && list !== this.#listBefore && list.sequence >= this.#fullSince
    return isLaterPush || list.sequence > this.#fullSince
  }

  /** `false`: interrupted, since there may be room that was not there when it began. */
  async #serveFrom(snapshot: EngineSnapshot): Promise<boolean> {
    let onlyUnhealthyLeft = false
    let isFirst = true
    for (const waiter of this.#line) {
      // A slot that was freed while somebody looked in vain may be what that one wanted: begin again with the first.
      if (!isFirst && this.#mustServeAgain) return false
      isFirst = false
      const allowUnhealthy = !this.#mayGrow(waiter)
      if (onlyUnhealthyLeft && !allowUnhealthy) continue
      try {
        const lease = await this.#take(snapshot, { exclude: waiter.exclude, allowUnhealthy })
        if (lease !== undefined && !(await this.#handOut(lease, waiter))) this.#mustServeAgain = true
        // Who excludes nothing is as easy to please as anybody behind.
        if (lease !== undefined || waiter.exclude.size > 0) continue
        if (allowUnhealthy) return true
        onlyUnhealthyLeft = true
      } catch (error) {
        waiter.reject(error) // the host's own mapEngine or rankEngines, or its store
      }
    }
    return true
  }

  /**
   * Gives a lease to the earliest caller that accepts its engine, whichever caller found it: where the store answers later, a later caller may
   * have seen a slot that an earlier one looked for too soon. `false`: `finder` has none yet.
   */
  async #handOut(lease: HeldLease, finder: Waiter): Promise<boolean> {
    const { leases, clock } = this.#parts
    const { containerId, healthStatus } = lease.listed
    const accepts = (caller: Waiter): boolean =>
      caller === finder || !(caller.exclude.has(containerId) || (healthStatus === 'unhealthy' && this.#mayGrow(caller)))
    const receiver = this.#isClosed ? undefined : this.#line.first(accepts)
    receiver?.serve(lease)
    leases.announce(lease, clock.now() - (receiver ?? finder).since)
    if (receiver === undefined) await lease.release()
    // With the last of the line served by a caller that looked at once, there is nothing left to poll for.
    else if (receiver !== finder) this.serve()
    return !this.#line.has(finder)
  }

  async #handOutFallback(lease: FallbackLease, caller: Waiter): Promise<void> {
    if (this.#isClosed || !caller.serve(lease)) await lease.release()
    if (this.#isClosed) throw new ClientClosedError()
  }

  async #take(snapshot: EngineSnapshot, filter: EngineFilter): Promise<HeldLease | undefined> {
    const { taker, leases } = this.#parts
    try {
      const slot = await taker.take(snapshot, filter)
      this.#storeTrouble = undefined
      return slot === undefined ? undefined : leases.open(slot)
    } catch (error) {
      if (!(error instanceof StoreError) || !error.retryable) throw error
      this.#storeTrouble = error // there may be room: who can wait, waits for the store
      return undefined
    }
  }

  /** Whether a better engine than an unhealthy one may still come. */
  #mayGrow(wish: Pick<AcquireRequest, 'mayProvision'>): boolean {
    return wish.mayProvision && this.#parts.provisioner.memory.refusal === undefined
  }

  /**
   * Rejects callers for whom waiting makes no sense, once they have waited for `graceMs` and unless a slot may become free in a moment. What
   * one request was refused, another that is under way may still bring.
   */
  #dismiss(graceMs: number): void {
    const { provisioner, clock, isSlotComing } = this.#parts
    const { memory, slotsUnderWay } = provisioner
    this.#grace?.cancel()
    this.#grace = undefined
    if (memory.refusal === undefined || isSlotComing()) return
    const now = clock.now()
    const hopeless = [...this.#line]
      .slice(slotsUnderWay)
      .filter((waiter) => waiter.mayProvision && waiter.waitMs > 0 && !isWorthWaiting(memory, waiter.waitMs - (now - waiter.since)))
    this.#line.dismiss(hopeless.filter(({ since }) => now - since >= graceMs))
    const next = Math.min(...hopeless.map(({ since }) => since + graceMs).filter((at) => at > now))
    if (next !== Number.POSITIVE_INFINITY) this.#grace = clock.setTimeout(() => this.serve(), next - now)
  }

  #explain(waiter: Waiter, place: QueuePosition): Error {
    const { engineList, circuit } = this.#parts
    const listFailure = this.#line.listFailureOf(waiter)
    const hadList = engineList.last !== undefined && engineList.last.receivedAt >= waiter.since
    if (listFailure === undefined || hadList || this.#usableList() !== undefined) return capacityErrorFor(this.#outlook(waiter), place)
    // It never had a list to choose from. The wait that an open circuit advises gets shorter all the time.
    return listFailure instanceof CircuitOpenError && circuit?.isClosed === false ? circuit.error : listFailure
  }

  #outlook({ mayProvision, exclude }: Pick<AcquireRequest, 'mayProvision' | 'exclude'>): Outlook {
    const { provisioner, engineList, taker, circuit } = this.#parts
    const { last, failure } = engineList
    return {
      memory: provisioner.memory,
      mayProvision,
      occupancy: last === undefined ? undefined : taker.occupancy(last, exclude),
      listFailure: failure !== undefined && circuit?.isClosed === false ? circuit.error : failure,
      storeFailure: this.#storeTrouble,
    }
  }

  #usableList(): EngineSnapshot | undefined {
    const { engineList, clock, cacheTtlMs, staleIfErrorMs } = this.#parts
    const { last } = engineList
    if (last === undefined) return undefined
    return clock.now() - last.receivedAt <= Math.max(cacheTtlMs, MIN_POLL_MS) + staleIfErrorMs ? last : undefined
  }

  #hasFreshList(): boolean {
    const { engineList } = this.#parts
    return engineList.last !== undefined && engineList.isFresh(engineList.last)
  }

  #startPolling(): void {
    const { clock, cacheTtlMs, circuit } = this.#parts
    const blindMs = circuit?.isClosed === false ? Math.min(BLIND_POLL_MS, circuit.error.retryAfterMs) : BLIND_POLL_MS
    // From the first who waits on; others' slots come back without a list that shows it.
    this.#stopListening ??= this.#parts.taker.onFreedByOthers(() => this.serve())
    this.#poll ??= clock.setTimeout(
      () => {
        this.#poll = undefined
        void this.#refresh().then(() => this.serve())
      },
      Math.max(this.#usableList() === undefined ? Math.min(cacheTtlMs, blindMs) : cacheTtlMs, MIN_POLL_MS),
    )
  }

  #stopPolling(): void {
    this.#poll?.cancel()
    this.#poll = undefined
    this.#grace?.cancel()
    this.#grace = undefined
  }

  /** A refresh that arrives serves the line by itself; one that fails leaves it as it is, until the next poll. */
  async #refresh(): Promise<void> {
    const { engineList } = this.#parts
    // Not awaited by those who serve: a slot that is freed meanwhile must not wait for an orchestrator that hangs.
    try {
      await engineList.get({ newerThan: Math.max(this.#fullSince, engineList.last?.sequence ?? 0), orPushed: true })
    } catch (error) {
      if (this.#usableList() === undefined) this.#serveFallback(error)
    }
  }

  #serveFallback(error: unknown): void {
    for (const waiter of this.#line) {
      const lease = this.#list.fallback(error)
      if (lease === undefined) return
      waiter.serve(lease)
    }
  }
}
