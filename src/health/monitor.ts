import { AuthenticationError } from '../errors.ts'
import type { OrchestratorHealth, OrchestratorStatus } from '../model/health.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { KeyCheck } from '../orchestrator/key-check.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Outages } from '../runtime/outages.ts'
import type { RetryParts } from '../runtime/retry.ts'
import { retryRead } from '../runtime/retry.ts'
import type { SteadyClock } from '../runtime/steady-clock.ts'
import type { Emitter } from '../telemetry/events.ts'

const READING = "Reading the orchestrator's health"

/** Dependencies and options of {@link HealthMonitor}. */
export interface HealthMonitorParts extends RetryParts {
  api: OrchestratorApi
  clock: SteadyClock
  emitter: Emitter
  outages: Outages
  keyCheck: KeyCheck
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** Before the first check `canProvision` is true: an unknown status that counted as "no" once rejected 71 viewers (H13). */
const UNKNOWN: OrchestratorStatus = Object.freeze({
  status: 'unknown',
  provisioning: Object.freeze({ canProvision: true, shouldWait: true }),
})

/** Keeps the last status that the orchestrator reported. It informs the host, and blocks no request. */
export class HealthMonitor {
  readonly #parts: HealthMonitorParts
  #current: OrchestratorHealth
  #checkedAt: number | undefined
  #check: Promise<OrchestratorHealth> | undefined
  /** Whether one of the callers that share the check wants it retried. */
  #isRetried = false

  constructor(parts: HealthMonitorParts) {
    this.#parts = parts
    this.#current = Object.freeze({ ...UNKNOWN, key: parts.keyCheck.state })
  }

  /** The last known status. Sends nothing. */
  get current(): OrchestratorHealth {
    return this.#current
  }

  /** Copies the current state of the API key into the health. */
  updateKey(): void {
    this.#set(this.#current)
  }

  /**
   * Reads the status, or joins a check in flight.
   *
   * @param options `persists`: retry a read that fails. A caller that checks again soon does not need it.
   */
  check({ signal, persists = false }: { signal?: AbortSignal | undefined; persists?: boolean } = {}): Promise<OrchestratorHealth> {
    this.#isRetried ||= persists
    this.#check ??= this.#read().finally(() => {
      this.#check = undefined
      this.#isRetried = false
    })
    return waitUnlessAborted(this.#check, signal)
  }

  async #read(): Promise<OrchestratorHealth> {
    const { api, clock, outages, lifetime } = this.#parts
    try {
      const health = await retryRead(
        this.#parts,
        lifetime,
        (attempt) => api.status({ signal: lifetime, attempt }),
        () => !this.#isRetried,
      )
      this.#checkedAt = clock.wallNow()
      outages.works(READING)
      return this.#set(health)
    } catch (error) {
      if (!lifetime.aborted) {
        if (!(error instanceof AuthenticationError)) outages.failed(READING, "The orchestrator's health could not be read", { error })
        // Keep the last provisioning advice: a failed check does not mean that the orchestrator refuses.
        if (this.#current.status !== 'unknown') this.#set({ ...this.#current, status: 'unavailable' })
      }
      throw error
    }
  }

  #set(status: OrchestratorStatus): OrchestratorHealth {
    const previous = this.#current
    const { checkedAt: _, ...rest } = { checkedAt: undefined, ...status }
    const health = { ...rest, key: this.#parts.keyCheck.state }
    const checkedAt = this.#checkedAt
    Object.freeze(health.provisioning)
    Object.freeze(health.capacity)
    // Callers share the object, and a `Date` cannot be frozen: each access returns a new one.
    const date = { enumerable: true, get: () => new Date(checkedAt ?? 0) }
    this.#current = Object.freeze(checkedAt === undefined ? health : Object.defineProperty(health, 'checkedAt', date))
    if (!isSame(previous, health)) this.#parts.emitter.to('health:changed')?.({ previous, current: this.#current })
    return this.#current
  }
}

function isSame(a: OrchestratorHealth, b: OrchestratorHealth): boolean {
  return (
    a.status === b.status &&
    a.key === b.key &&
    a.vpnConnected === b.vpnConnected &&
    a.provisioning.canProvision === b.provisioning.canProvision &&
    a.provisioning.code === b.provisioning.code
  )
}
