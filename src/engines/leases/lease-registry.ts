import { CapacityError, DEFAULT_RETRY_AFTER_MS, InvalidArgumentError } from '../../errors.ts'
import type { Engine, EngineAddress } from '../../model/engine.ts'
import type { EndableStream, StreamPlayback, StreamStart } from '../../model/stream.ts'
import type { Timer } from '../../runtime/clock.ts'
import { isPromiseLike, type MaybePromise } from '../../runtime/maybe-promise.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { SteadyClock } from '../../runtime/steady-clock.ts'
import type { KeepAlive } from '../../runtime/timers.ts'
import { isUnreachable } from '../../runtime/unreachable.ts'
import type { LeaseRecord, StateStore } from '../../state/store.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import { mapEngine } from '../list/addresses.ts'
import type { EngineList } from '../list/engine-list.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from '../placement/ejection.ts'
import type { SlotTaker } from '../placement/slot-taker.ts'
import type { TakenSlot } from '../placement/slot-terms.ts'
import { PROVISIONING_SLOT } from '../provisioning/provisioning-lock.ts'
import { HeldLease, type LeaseOperations } from './engine-lease.ts'

/**
 * Starts a stream for a lease.
 *
 * @param promote moves the slot from the lease to the stream, before the start is sent
 */
type StartStream = (
  start: StreamStart,
  lease: HeldLease,
  promote: (stream: { readonly id: string }) => MaybePromise<void>,
  options: LeasedStartOptions,
) => Promise<EndableStream>

/** Options of {@link LeaseRegistry.startStream}. */
export interface LeasedStartOptions {
  readonly signal: AbortSignal | undefined
  /** What the stream plays. @default the host closes it by itself */
  readonly playback?: StreamPlayback | undefined
  /** Called with the stream before its start is sent. If the start fails, the stream ends by itself. */
  readonly onTracked?: ((stream: EndableStream) => void) | undefined
}

const EXPIRING = 'Releasing expired leases in the store'

/** Dependencies and options of {@link LeaseRegistry}. */
export interface LeaseRegistryParts {
  alive: KeepAlive
  taker: SlotTaker
  engineList: EngineList
  store: StateStore
  ejectionPolicy: EjectionPolicy
  clock: SteadyClock
  counters: Counters
  emitter: Emitter
  outages: Outages
  /** The host's mapping from a listed address to an address that it can reach. */
  mapEngine: ((engine: Engine) => EngineAddress) | undefined
  startStream: StartStream
  /** Called when a slot was released or has expired: a waiting caller may have it. */
  onSlotFreed: () => void
}

/** The leases that hosts hold. Each one is released, fails, expires, or becomes a stream. */
export class LeaseRegistry implements LeaseOperations {
  readonly #parts: LeaseRegistryParts
  /** By lease id. */
  readonly #held = new Map<string, HeldLease>()
  /** Leases that became a stream, or are about to. A lease starts one stream. */
  readonly #promoted = new WeakSet<HeldLease>()
  /** Leases that failed. Each counts as one failure of its engine, however often it is reported. */
  readonly #failed = new WeakSet<HeldLease>()
  /** Leases that {@link close} does not release. */
  readonly #keptOpen = new WeakSet<HeldLease>()
  /** Number of leases that the store is releasing now. */
  #releasingCount = 0
  /** One timer for all leases, due when the first of them expires, or earlier. */
  #timer: Timer | undefined
  /** When the timer is due, milliseconds by the client's clock. */
  #timerDueMs = Number.POSITIVE_INFINITY
  #isClosed = false

  constructor(parts: LeaseRegistryParts) {
    this.#parts = parts
  }

  /** Number of leases held. */
  get size(): number {
    return this.#held.size
  }

  /** Whether the store is releasing a lease now. */
  get isReleasing(): boolean {
    return this.#releasingCount > 0
  }

  /** Whether {@link openSilently} may be called: the host has no `mapEngine`. */
  get opensSilently(): boolean {
    return this.#parts.mapEngine === undefined
  }

  /** Makes a lease for a slot that was taken. Emits nothing, and calls no function of the host. */
  openSilently(slot: TakenSlot): HeldLease {
    this.#parts.counters.leasesAcquired += 1
    return this.#hold(slot, slot.engine)
  }

  /**
   * Makes a lease for a slot that was taken. Call {@link emitAcquired} after its caller was served.
   *
   * @throws the error of the host's `mapEngine`, after the slot was released
   */
  async open(slot: TakenSlot): Promise<HeldLease> {
    const { counters, store, mapEngine: map } = this.#parts
    let engine: Engine
    try {
      engine = mapEngine(slot.engine, map)
    } catch (error) {
      await store.releaseLease(slot.leaseId)
      throw error
    }
    counters.leasesAcquired += 1
    return this.#hold(slot, engine)
  }

