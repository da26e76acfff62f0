import { ConnectionError } from '../errors.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Core } from './core.ts'
import type { Fault, FaultKind, InjectedFaults } from './faults.ts'
import type { FakeResponse } from './http.ts'
import { mangle } from './mangle.ts'
import type { Resolution } from './routing.ts'

/** Milliseconds between a request and its response: one number for all routes, or a function of the route label. */
export type Latency = number | ((route: string) => number)

const DEFAULT_DELAY_MS = 5_000

/** Faults that stop a request before the orchestrator, so that it is not applied. */
const NOT_APPLIED: ReadonlySet<FaultKind> = new Set(['lost-request', 'refused', 'reset', 'status', 'html', 'redirect'])

const refused = (): ConnectionError => {
  const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  return new ConnectionError('The connection was refused', { maybeProcessed: false, cause })
}

const reset = (): ConnectionError => {
  const cause = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  return new ConnectionError('The connection was reset', { maybeProcessed: true, cause })
}

const forever = (): Promise<never> => new Promise(() => {})

/** Carries requests to the orchestrator and responses back, with latency, faults and restarts. */
export class Exchange {
  latency: Latency
  /** Whether connections are refused, as they are while the orchestrator restarts. */
  isDown = false
  readonly #core: Core
  readonly #faults: InjectedFaults

  constructor(core: Core, faults: InjectedFaults, latency: Latency) {
    this.#core = core
    this.#faults = faults
    this.latency = latency
  }

  /** Applies a request and returns its response. The request is applied even if the caller has stopped waiting. */
  async run({ label, answer }: Resolution): Promise<FakeResponse> {
    if (this.isDown) {
      this.#core.records.counters.refusedWhileDown++
      throw refused()
    }
    const fault = this.#faults.take(label)
    const kind = fault?.kind
    if (kind === 'refused') throw refused()
    const latencyMs = typeof this.latency === 'function' ? this.latency(label) : this.latency
    const delayMs = fault === undefined ? 0 : (fault.delayMs ?? (kind === 'delay' ? DEFAULT_DELAY_MS : 0))
    const isLate = fault?.applyLate === true
    await this.#wait(latencyMs / 2 + (isLate ? delayMs : 0))
    const isApplied = fault?.applied ?? (kind === undefined || !NOT_APPLIED.has(kind))
    const response = isApplied ? await waitUnlessAborted(Promise.resolve(answer()), this.#core.lifeSignal) : undefined
    if (kind === 'lost-request' || kind === 'lost-answer') return forever()
    await this.#wait(latencyMs / 2 + (isLate ? 0 : delayMs))
    if (kind === 'reset' || kind === 'reset-after') throw reset()
    return fault === undefined ? (response as FakeResponse) : mangle(fault as Fault, response)
  }

  /** Waits; rejects if the orchestrator restarts meanwhile, which breaks the connection. */
  async #wait(ms: number): Promise<void> {
    if (!(ms > 0)) return
    const { clock, lifeSignal } = this.#core
    // Not `core.after`, which would never call back after a restart: here the restart must reject.
    await waitUnlessAborted(new Promise<void>((resolve) => void clock.setTimeout(resolve, ms)), lifeSignal)
  }
}
