import { classifyFailure, OrchestratorError } from '../../errors.ts'
import type { EngineAddress } from '../../model/engine.ts'
import type { CircuitBreaker } from '../../orchestrator/circuit-breaker.ts'
import type { Timer } from '../../runtime/clock.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { SteadyClock } from '../../runtime/steady-clock.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { EngineList } from '../list/engine-list.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import { FallbackLease } from './engine-lease.ts'
import type { Waiter } from './wait-queue.ts'

/** Dependencies and options of {@link ListForCallers}. */
export interface ListForCallersParts {
  engineList: EngineList
  clock: SteadyClock
  circuit: CircuitBreaker | undefined
  emitter: Emitter
  cacheTtlMs: number
  staleIfErrorMs: number
  leaseTtlMs: number
  fallbackEngine: EngineAddress | undefined
}

/** Shortest interval between two polls of the engine list while callers wait. */
const MIN_POLL_MS = 500
/** Longest interval between two polls while there is no list to serve callers from. */
const NO_LIST_POLL_MS = 2_000

/**
 * The result of a read for a caller of `acquireEngine()`: an engine list, a lease on `fallbackEngine`, or, for a caller that has time left,
 * the error because of which there is neither yet.
 */
export type ListOrSubstitute = EngineSnapshot | FallbackLease | OrchestratorError

/**
 * The engine list as the callers of `acquireEngine()` need it: read with each caller's own `waitMs`, replaced by `fallbackEngine` while the
 * orchestrator cannot be reached, and polled while callers wait. It also decides which list proves that all engines are full (H14).
 */
export class ListForCallers {
  readonly #parts: ListForCallersParts
  /** Sequence number at which the first waiting caller began to wait. */
  #waitingSince = 0
  /** The list that was known then. */
  #listBefore: EngineSnapshot | undefined
  #timer: Timer | undefined
  #fallbackCount = 0

  constructor(parts: ListForCallersParts) {
    this.#parts = parts
  }

  /** The last list, as long as callers may be served from it; `undefined`: there is none, or it is too old. */
  get usable(): EngineSnapshot | undefined {
    const { engineList, clock, cacheTtlMs, staleIfErrorMs } = this.#parts
    const { last } = engineList
    if (last === undefined) return undefined
    return clock.now() - last.receivedAt <= Math.max(cacheTtlMs, MIN_POLL_MS) + staleIfErrorMs ? last : undefined
  }

  /** Whether the last list would be served without a refresh. */
  get isFresh(): boolean {
    const { engineList } = this.#parts
    return engineList.last !== undefined && engineList.isFresh(engineList.last)
  }

  /**
   * Begins to read the list for one caller. Returns the list itself if it need not be waited for; pass the answer to {@link read} otherwise.
   *
   * @param allowStale whether an old list is served while a refresh is slow
   */
  begin({ signal, waitMs }: Pick<Waiter, 'signal' | 'waitMs'>, allowStale: boolean): MaybePromise<EngineSnapshot> {
    const { engineList, fallbackEngine } = this.#parts
    // With a fallback engine there is no need to retry until `waitMs` is over.
    return engineList.getNow({ signal, patienceMs: fallbackEngine === undefined ? waitMs : 0, allowStale })
  }

  /**
   * Reads the list for one caller.
   *
   * @param list the answer of {@link begin} for this caller
   * @throws the error of the request, if it is permanent or the caller has no time left, and there is no fallback engine; the reason of the
   *   caller's signal when aborted
   */
  async read({ since, waitMs, leaseTtlMs }: Waiter, list: MaybePromise<EngineSnapshot>): Promise<ListOrSubstitute> {
    const { clock } = this.#parts
    try {
      return await list
    } catch (error) {
      const fallback = this.fallbackFor(error, leaseTtlMs)
      if (fallback !== undefined) return fallback
      const hasTimeLeft = clock.now() - since < waitMs
      if (error instanceof OrchestratorError && error.retryable && hasTimeLeft) return error
      throw error
    }
  }

  /**
   * A lease on `fallbackEngine` in place of a list that failed with this error; `undefined` if the host has none or the error does not allow it.
   *
   * @param leaseTtlMs how long the lease lasts. @default the option `leaseTtlMs`
   */
  fallbackFor(error: unknown, leaseTtlMs: number = this.#parts.leaseTtlMs): FallbackLease | undefined {
    const { fallbackEngine, clock } = this.#parts
    if (fallbackEngine === undefined || !classifyFailure(error).allowsFallback) return undefined
    this.#fallbackCount += 1
    return new FallbackLease(`fallback/${this.#fallbackCount}`, fallbackEngine, clock.wallNow() + leaseTtlMs)
  }

  /**
   * Records that the first caller begins to wait. From now on {@link provesFull} accepts only later lists.
   *
   * @param sequence sequence number at which that caller called
   */
  beginWait(sequence: number): void {
    this.#waitingSince = sequence
    this.#listBefore = this.#parts.engineList.last
  }

  /**
   * Whether this list proves that no engine has room (H14): only a list that was taken after the callers began to wait does. A pushed list
   * has no sequence number of its own. It counts if it arrived since then and shows all events that were acknowledged before.
   */
  provesFull(list: EngineSnapshot): boolean {
    const isLaterPush = list.takenAtNs !== undefined && list !== this.#listBefore && list.sequence >= this.#waitingSince
    return isLaterPush || list.sequence > this.#waitingSince
  }

  /**
   * Requests a list that {@link provesFull} accepts.
   *
   * @throws the error of the request
   */
  async refresh(): Promise<void> {
    const { engineList } = this.#parts
    await engineList.get({ newerThan: Math.max(this.#waitingSince, engineList.last?.sequence ?? 0), orPushed: true })
  }

  /**
   * Calls `onDue` once, when the list should be read again: after `cacheTtlMs`; without a usable list after 2 s at the latest, or when the
   * circuit breaker lets a request through. Does nothing if a call is due already.
   */
  schedulePoll(onDue: () => void): void {
    const { clock, cacheTtlMs, circuit, emitter } = this.#parts
    const noListMs = circuit?.isClosed === false ? Math.min(NO_LIST_POLL_MS, circuit.error.retryAfterMs) : NO_LIST_POLL_MS
    this.#timer ??= clock.setTimeout(
      () => {
        this.#timer = undefined
        // Not as part of the call that armed the timer: it may have its engine by now, and others wait.
        emitter.operations.detach(onDue)
      },
      Math.max(this.usable === undefined ? Math.min(cacheTtlMs, noListMs) : cacheTtlMs, MIN_POLL_MS),
    )
  }

  cancelPoll(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
