import { CircuitOpenError, ClientClosedError, classifyFailure, type OrchestratorError } from '../../errors.ts'
import type { CircuitBreaker } from '../../orchestrator/circuit-breaker.ts'
import { pause } from '../../runtime/abort.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Outages } from '../../runtime/outages.ts'
import { backoffMs, type RetryParts } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Emitter } from '../../telemetry/emitter.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import type { OutboxEvent } from './outbox.ts'
import { asOrchestratorError } from './outcomes.ts'
import type { RetryPermit, RetryThrottle } from './retry-throttle.ts'

/** What the courier is built from. */
export interface DeliveryParts extends RetryParts {
  circuit: CircuitBreaker | undefined
  throttle: RetryThrottle
  sequence: Sequence
  counters: Counters
  emitter: Emitter
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  deliveryTimeoutMs: number
}

const DELIVERING = 'Delivering stream events'

/**
 * Tells the orchestrator of one event, through failures and outages, without telling it twice. An attempt that may have been applied is never
 * repeated blindly: the orchestrator is looked at first (hazards 4, 5). Order is the caller's business (`Chains`).
 */
export class Delivery {
  readonly #parts: DeliveryParts
  /** Events that failed and are still under way: one that goes through beside them does not end the trouble. */
  readonly #troubled = new Set<object>()

  constructor(parts: DeliveryParts) {
    this.#parts = parts
  }

