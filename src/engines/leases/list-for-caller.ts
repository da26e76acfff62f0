import { OrchestratorError } from '../../errors.ts'
import type { EngineAddress } from '../../model/domain.ts'
import { allowsSubstitute } from '../../orchestrator/unwell.ts'
import type { SteadyClock } from '../../runtime/steady-clock.ts'
import type { Directory } from '../list/engine-list.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import { FallbackLease } from './fallback-lease.ts'
import type { Wish } from './wait-queue.ts'

/** What reading the list for a caller takes. */
export interface ListForCallerParts {
  directory: Directory
  clock: SteadyClock
  leaseTtlMs: number
  fallbackEngine: EngineAddress | undefined
}

/** The list; a lease on the fallback engine where there is no list; or why there is none yet, for a caller that has time left. */
export type ListOrSubstitute = EngineSnapshot | FallbackLease | OrchestratorError

/** Reads the list for a caller of `acquireEngine()`, with that caller's own patience. */
export class ListForCaller {
  readonly #parts: ListForCallerParts
  #fallbackCount = 0

  constructor(parts: ListForCallerParts) {
    this.#parts = parts
  }

  /** @throws what the list failed with, where neither patience nor a fallback engine is left */
  async read({ signal, waitMs }: Wish, since: number, mayBeOld: boolean): Promise<ListOrSubstitute> {
    const { directory, fallbackEngine, clock } = this.#parts
    try {
      // With something else to hand out there is nothing to be patient for.
      return await directory.get({ signal, patienceMs: fallbackEngine === undefined ? waitMs : 0, mayBeOld })
    } catch (error) {
      const fallback = this.fallback(error)
      if (fallback !== undefined) return fallback
      if (isPassing(error) && clock.now() - since < waitMs) return error
      throw error
    }
  }

  /** A lease on the fallback engine, if the orchestrator cannot be reached and the host has one. */
  fallback(error: unknown): FallbackLease | undefined {
    const { fallbackEngine, clock, leaseTtlMs } = this.#parts
    if (fallbackEngine === undefined || !allowsSubstitute(error)) return undefined
    this.#fallbackCount += 1
    return new FallbackLease(`fallback/${this.#fallbackCount}`, fallbackEngine, clock.wallNow() + leaseTtlMs)
  }
}

/** Whether a list that failed so may be readable later. */
function isPassing(error: unknown): error is OrchestratorError {
  return error instanceof OrchestratorError && error.retryable
}
