import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { Random } from '../../runtime/random.ts'
import { Periodic } from '../../runtime/timers.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { ReconcileReport, Reconciler } from './reconciler.ts'

/** Dependencies and options of {@link ReconcileSchedule}. */
export interface ReconcileScheduleParts {
  reconciler: Reconciler
  clock: Clock
  emitter: Emitter
  outages: Outages
  random: Random
  /** Time between the end of a reconciliation and the next one, milliseconds. 0: only the host's calls reconcile. */
  reconcileIntervalMs: number
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** Names the work in log lines. */
const RECONCILING = 'Reconciling streams with the orchestrator'

/** Time between the starts of two reconciliations that the client requests itself. */
const MIN_SPACING_MS = 1_000

/** Requests in flight are expected to be applied within this time. */
export const IN_FLIGHT_MS = 5_000

/**
 * Decides when the client reconciles: at an interval, soon after a sign that a list differs from a live stream, and when the host calls for it.
 * Two reconciliations never run at the same time. If `reconcileIntervalMs` is 0, or after {@link stop}, only {@link runNow} reconciles.
 */
export class ReconcileSchedule {
  readonly #parts: ReconcileScheduleParts
  readonly #periodic: Periodic
  /** The reconciliation in progress. */
  #running: Promise<ReconcileReport> | undefined
  /** The one that follows it, if a call requested it. */
  #next: Promise<ReconcileReport> | undefined
  #soon: Timer | undefined
  #later: Timer | undefined
  #laterRequestedAt = Number.NEGATIVE_INFINITY
  #startedAt = Number.NEGATIVE_INFINITY
  #isOn = false

  constructor(parts: ReconcileScheduleParts) {
    this.#parts = parts
    this.#periodic = new Periodic(parts.clock, parts.reconcileIntervalMs, () => this.#runForNobody())
  }

  /** Whether a reconciliation is in progress. */
  get isRunning(): boolean {
    return this.#running !== undefined
  }

  /** Starts to reconcile at the interval. Before this call, {@link runSoon} and {@link runLater} do nothing. */
  start(): void {
    this.#isOn = this.#parts.reconcileIntervalMs > 0
    this.#periodic.start()
  }

  /** Cancels all reconciliations that are due. One in progress goes on, but its failure is not logged. */
  stop(): void {
    this.#isOn = false
    this.#periodic.stop()
    this.#soon?.cancel()
    this.#soon = undefined
    this.#later?.cancel()
    this.#later = undefined
  }

  /** Reconciles at once, but no sooner than 1 s after the last reconciliation started. */
  runSoon(): void {
    if (!this.#isOn || this.#soon !== undefined) return
    const { clock } = this.#parts
    const delayMs = Math.max(0, this.#startedAt + MIN_SPACING_MS - clock.now())
    this.#soon = clock.setTimeout(() => {
      this.#soon = undefined
      void this.#runForNobody()
    }, delayMs)
  }

  /**
   * Reconciles in 5 to 10 s, when requests in flight are applied. All calls within that time share one reconciliation; another one follows if
   * the last call came less than 5 s before it.
   */
  runLater(): void {
    if (!this.#isOn) return
    const { clock, random } = this.#parts
    this.#laterRequestedAt = clock.now()
    this.#later ??= clock.setTimeout(
      () => {
        this.#later = undefined
        const isEarly = clock.now() - this.#laterRequestedAt < IN_FLIGHT_MS
        this.runSoon()
        if (isEarly) this.runLater()
      },
      IN_FLIGHT_MS * (1 + random()),
    )
  }

  /**
   * Reconciles now, or right after the reconciliation in progress: the report is of a reconciliation that started after this call. Calls
   * during one reconciliation share the next one.
   *
   * @throws the error of the request that failed, or the reason with which the client closed
   */
  runNow(): Promise<ReconcileReport> {
    // Check this first: between the end of one reconciliation and the start of the next none is running.
    if (this.#next !== undefined) return this.#next
    if (this.#running === undefined) return this.#run()
    const next = (): Promise<ReconcileReport> => {
      this.#next = undefined
      return this.#run()
    }
    this.#next = this.#running.then(next, next)
    return this.#next
  }

  #run(): Promise<ReconcileReport> {
    const { reconciler, clock, lifetime } = this.#parts
    this.#startedAt = clock.now()
    const running = waitUnlessAborted(reconciler.reconcile(lifetime), lifetime).finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  /** Reconciles if needed, not as part of the call that armed the timer. */
  #runForNobody(): Promise<void> {
    return this.#parts.emitter.operations.detach(() => this.#runIfNeeded())
  }

  async #runIfNeeded(): Promise<void> {
    if (!this.#isOn || !this.#parts.reconciler.isNeeded) return
    try {
      await this.runNow()
      this.#parts.outages.works(RECONCILING)
      if (this.#parts.reconciler.wasCutShort) this.runSoon()
    } catch (error) {
      if (!this.#isOn) return // the client is closing
      const message = 'The streams were not reconciled with the orchestrator; the next reconciliation tries again'
      this.#parts.outages.failed(RECONCILING, message, { error })
    }
  }
}