  deliver<T>(deliverable: RequiredDeliverable<T>): Promise<RequiredDeliveryResult<T>>
  deliver<T>(deliverable: Deliverable<T>): Promise<DeliveryResult<T>>
  async deliver<T>(deliverable: Deliverable<T>): Promise<DeliveryResult<T>> {
    const run = new Run(this.#parts, deliverable, (failed) => this.#troubled.add(failed))
    let delivered: DeliveryResult<T> | undefined
    try {
      delivered = await run.untilTold()
      return delivered
    } finally {
      run.end()
      this.#troubled.delete(run)
      if (delivered?.kind === 'done' && this.#troubled.size === 0) this.#parts.outages.works(DELIVERING)
    }
  }
}

/** One dispatch under way. */
class Run<T> {
  readonly #parts: DeliveryParts
  readonly #deliverable: Deliverable<T>
  readonly #startedAt: number
  /** Made when it is needed: most events go through at once. */
  #kept: Persistence | undefined
  readonly #onFailed: (run: object) => void
  #attempts = 0
  #failures = 0
  #maybeApplied = false
  #mustLook: boolean
  /** An event that goes through at once is sent even if nobody needs it any more by then: its counterpart follows. */
  #wasHeldUp: boolean
  #since: number
  #error: OrchestratorError | undefined
  #unaffect: (() => void) | undefined

  constructor(parts: DeliveryParts, deliverable: Deliverable<T>, onFailed: (run: object) => void) {
    this.#parts = parts
    this.#onFailed = onFailed
    this.#deliverable = deliverable
    this.#startedAt = parts.clock.now()
    this.#mustLook = deliverable.isLate
    this.#wasHeldUp = deliverable.isLate
    // Nothing was sent yet: whatever was seen since the last outage will do, as long as it is recent.
    this.#since = parts.circuit?.closedSequence ?? 0
  }

  async untilTold(): Promise<DeliveryResult<T>> {
    const { circuit, throttle } = this.#parts
    for (;;) {
      let receipt: RetryPermit | undefined
      try {
        if (this.#isStopped) return this.#stopped()
        if (circuit?.isClosed === false) await this.#untilClosed(circuit)
        if (this.#failures > 0) receipt = await throttle.take(this.#persistence.signal)
      } catch {
        return this.#stopped()
      }
      const result = circuit?.isClosed === false ? this.#unused(receipt) : await this.#round(receipt)
      if (result !== undefined) return result
    }
  }

  end(): void {
    this.#unaffect?.()
    this.#kept?.end()
  }

  get #persistence(): Persistence {
    const { clock, deliveryTimeoutMs, lifetime } = this.#parts
    const leftMs = Math.max(0, this.#startedAt + deliveryTimeoutMs - clock.now())
    this.#kept ??= new Persistence(clock, leftMs, [lifetime, this.#deliverable.abandoned])
    return this.#kept
  }

  get #isStopped(): boolean {
    return this.#parts.lifetime.aborted || this.#kept?.signal.aborted === true || this.#isAbandoned
  }

  get #isAbandoned(): boolean {
    return this.#wasHeldUp && this.#deliverable.abandoned?.aborted === true
  }

  /** Looks where it must, and sends where it should. `undefined`: not told yet. */
  async #round(receipt: RetryPermit | undefined): Promise<DeliveryResult<T> | undefined> {
    const deliverable = this.#deliverable
    try {
      if (this.#mustLook) {
        const found = await deliverable.verify(this.#since, this.#maybeApplied)
        if (found.kind === 'unclear') return await this.#failed(found.error)
        const isOver = found.kind !== 'not-applied' || this.#isStopped
        // Nothing is sent: that proves nothing about how the orchestrator takes events, so it pays for none.
        if (isOver) receipt?.unused()
        if (found.kind === 'applied') return { kind: 'done', value: found.value, attempts: this.#attempts }
        if (found.kind === 'pointless') return { kind: 'pointless', attempts: this.#attempts, maybeApplied: this.#maybeApplied }
        if (isOver) return this.#stopped()
      }
    } catch (thrown) {
      const error = asOrchestratorError(thrown)
      return error instanceof CircuitOpenError ? this.#unused(receipt) : await this.#failed(error)
    }
    try {
      const value = await deliverable.attempt()
      this.#attempted()
      receipt?.succeeded()
      return { kind: 'done', value, attempts: this.#attempts }
    } catch (thrown) {
      const error = asOrchestratorError(thrown)
      if (error instanceof CircuitOpenError) return this.#unused(receipt)
      this.#attempted()
      const { effect } = classifyFailure(error)
      if (effect === 'unknown' || error instanceof ClientClosedError) this.#maybeApplied = true
      else if (effect === 'refused') return { kind: 'refused', attempts: this.#attempts, maybeApplied: this.#maybeApplied, error }
      return await this.#failed(error)
    }
  }

  /** Counted afterwards: one that the circuit stopped on its way, in the queue, was none, and must not pay for others. */
  #attempted(): void {
    const { throttle, counters } = this.#parts
    this.#attempts += 1
    if (this.#attempts === 1) throttle.first()
    else counters.retried += 1
  }

  #unused(receipt: RetryPermit | undefined): undefined {
    receipt?.unused()
  }

  /** Waits before the next round. */
  async #failed(error: OrchestratorError): Promise<DeliveryResult<T> | undefined> {
    const { sequence, throttle, clock, emitter, outages } = this.#parts
    const { pending, alwaysVerifies } = this.#deliverable
    this.#error = error
    this.#failures += 1
    this.#unaffect ??= throttle.affect()
    this.#mustLook = alwaysVerifies || this.#maybeApplied
    // Only what is requested from here on can show what this attempt did.
    this.#since = sequence.next()
    this.#hold()
    const { streamId, event } = pending
    const delayMs = backoffMs(this.#parts, this.#failures, error)
    if (!this.#isStopped) {
      this.#onFailed(this)
      const level = error.retryable ? 'warn' : 'error'
      const fields = { streamId, event, attempt: this.#attempts, delayMs, error }
      outages.failed(DELIVERING, 'A stream event was not delivered; it stays queued, and so does each that fails', fields, { level })
      emitter.emit('delivery:retry', { streamId, event, attempt: this.#attempts, delayMs, error })
    }
    try {
      await pause(clock, delayMs, this.#persistence.signal)
      return undefined
    } catch {
      return this.#stopped()
    }
  }

  async #untilClosed(circuit: CircuitBreaker): Promise<void> {
    this.#error ??= circuit.error
    this.#mustLook ||= this.#deliverable.alwaysVerifies
    this.#hold()
    await circuit.whenClosed(this.#persistence.signal)
    this.#since = Math.max(this.#since, circuit.closedSequence)
  }

  #hold(): void {
    this.#wasHeldUp = true
    this.#deliverable.pending.markStalled(() => this.#persistence.giveUp())
  }

  /** Its time is up, or nobody needs it any more. */
  #stopped(): DeliveryResult<T> {
    const { lifetime } = this.#parts
    const outcome = { attempts: this.#attempts, maybeApplied: this.#maybeApplied }
    if (this.#isAbandoned) return { kind: 'abandoned', ...outcome }
    const error = lifetime.aborted ? new ClientClosedError() : (this.#error ?? new ClientClosedError())
    return { kind: 'given-up', ...outcome, error }
  }
}

/** What a look before sending again found. */
export type VerifyResult<T> =
  /** The effect is there: it need not be sent again. */
  | { readonly kind: 'applied'; readonly value: T }
  | { readonly kind: 'not-applied' }
  /** It must not be sent any more. */
  | { readonly kind: 'pointless' }
  /** What was seen proves nothing. */
  | { readonly kind: 'unclear'; readonly error: OrchestratorError }

/** An event to be told, by whatever number of attempts it takes. */
export interface Deliverable<T> {
  readonly pending: OutboxEvent
  /** Aborts when nobody needs it to be told any more. */
  readonly abandoned?: AbortSignal
  /** Whether to look before the first attempt already: it waited, and much may have changed. */
  readonly isLate: boolean
  /** Whether to look before any further attempt, not only after one that may have been applied. */
  readonly alwaysVerifies: boolean
  attempt(): Promise<T>
  /** Looks at what the orchestrator shows, asked for after `since`. `maybeApplied`: an attempt may have been. */
  verify(since: number, maybeApplied: boolean): Promise<VerifyResult<T>>
}

/** An event that is needed until it is delivered. */
export interface RequiredDeliverable<T> extends Deliverable<T> {
  readonly abandoned?: never
  verify(since: number, maybeApplied: boolean): Promise<Exclude<VerifyResult<T>, { readonly kind: 'pointless' }>>
}

/** How such a dispatch came out. */
export type RequiredDeliveryResult<T> = Exclude<DeliveryResult<T>, { readonly kind: 'abandoned' | 'pointless' }>

/** How a dispatch came out. */
export type DeliveryResult<T> = { readonly attempts: number } & (
  | { readonly kind: 'done'; readonly value: T }
  /** `maybeApplied`: not this attempt, but one before it. */
  | { readonly kind: 'refused'; readonly maybeApplied: boolean; readonly error: OrchestratorError }
  /** Nobody needs it any more, or it must not be sent any more. `maybeApplied`: an attempt may have been, or may yet be. */
  | { readonly kind: 'abandoned' | 'pointless'; readonly maybeApplied: boolean }
  | { readonly kind: 'given-up'; readonly maybeApplied: boolean; readonly error: OrchestratorError }
)

/** How long an event is kept up: until its time is up, it is given up, or one of `signals` aborts. */
class Persistence {
  readonly #controller = new AbortController()
  readonly #signals: readonly AbortSignal[]
  readonly #timer: Timer
  readonly #stop = (): void => this.#controller.abort()

  constructor(clock: Clock, timeoutMs: number, signals: readonly (AbortSignal | undefined)[]) {
    this.#signals = signals.filter((signal) => signal !== undefined)
    this.#timer = clock.setTimeout(this.#stop, timeoutMs)
    for (const signal of this.#signals) {
      if (signal.aborted) this.#stop()
      else signal.addEventListener('abort', this.#stop, { once: true })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  giveUp(): void {
    this.#stop()
  }

  /** Lets go of the timer and the signals. */
  end(): void {
    this.#timer.cancel()
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#stop)
  }
}
