import { AuthenticationError } from '../errors.ts'
import type { OrchestratorHealth, OrchestratorStatus } from '../model/health.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { KeyCheck } from '../orchestrator/key-check.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Outages } from '../runtime/outages.ts'
import type { RetryParts } from '../runtime/retry.ts'
import { retrying } from '../runtime/retry.ts'
import type { SteadyClock } from '../runtime/steady-clock.ts'
import type { Emitter } from '../telemetry/emitter.ts'

const READING = "Reading the orchestrator's health"

/** What the health monitor is built from. */
export interface HealthMonitorParts extends RetryParts {
  api: OrchestratorApi
  clock: SteadyClock
  emitter: Emitter
  outages: Outages
  keyCheck: KeyCheck
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** A status not yet known was taken for "cannot provision" once: 71 viewers were turned away with an empty reason (hazard 13). */
const UNKNOWN: OrchestratorStatus = Object.freeze({
  status: 'unknown',
  provisioning: Object.freeze({ canProvision: true, shouldWait: true }),
})

/** The orchestrator's own view of itself. It advises and never blocks anything. */
export class HealthMonitor {
  readonly #parts: HealthMonitorParts
  #current: OrchestratorHealth
  #checkedAt: number | undefined
  #check: Promise<OrchestratorHealth> | undefined
  /** Whether one of the callers that share the question wants it retried. */
  #persists = false

  constructor(parts: HealthMonitorParts) {
    this.#parts = parts
    this.#current = Object.freeze({ ...UNKNOWN, key: parts.keyCheck.state })
  }

  /** The last known, without I/O. */
  get current(): OrchestratorHealth {
    return this.#current
  }

  /** Takes over what is now known about the API key. */
  updateKey(): void {
    this.#set(this.#current)
  }

  /** Asks, or joins those who are asking. `persists`: repeats a question that fails; who asks again before long need not. */
  check({ signal, persists = false }: { signal?: AbortSignal | undefined; persists?: boolean } = {}): Promise<OrchestratorHealth> {
    this.#persists ||= persists
    this.#check ??= this.#ask().finally(() => {
      this.#check = undefined
      this.#persists = false
    })
    return waitUnlessAborted(this.#check, signal)
  }

  async #ask(): Promise<OrchestratorHealth> {
    const { api, clock, outages, lifetime } = this.#parts
    try {
      const health = await retrying(
        this.#parts,
        lifetime,
        () => api.status({ signal: lifetime }),
        () => !this.#persists,
      )
      this.#checkedAt = clock.wallNow()
      outages.works(READING)
      return this.#set(health)
    } catch (error) {
      if (!lifetime.aborted) {
        if (!(error instanceof AuthenticationError)) outages.failed(READING, "The orchestrator's health could not be read", { error })
        // What it said about provisioning before still stands: a failed question is not a "no".
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
    // Callers share the object, so each gets a date of its own.
    const date = { enumerable: true, get: () => new Date(checkedAt ?? 0) }
    this.#current = Object.freeze(checkedAt === undefined ? health : Object.defineProperty(health, 'checkedAt', date))
    if (!isSame(previous, health)) this.#parts.emitter.emit('health:changed', { previous, current: this.#current })
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