  /**
   * Replaces a lease that no caller has yet by a lease on the same engine that lasts `leaseTtlMs`.
   *
   * @returns `undefined` if another process has taken the slot meanwhile. With a synchronous store that cannot happen
   * @throws the error of the store
   */
  async replace(lease: HeldLease, snapshot: EngineSnapshot, leaseTtlMs: number | undefined): Promise<HeldLease | undefined> {
    const { store, taker } = this.#parts
    this.#held.delete(lease.id)
    const released = store.releaseLease(lease.id)
    if (isPromiseLike(released)) await this.#whileReleasing(released)
    const taken = taker.takeOn(lease.listed, snapshot, leaseTtlMs)
    const slot = isPromiseLike(taken) ? await taken : taken
    return slot === undefined ? undefined : this.#hold(slot, lease.engine)
  }

  /** Emits `engine:acquired`. */
  emitAcquired({ id: leaseId, listed }: HeldLease, waitedMs: number): void {
    this.#parts.emitter.to('engine:acquired')?.({ leaseId, containerId: listed.containerId, waitedMs })
  }

  /** See `EngineLease.release()`. */
  async release(lease: HeldLease): Promise<void> {
    await this.releaseNow(lease)
  }

  /** As {@link release}. Returns `undefined` if the store has answered at once. Throws the error of a synchronous store. */
  releaseNow({ id: leaseId }: HeldLease): Promise<void> | undefined {
    if (!this.#held.delete(leaseId)) return undefined
    const released = this.#parts.store.releaseLease(leaseId)
    if (isPromiseLike(released)) return this.#whileReleasing(released).then((containerId) => this.#noteReleased(leaseId, containerId))
    this.#noteReleased(leaseId, released)
    return undefined
  }

  #noteReleased(leaseId: string, containerId: string | undefined): void {
    if (containerId === undefined) return
    const { emitter, onSlotFreed } = this.#parts
    // Serve first: a listener that acquires must not overtake the waiting callers.
    onSlotFreed()
    emitter.to('engine:released')?.({ containerId, leaseId })
  }

  /** See `EngineLease.fail()`. */
  async fail(lease: HeldLease, cause: unknown, key: string | undefined): Promise<void> {
    const emitEjected = this.#recordFailure(lease, cause, key)
    const released = this.release(lease)
    // Notify only after the slot is free: a listener may acquire again at once.
    emitEjected()
    await released
  }

  /**
   * Counts one failure of the lease's engine, once per lease, and releases nothing. The lease may have become a stream.
   *
   * @param key the content that did not play, as in `FailOptions`
   */
  blame(lease: HeldLease, cause: unknown, key: string | undefined): void {
    this.#recordFailure(lease, cause, key)()
  }

  /** See `EngineLease.startStream()`. */
  startStream(lease: HeldLease, start: StreamStart, options: LeasedStartOptions): Promise<EndableStream> {
    return this.#parts.startStream(start, lease, (stream) => this.#promote(lease, stream.id), options)
  }

  /**
   * Releases the leases whose time is up. A sweep calls it too, since the timer may be late.
   *
   * @returns their number, at once if the store is synchronous
   */
  expire(): MaybePromise<number> {
    const expired = this.#parts.store.expire(this.#parts.clock.now())
    return isPromiseLike(expired) ? Promise.resolve(expired).then((leases) => this.#noteExpired(leases)) : this.#noteExpired(expired)
  }

  /** Leaves it to the caller to release this lease when the client closes: a playback may be open on its engine until then. */
  keepOpen(lease: HeldLease): void {
    this.#keptOpen.add(lease)
  }

  /** Releases every lease, except those that are kept open. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#timer = undefined
    const leases = [...this.#held.values()].filter((lease) => !this.#keptOpen.has(lease))
    await Promise.all(leases.map((lease) => this.release(lease)))
  }

  /** See {@link LeaseOperations.wallTimeOf}. */
  wallTimeOf(steadyMs: number): number {
    const { clock } = this.#parts
    return clock.wallNow() + steadyMs - clock.now()
  }

  /** Counts the first failure of a lease. Returns a function that emits `engine:ejected` if the failure ejected the engine. */
  #recordFailure(lease: HeldLease, cause: unknown, key: string | undefined): () => void {
    if (this.#failed.has(lease)) return () => {}
    this.#failed.add(lease)
    const { ejectionPolicy, emitter } = this.#parts
    const failure = key === undefined ? undefined : { key, isUnreachable: isUnreachable(cause) }
    const ejection = ejectionPolicy.recordFailure(lease.listed.containerId, failure)
    return () => {
      if (ejection !== undefined) emitter.to('engine:ejected')?.({ ...ejection, cause })
    }
  }

  #hold({ leaseId, engine: listed, expiresAt: expiresAtMs }: TakenSlot, engine: Engine): HeldLease {
    const { alive } = this.#parts
    const lease = new HeldLease({ id: leaseId, engine, listed, expiresAtMs, operations: this, alive })
    this.#held.set(leaseId, lease)
    this.#armExpiry(expiresAtMs)
    return lease
  }

