import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { Periodic } from '../runtime/periodic.ts'
import type { ReconcileReport } from './reconcile-report.ts'
import type { Reconciler } from './reconciler.ts'

/** What the schedule is built from. */
export interface ReconcilingParts {
  reconciler: Reconciler
  clock: Clock
  logger: Logger
  reconcileIntervalMs: number
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** However much there is to suspect, no more than one comparison in so long. */
const MIN_SPACING_MS = 1_000

/** When streams are compared: every so often, soon after something suspicious, and when a host asks. Never two at a time. */
export class Reconciling {
  readonly #parts: ReconcilingParts
  readonly #periodic: Periodic
  #running: Promise<ReconcileReport> | undefined
  #next: Promise<ReconcileReport> | undefined
  #soon: Timer | undefined
  #startedAt = Number.NEGATIVE_INFINITY
  #isOn = false

  constructor(parts: ReconcilingParts) {
    this.#parts = parts
    this.#periodic = new Periodic(parts.clock, parts.reconcileIntervalMs, () => this.#runIfNeeded())
  }

  start(): void {
    this.#isOn = this.#parts.reconcileIntervalMs > 0
    this.#periodic.start()
  }

  stop(): void {
    this.#isOn = false
    this.#periodic.stop()
    this.#soon?.cancel()
    this.#soon = undefined
  }

  /** Compares as soon as may be, unless that is off. */
  soon(): void {
    if (!this.#isOn || this.#soon !== undefined) return
    const { clock } = this.#parts
    const delayMs = Math.max(0, this.#startedAt + MIN_SPACING_MS - clock.now())
    this.#soon = clock.setTimeout(() => {
      this.#soon = undefined
      void this.#runIfNeeded()
    }, delayMs)
  }

  /** A comparison that began after this call; those who ask while one is running share the next. */
  now(): Promise<ReconcileReport> {
    // Between the end of one and the beginning of the next nothing is running, and yet the next is due.
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
    const running = waitUnlessAborted(reconciler.reconcile(), lifetime).finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  async #runIfNeeded(): Promise<void> {
    if (!this.#isOn || !this.#parts.reconciler.isNeeded) return
    try {
      await this.now()
      if (this.#parts.reconciler.wasCutShort) this.soon()
    } catch (error) {
      if (this.#isOn) this.#parts.logger.warn('The streams could not be compared with the orchestrator', { error })
    }
  }
}
