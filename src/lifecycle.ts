import { type CloseReport, shutDown } from './close.ts'
import { diagnose } from './diagnosis/on-demand.ts'
import { ClientClosedError } from './errors.ts'
import type { Diagnosis } from './model/diagnosis.ts'
import { checkDiagnoseOptions, type DiagnoseOptions } from './options/diagnose-options.ts'
import type { ResolvedOptions } from './options/resolve.ts'
import { onAbort } from './runtime/abort.ts'
import { Periodic } from './runtime/timers.ts'
import { operationsByClient } from './telemetry/operations.ts'
import { buildParts, type ClientParts } from './wiring.ts'

/** A client's parts from their making to their end: the first call starts the background work, and `close()` ends all work. */
export class Lifecycle {
  readonly parts: ClientParts
  readonly #options: ResolvedOptions
  readonly #periodics: readonly Periodic[]
  readonly #lifetime = new AbortController()
  #hasBegun = false
  #closing: Promise<CloseReport> | undefined

  /**
   * Makes the parts. Does no I/O and arms no timer.
   *
   * @param client the client of these parts. Its `sweep` is called every `sweepIntervalMs`
   * @throws the error of `attach` of the store
   */
  constructor(options: ResolvedOptions, client: { sweep(): unknown }) {
    const { clock, healthIntervalMs, sweepIntervalMs } = options
    this.#options = options
    // With one callback that stays, a request does not add a listener and remove it again: that takes longer than the rest of its time limit.
    onAbort(this.#lifetime.signal, () => {})
    this.parts = buildParts(options, this.#lifetime.signal)
    const { operations } = this.parts.emitter
    operationsByClient.set(client, operations)
    const checkHealth = (): unknown => operations.detach(() => this.parts.health.check())
    this.#periodics = [new Periodic(clock, healthIntervalMs, checkHealth), new Periodic(clock, sweepIntervalMs, () => client.sweep())]
  }

  /** Aborts when the client has closed. */
  get lifetime(): AbortSignal {
    return this.#lifetime.signal
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Starts the background work with the first call of a client.
   *
   * @throws {@link ClientClosedError}
   */
  begin(): void {
    if (this.#closing !== undefined) throw new ClientClosedError()
    if (this.#hasBegun) return
    this.#hasBegun = true
    for (const periodic of this.#periodics) periodic.start()
    this.parts.reconcileSchedule.start()
    this.parts.emitter.operations.detach(() => this.parts.crashRecovery.start())
  }

  /** See `OrchestratorClient.diagnose`. Starts no background work, which could change what the diagnosis looks at. */
  async diagnose(given: DiagnoseOptions): Promise<Diagnosis> {
    if (this.#closing !== undefined) throw new ClientClosedError()
    const options = checkDiagnoseOptions(given)
    options.signal?.throwIfAborted()
    const diagnosis = await this.parts.alive.during(diagnose({ ...this.parts, options: this.#options, lifetime: this.lifetime }, options))
    this.parts.api.noteDiagnosed(diagnosis.generation)
    return diagnosis
  }

  /** Ends all work. Later calls return the result of the first. */
  close(timeoutMs: number): Promise<CloseReport> {
    if (this.#closing === undefined) {
      const { promise, resolve } = Promise.withResolvers<CloseReport>()
      // Set it before anything is released: a release calls listeners, which may call the client again.
      this.#closing = this.parts.alive.during(promise)
      for (const periodic of this.#periodics) periodic.stop()
      resolve(shutDown(this.parts, this.#options.clock, this.#lifetime, timeoutMs))
    }
    return this.#closing
  }
}
