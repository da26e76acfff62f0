import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Outages } from '../../runtime/outages.ts'
import { Periodic } from '../../runtime/periodic.ts'
import type { StateStore } from '../../state/store.ts'
import type { Journal } from '../journal.ts'
import type { StreamRegistry } from '../registry.ts'
import type { ReconcileSchedule } from './schedule.ts'

/** What the inheritance is built from. */
export interface CrashRecoveryParts {
  store: StateStore
  journal: Journal
  registry: StreamRegistry
  reconcileSchedule: ReconcileSchedule
  clock: Clock
  logger: Logger
  outages: Outages
}

const RECOVERING = 'Asking the store for streams of dead processes'
const RENEWING = 'Renewing this process in the store'

/** What was on its way when its sender died has arrived by then, and can be seen. */
const SECOND_LOOK_MS = 5_000

/** Ends the streams that dead processes left, this one's predecessor's first of all, and tells the others that this one lives. */
export class CrashRecovery {
  readonly #parts: CrashRecoveryParts
  readonly #periodic: Periodic
  #secondLook: Timer | undefined
  #hasBegun = false
  #isStopped = false

  constructor(parts: CrashRecoveryParts) {
    this.#parts = parts
    const { clock, store } = parts
    this.#periodic = new Periodic(clock, store.renew === undefined ? 0 : (store.renewIntervalMs ?? 0), async () => {
      await this.#renew()
      await this.takeOver()
    })
  }

  start(): void {
    this.#periodic.start()
    if (this.#hasBegun) return
    this.#hasBegun = true
    void this.takeOver()
  }

  stop(): void {
    this.#isStopped = true
    this.#periodic.stop()
    this.#secondLook?.cancel()
  }

  /** Resolves when what was found is being ended; that is among what is pending from then on. */
  async takeOver(): Promise<void> {
    const { journal, registry, reconcileSchedule, clock, logger, outages } = this.#parts
    try {
      const left = await journal.left()
      outages.works(RECOVERING)
      // A client that closed meanwhile leaves the entries in the journal, for the process that finds this one dead.
      if (left.length === 0 || this.#isStopped) return
      for (const entry of left) registry.recover(entry)
      this.#secondLook?.cancel()
      this.#secondLook = clock.setTimeout(() => reconcileSchedule.soon(), SECOND_LOOK_MS)
      logger.warn('Ending the streams that a dead process has left', { count: left.length })
    } catch (error) {
      outages.failed(RECOVERING, 'The store did not say what dead processes have left', { error })
    }
  }

  async #renew(): Promise<void> {
    const { store, outages } = this.#parts
    try {
      await store.renew?.()
      outages.works(RENEWING)
    } catch (error) {
      outages.failed(RENEWING, 'The store did not hear that this process lives', { error })
    }
  }
}
