import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Outages } from '../../runtime/outages.ts'
import { Periodic } from '../../runtime/timers.ts'
import type { StateStore } from '../../state/store.ts'
import type { Ender } from '../ender.ts'
import { IN_FLIGHT_MS, type ReconcileSchedule } from './schedule.ts'

/** Dependencies of {@link CrashRecovery}. */
export interface CrashRecoveryParts {
  store: StateStore
  /** Ends the streams. */
  ender: Ender
  reconcileSchedule: ReconcileSchedule
  clock: Clock
  logger: Logger
  outages: Outages
}

/** Names of the work in log lines. */
const RECOVERING = 'Ending streams of dead processes'
const RENEWING = 'Renewing this process in the store'

/**
 * Ends the streams of dead processes. Each process writes its streams to the journal in the store (see `Journal`), and renews itself there. If
 * a process stops renewing, the store gives the entries of its journal to one other process, which ends the streams. The streams of
 * the process that ran before this one are ended first.
 */
export class CrashRecovery {
  readonly #parts: CrashRecoveryParts
  readonly #periodic: Periodic
  #reconcileTimer: Timer | undefined
  #hasStarted = false
  #isStopped = false

  constructor(parts: CrashRecoveryParts) {
    this.#parts = parts
    const { clock, store } = parts
    this.#periodic = new Periodic(clock, store.renew === undefined ? 0 : (store.renewIntervalMs ?? 0), async () => {
      await this.#renew()
      await this.recover()
    })
  }

  /** Recovers now, and then at the interval at which the store wants this process to renew itself. */
  start(): void {
    this.#periodic.start()
    if (this.#hasStarted) return
    this.#hasStarted = true
    void this.recover()
  }

  /** Ends no further stream: the client closes. */
  stop(): void {
    this.#isStopped = true
    this.#periodic.stop()
    this.#reconcileTimer?.cancel()
  }

  /** Requests the end of each stream that a dead process left. Resolves when these ends are pending. Never rejects. */
  async recover(): Promise<void> {
    const { store, ender, reconcileSchedule, clock, logger, outages } = this.#parts
    try {
      const entries = await store.recover()
      outages.works(RECOVERING)
      // If the client closed meanwhile, the entries stay in the journal, for another process that finds this one dead.
      if (entries.length === 0 || this.#isStopped) return
      for (const entry of entries) ender.recover(entry)
      this.#reconcileTimer?.cancel()
      this.#reconcileTimer = clock.setTimeout(() => reconcileSchedule.runSoon(), IN_FLIGHT_MS)
      logger.warn('Ending the streams that a dead process has left', { count: entries.length })
    } catch (error) {
      const message =
        'The store did not return the journal of dead processes, so their streams are not ended; the next renewal or reconcile() tries again'
      outages.failed(RECOVERING, message, { error })
    }
  }

  /** Reports to the store that this process is alive, so that no other process ends its streams. */
  async #renew(): Promise<void> {
    const { store, outages } = this.#parts
    try {
      await store.renew?.()
      outages.works(RENEWING)
    } catch (error) {
      const message = 'The store did not renew this process; if that lasts, other processes take it for dead and end its streams'
      outages.failed(RENEWING, message, { error })
    }
  }
}