  async #whileReleasing<T>(released: PromiseLike<T>): Promise<T> {
    this.#releasingCount += 1
    try {
      return await released
    } finally {
      this.#releasingCount -= 1
    }
  }

  #noteExpired(all: readonly LeaseRecord[]): number {
    const { counters, emitter, onSlotFreed } = this.#parts
    const leases = all.filter(({ containerId }) => containerId !== PROVISIONING_SLOT)
    if (leases.length === 0) return 0
    for (const { leaseId } of leases) this.#held.delete(leaseId)
    counters.leasesExpired += leases.length
    onSlotFreed()
    for (const { leaseId, containerId } of leases) emitter.to('lease:expired')?.({ leaseId, containerId })
    return leases.length
  }

  /** Moves the slot from the lease to the stream. Returns `undefined` if the store has moved it at once. */
  #promote(lease: HeldLease, streamId: string): MaybePromise<void> {
    if (this.#promoted.has(lease)) throw new InvalidArgumentError('lease', 'a lease that has no stream yet')
    this.#promoted.add(lease)
    const promoted = this.#parts.store.promote(lease.id, streamId)
    if (promoted !== true) return this.#promoteOrRetake(lease, streamId, promoted)
    this.#held.delete(lease.id)
  }

  async #promoteOrRetake(lease: HeldLease, streamId: string, promoted: MaybePromise<boolean>): Promise<void> {
    const isPromoted = isPromiseLike(promoted) ? await promoted : promoted
    if (isPromoted || (await this.#retake(lease, streamId))) {
      this.#held.delete(lease.id)
      return
    }
    this.#promoted.delete(lease)
    const message = `No stream can start on engine ${lease.listed.containerId}: the lease expired (leaseTtlMs) or was released, and the engine has no room or is not listed. Acquire an engine again.`
    throw new CapacityError(message, {
      reason: 'lease_expired',
      retryAfterMs: DEFAULT_RETRY_AFTER_MS,
      shouldWait: false,
      canRetry: true,
    })
  }

  /**
   * Takes another slot on the engine of an expired lease. So a lease may expire while the host opens the playback: the viewer still gets the
   * engine, if it is listed, is not draining (H21) and has room.
   */
  async #retake(lease: HeldLease, streamId: string): Promise<boolean> {
    const { engineList, taker, store } = this.#parts
    const snapshot = await engineList.get().catch(() => undefined)
    const engine = snapshot?.engines.find(({ containerId }) => containerId === lease.listed.containerId)
    if (snapshot === undefined || engine === undefined || engine.draining) return false
    const slot = await taker.takeOn(engine, snapshot)
    return slot !== undefined && (await store.promote(slot.leaseId, streamId))
  }

  async #onTimer(): Promise<void> {
    const { clock, outages } = this.#parts
    const now = clock.now()
    try {
      await this.expire()
      outages.works(EXPIRING)
    } catch (error) {
      outages.failed(EXPIRING, 'The store did not release the expired leases. The next sweep tries again.', { error })
    }
    // Forget the expired leases even if the store did not return them: another process on the same store may have released them.
    let nextMs = Number.POSITIVE_INFINITY
    for (const { id, expiresAtMs } of this.#held.values()) {
      if (expiresAtMs <= now) this.#held.delete(id)
      else nextMs = Math.min(nextMs, expiresAtMs)
    }
    this.#armExpiry(nextMs)
  }

  /** Arms the timer for a lease that expires at `expiresAtMs`, unless the timer is due before. */
  #armExpiry(expiresAtMs: number): void {
    if (this.#isClosed || expiresAtMs >= this.#timerDueMs) return
    const { clock } = this.#parts
    this.#timer?.cancel()
    this.#timerDueMs = expiresAtMs
    this.#timer = clock.setTimeout(
      () => {
        this.#timerDueMs = Number.POSITIVE_INFINITY
        void this.#onTimer()
      },
      Math.max(0, expiresAtMs - clock.now()),
    )
  }
}
