import type { EngineFilter } from '../placement/slot-terms.ts'
import type { ProvisionBackoff } from '../provisioning/provision-backoff.ts'
import type { AcquireRequest } from './acquire-request.ts'

/** Decides which engines a caller accepts. It gets an unhealthy engine only if no new engine may be started for it. */
export class CallerFilters {
  readonly #backoff: ProvisionBackoff

  constructor(backoff: ProvisionBackoff) {
    this.#backoff = backoff
  }

  /** Whether the orchestrator has not refused to start engines. */
  get mayGrow(): boolean {
    return this.#backoff.refusal === undefined
  }

  /** Whether a new engine may be started for this caller. */
  mayGrowFor({ mayProvision }: AcquireRequest): boolean {
    return mayProvision && this.mayGrow
  }

  /** The conditions that an engine must meet for this caller. */
  filterFor(caller: AcquireRequest): EngineFilter {
    return { exclude: caller.exclude, content: caller.content, allowUnhealthy: !this.mayGrowFor(caller) }
  }
}
