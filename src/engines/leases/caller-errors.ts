import { CircuitOpenError, type OrchestratorError, StoreError } from '../../errors.ts'
import type { CircuitBreaker } from '../../orchestrator/circuit-breaker.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { EngineList } from '../list/engine-list.ts'
import type { SlotTaker } from '../placement/slot-taker.ts'
import type { Provisioner } from '../provisioning/provisioner.ts'
import { type CapacityFacts, capacityErrorFor } from './capacity-error.ts'
import type { QueuePosition, Waiter } from './wait-queue.ts'

/** The traits of a caller on which its error depends. */
type Caller = Pick<Waiter, 'mayProvision' | 'exclude'>

/** Dependencies of {@link CallerErrors}. */
export interface CallerErrorsParts {
  provisioner: Provisioner
  engineList: EngineList
  taker: SlotTaker
  circuit: CircuitBreaker | undefined
  /** Whether there is a list from which callers may be served. */
  hasUsableList: () => boolean
}

/** Makes the errors of the callers of `acquireEngine()` that get no engine. */
export class CallerErrors {
  /** The error of the last call of the store, if it failed to take a slot. */
  storeFailure: StoreError | undefined
  readonly #parts: CallerErrorsParts

  constructor(parts: CallerErrorsParts) {
    this.#parts = parts
  }

  /** Calls the store, and keeps its failure. Returns `undefined` if it fails for a while. */
  async unlessStoreFails<T>(call: () => MaybePromise<T | undefined>): Promise<T | undefined> {
    try {
      const answer = await call()
      this.storeFailure = undefined
      return answer
    } catch (error) {
      if (!(error instanceof StoreError) || !error.retryable) throw error
      this.storeFailure = error // there may be room, so callers with time left wait for the store
      return undefined
    }
  }

  /** The error of a caller that does not wait. */
  notWaiting(caller: Caller): Error {
    return capacityErrorFor(this.#factsFor(caller))
  }

  /** The error of a caller that shares another one's call, and leaves it after `waitedMs`. */
  sharing(caller: Caller, waitedMs: number): Error {
    return capacityErrorFor(this.#factsFor(caller), { waitedMs })
  }

  /**
   * The error of a waiting caller for which no engine became free.
   *
   * @param listFailure why there was no engine list when it called; `undefined` if there was one
   */
  waiting(waiter: Waiter, place: QueuePosition, listFailure: OrchestratorError | undefined): Error {
    const { engineList, circuit, hasUsableList } = this.#parts
    const hadList = engineList.last !== undefined && engineList.last.receivedAt >= waiter.since
    if (listFailure === undefined || hadList || hasUsableList()) return capacityErrorFor(this.#factsFor(waiter), place)
    // The caller never had a list to choose from. An open circuit breaker makes a new error: its `retryAfterMs` counts down.
    return listFailure instanceof CircuitOpenError && circuit?.isClosed === false ? circuit.error : listFailure
  }

  #factsFor({ mayProvision, exclude }: Caller): CapacityFacts {
    const { provisioner, engineList, taker, circuit } = this.#parts
    const { last, failure } = engineList
    return {
      backoff: provisioner.backoff,
      mayProvision,
      occupancy: last === undefined ? undefined : taker.occupancy(last, exclude),
      listFailure: failure !== undefined && circuit?.isClosed === false ? circuit.error : failure,
      storeFailure: this.storeFailure,
    }
  }
}
