import { waitUnlessAborted } from '../../runtime/abort.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Outages } from '../../runtime/outages.ts'
import { Periodic } from '../../runtime/periodic.ts'
import type { Random } from '../../runtime/random.ts'
import type { ReconcileReport, Reconciler } from './reconciler.ts'

/** What the schedule is built from. */
export interface ReconcileScheduleParts {
  reconciler: Reconciler
  clock: Clock
  outages: Outages
  random: Random
  reconcileIntervalMs: number
  /** Aborts with the client. */
  lifetime: AbortSignal
}

const COMPARING = 'Comparing streams with the orchestrator'

/** However much there is to suspect, no more than one comparison in so long. */
const MIN_SPACING_MS = 1_000

/** Requests that were in flight are applied within this time, as far as a client can wait for that; and as much again, by chance. */
const IN_FLIGHT_MS = 5_000

/** When streams are compared: every so often, soon after something suspicious, and when a host asks. Never two at a time. */
export class ReconcileSchedule {
  readonly #parts: ReconcileScheduleParts
  readonly #periodic: Periodic
  #running: Promise<ReconcileReport> | undefined
  #next: Promise<ReconcileReport> | undefined
  #soon: Timer | undefined
  #later: Timer | undefined
  #lateSince = Number.NEGATIVE_INFINITY
  #startedAt = Number.NEGATIVE_INFINITY
  #isOn = false

  constructor(parts: ReconcileScheduleParts) {
    this.#parts = parts
    this.#periodic = new Periodic(parts.clock, parts.reconcileIntervalMs, () => this.#runIfNeeded())
  }

  /** Whether a comparison is under way. */
  get isRunning(): boolean {
    return this.#running !== undefined
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
    this.#later?.cancel()
    this.#later = undefined
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

  /** Compares in 5 to 10 s, when requests in flight are applied. One comparison for all that ask meanwhile, unless that is off. */
  later(): void {
    if (!this.#isOn) return
    const { clock, random } = this.#parts
    this.#lateSince = clock.now()
    this.#later ??= clock.setTimeout(
      () => {
        this.#later = undefined
        const isEarly = clock.now() - this.#lateSince < IN_FLIGHT_MS
        this.soon()
        if (isEarly) this.later()
      },
      IN_FLIGHT_MS * (1 + random()),
    )
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
      this.#parts.outages.works(COMPARING)
      if (this.#parts.reconciler.wasCutShort) this.soon()
    } catch (error) {
      if (this.#isOn) this.#parts.outages.failed(COMPARING, 'The streams could not be compared with the orchestrator', { error })
    }
  }
}
