import { CircuitOpenError, ClientClosedError, classifyFailure, type OrchestratorError } from '../../errors.ts'
import type { CircuitBreaker } from '../../orchestrator/circuit-breaker.ts'
import { onAbort, pause } from '../../runtime/abort.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Outages } from '../../runtime/outages.ts'
import { drawBackoffMs, type RetryParts } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import { asOrchestratorError } from './delivery-log.ts'
import type { OutboxEvent } from './outbox.ts'
import type { RetryPermit, RetryThrottle } from './retry-throttle.ts'

/** Dependencies and options of {@link Delivery}. */
export interface DeliveryParts extends RetryParts {
  /** `undefined`: the host switched it off. */
  circuit: CircuitBreaker | undefined
  /** Shared by all events of the client. */
  throttle: RetryThrottle
  sequence: Sequence
  counters: Counters
  emitter: Emitter
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Time from the first attempt until an event is given up, milliseconds. */
  deliveryTimeoutMs: number
}

/** An event, and how to send and verify it. */
export interface Deliverable<T> {
  readonly outboxEvent: OutboxEvent
  /**
   * Returns a signal that aborts when the event is not needed any more: its stream is over. Called when the event is delayed; before that, the
   * end is sent next anyway.
   */
  abandoned?(): AbortSignal
  /** Whether the event had to wait before, so that the orchestrator's state may have changed since. */
  readonly isDelayed: boolean
  /** Whether to verify before every attempt of a delayed event, not only if an earlier attempt may have been applied. */
  readonly verifiesWhenDelayed: boolean
  /** Makes one attempt. */
  send(attempt: number): Promise<T>
  /**
   * Finds out from the orchestrator's lists whether the event must still be sent.
   *
   * @param since sequence number: only lists that were requested later count
   * @param maybeApplied whether an attempt may have been applied
   */
  verify(since: number, maybeApplied: boolean): Promise<VerifyResult<T>>
}

/** Result of a verification. */
export type VerifyResult<T> =
  /** The event was applied: it is not sent again. */
  | { readonly kind: 'applied'; readonly value: T }
  | { readonly kind: 'not-applied' }
  /** The event must not be sent any more. */
  | { readonly kind: 'pointless' }
  /** The lists prove nothing. */
  | { readonly kind: 'unclear'; readonly error: OrchestratorError }

/** Result of a delivery. `maybeApplied`: an attempt may have been applied, or may still be. */
export type DeliveryResult<T> = { readonly attempts: number } & (
  | { readonly kind: 'done'; readonly value: T }
  /** `maybeApplied`: an attempt before the rejected one. */
  | { readonly kind: 'rejected'; readonly maybeApplied: boolean; readonly error: OrchestratorError }
  /** The event is not needed any more, or must not be sent any more. */
  | { readonly kind: 'abandoned' | 'pointless'; readonly maybeApplied: boolean }
  /** The time was up, the outbox needed the place, or the client closed. */
  | { readonly kind: 'given-up'; readonly maybeApplied: boolean; readonly error: OrchestratorError }
)

/** An event that is needed until it is delivered. */
export interface RequiredDeliverable<T> extends Deliverable<T> {
  readonly abandoned?: never
  verify(since: number, maybeApplied: boolean): Promise<Exclude<VerifyResult<T>, { readonly kind: 'pointless' }>>
}

/** Result of the delivery of a {@link RequiredDeliverable}. */
export type RequiredDeliveryResult<T> = Exclude<DeliveryResult<T>, { readonly kind: 'abandoned' | 'pointless' }>

/** Names the work in log lines. */
const DELIVERING = 'Delivering stream events'

/** Delivers events through failures and outages, see {@link DeliveryLoop}. The order of events is kept by `EventOrder`. */
export class Delivery {
  readonly #parts: DeliveryParts

  constructor(parts: DeliveryParts) {
    this.#parts = parts
  }

  /**
   * Sends an event until it is delivered, rejected, not needed any more, or given up. The first attempt is made synchronously, unless the
   * circuit is open or the event is delayed. While the event fails, its {@link OutboxEvent} is stalled, `delivery:retry` is emitted for each
   * failure, and one line is logged for all events that fail in one outage. Never rejects for a failure of the orchestrator.
   */
  deliver<T>(deliverable: RequiredDeliverable<T>): Promise<RequiredDeliveryResult<T>>
  deliver<T>(deliverable: Deliverable<T>): Promise<DeliveryResult<T>>
  deliver<T>(deliverable: Deliverable<T>): Promise<DeliveryResult<T>> {
    return new DeliveryLoop(this.#parts, deliverable).run()
  }
}

/** Result of one verification or attempt. */
type StepResult<T> =
  | Exclude<VerifyResult<T>, { readonly kind: 'not-applied' | 'unclear' }>
  | { readonly kind: 'acknowledged'; readonly value: T }
  | { readonly kind: 'rejected' | 'failed'; readonly error: OrchestratorError }
  /** The circuit opened before the request was sent, or the event is not needed any more. */
  | { readonly kind: 'not-sent' }

/**
 * The delivery of one event:
 *
 * 1. While the circuit is open, wait.
 * 2. Before a repeated attempt, wait for a permit of the {@link RetryThrottle}.
 * 3. If an earlier attempt may have been applied, or the event was delayed, read the orchestrator's lists first (H4, H5).
 * 4. Send.
 * 5. If the outcome is a success or a rejection, return it. Otherwise wait (see {@link drawBackoffMs}: `Retry-After` is capped there) and
 *    repeat.
 * 6. Give up when `deliveryTimeoutMs` is over, the outbox needs the place, or the client closes.
 */
class DeliveryLoop<T> {
  readonly #parts: DeliveryParts
  readonly #deliverable: Deliverable<T>
  readonly #startedAt: number
  #attemptCount = 0
  /** Failed attempts and failed verifications. */
  #failureCount = 0
  /** Whether the outcome of an attempt is unknown (H4). Stays true: a request can be applied much later. */
  #maybeApplied = false
  /** Whether the event failed once or waited for the circuit, so that the orchestrator's state may have changed since. */
  #isDelayed: boolean
  /** Only lists that were requested after this sequence number verify the event. */
  #verifySince: number
  /** Reported when the event is given up. */
  #lastError: OrchestratorError | undefined
  #unmarkFailing: (() => void) | undefined
  #lazyDeadline: DeliveryDeadline | undefined

  constructor(parts: DeliveryParts, deliverable: Deliverable<T>) {
    this.#parts = parts
    this.#deliverable = deliverable
    this.#startedAt = parts.clock.now()
    this.#isDelayed = deliverable.isDelayed
    // Nothing was sent yet: any recent list that was requested after the last outage is valid.
    this.#verifySince = parts.circuit?.closedSequence ?? 0
  }

  async run(): Promise<DeliveryResult<T>> {
    let isDone = false
    try {
      while (!this.#isStopped) {
        if (this.#isCircuitOpen) {
          await this.#untilCircuitCloses()
          continue
        }
        const permit = this.#failureCount === 0 ? undefined : await this.#acquirePermit()
        const isStillAllowed = !this.#isStopped && !this.#isCircuitOpen
        const step: StepResult<T> = isStillAllowed ? await this.#verifyAndSend() : { kind: 'not-sent' }
        switch (step.kind) {
          case 'acknowledged':
            permit?.succeeded()
            isDone = true
            return { kind: 'done', value: step.value, attempts: this.#attemptCount }
          case 'rejected':
            return { ...this.#summary, kind: 'rejected', error: step.error }
          case 'failed':
            await this.#backOff(step.error)
            break
          case 'applied':
            permit?.cancel()
            isDone = true
            return { kind: 'done', value: step.value, attempts: this.#attemptCount }
          case 'pointless':
            permit?.cancel()
            return { ...this.#summary, kind: 'pointless' }
          case 'not-sent':
            permit?.cancel()
        }
      }
      return this.#giveUp()
    } finally {
      this.#end(isDone)
    }
  }

  /** Removes the timer and the listeners. */
  #end(isDone: boolean): void {
    const { throttle, outages } = this.#parts
    this.#unmarkFailing?.()
    this.#lazyDeadline?.end()
    // An event that is delivered while others still fail does not end the outage.
    if (isDone && throttle.failingCount === 0) outages.works(DELIVERING)
  }

  get #summary(): { attempts: number; maybeApplied: boolean } {
    return { attempts: this.#attemptCount, maybeApplied: this.#maybeApplied }
  }

  get #isCircuitOpen(): boolean {
    return this.#parts.circuit?.isClosed === false
  }

  get #isStopped(): boolean {
    return this.#parts.lifetime.aborted || this.#lazyDeadline?.signal.aborted === true || this.#isAbandoned
  }

  get #isAbandoned(): boolean {
    return this.#isDelayed && this.#deliverable.abandoned?.().aborted === true
  }

  /** Created on first use: most events are delivered at once and need none. */
  get #deadline(): DeliveryDeadline {
    const { clock, deliveryTimeoutMs, lifetime } = this.#parts
    const leftMs = Math.max(0, this.#startedAt + deliveryTimeoutMs - clock.now())
    this.#lazyDeadline ??= new DeliveryDeadline(clock, leftMs, [lifetime, this.#deliverable.abandoned?.()])
    return this.#lazyDeadline
  }

  /** Returns when the circuit is closed, or when the delivery is stopped. */
  async #untilCircuitCloses(): Promise<void> {
    const { circuit } = this.#parts
    this.#lastError ??= circuit?.error
    this.#delay()
    await circuit?.whenClosed(this.#deadline.signal).catch(() => {})
    this.#verifySince = Math.max(this.#verifySince, circuit?.closedSequence ?? 0)
  }

  /** A permit to repeat the event. `undefined`: the delivery was stopped. */
  #acquirePermit(): Promise<RetryPermit | undefined> {
    return this.#parts.throttle.acquire(this.#deadline.signal).catch(() => undefined)
  }

  /** If the outcome of an earlier attempt is unknown, the event is verified first, and sent only if it was not applied. */
  #verifyAndSend(): Promise<StepResult<T>> {
    const mustVerify = this.#maybeApplied || (this.#isDelayed && this.#deliverable.verifiesWhenDelayed)
    return mustVerify ? this.#verify().then((verified) => verified ?? this.#send()) : this.#send()
  }

  /** `undefined`: the event was not applied, so it is sent. */
  async #verify(): Promise<StepResult<T> | undefined> {
    try {
      const verified = await this.#deliverable.verify(this.#verifySince, this.#maybeApplied)
      if (verified.kind === 'unclear') return { kind: 'failed', error: verified.error }
      if (verified.kind !== 'not-applied') return verified
      return this.#isStopped ? { kind: 'not-sent' } : undefined
    } catch (thrown) {
      const error = asOrchestratorError(thrown)
      return error instanceof CircuitOpenError ? { kind: 'not-sent' } : { kind: 'failed', error }
    }
  }

  async #send(): Promise<StepResult<T>> {
    try {
      const value = await this.#deliverable.send(this.#attemptCount + 1)
      this.#countAttempt()
      return { kind: 'acknowledged', value }
    } catch (thrown) {
      const error = asOrchestratorError(thrown)
      if (error instanceof CircuitOpenError) return { kind: 'not-sent' }
      this.#countAttempt()
      // If the client closed during the request, the orchestrator may have it.
      const effect = error instanceof ClientClosedError ? 'unknown' : classifyFailure(error).effect
      if (effect === 'refused') return { kind: 'rejected', error }
      if (effect === 'unknown') this.#maybeApplied = true
      return { kind: 'failed', error }
    }
  }

  /** Call it after the attempt: a request that the circuit breaker stopped in the queue is no attempt, and must not add a token. */
  #countAttempt(): void {
    const { throttle, counters } = this.#parts
    this.#attemptCount += 1
    if (this.#attemptCount === 1) throttle.countFirstAttempt()
    else counters.retried += 1
  }

  /** Waits before the next attempt: as long as `Retry-After` asks for, up to 60 s, otherwise exponentially. See {@link drawBackoffMs}. */
  async #backOff(error: OrchestratorError): Promise<void> {
    const { sequence, throttle, clock, emitter, outages } = this.#parts
    const { streamId, event } = this.#deliverable.outboxEvent
    this.#lastError = error
    this.#failureCount += 1
    this.#unmarkFailing ??= throttle.markFailing()
    // Only a list that is requested from now on can show the effect of this attempt.
    this.#verifySince = sequence.next()
    this.#delay()
    const delayMs = drawBackoffMs(this.#parts, this.#failureCount, error)
    if (!this.#isStopped) {
      const fields = { streamId, event, attempt: this.#attemptCount, delayMs, error }
      const message = 'An event was not delivered; it stays queued and is sent again. Further failures are logged at debug level'
      outages.failed(DELIVERING, message, fields, { level: error.retryable ? 'warn' : 'error' })
      emitter.to('delivery:retry')?.(fields)
    }
    await pause(clock, delayMs, this.#deadline.signal).catch(() => {})
  }

  /** Marks the event as delayed: from now on the events and callers that wait for it do not wait any longer. */
  #delay(): void {
    this.#isDelayed = true
    this.#deliverable.outboxEvent.markStalled(() => this.#deadline.expire())
  }

  /** The result of a delivery that was stopped. The reconciler corrects the effect of an event that was given up. */
  #giveUp(): DeliveryResult<T> {
    if (this.#isAbandoned) return { ...this.#summary, kind: 'abandoned' }
    const error = this.#parts.lifetime.aborted ? undefined : this.#lastError
    return { ...this.#summary, kind: 'given-up', error: error ?? new ClientClosedError() }
  }
}

/**
 * The deadline of a delivery that fails: its signal aborts when the time is up, when one of `signals` aborts, or on `expire()`. Not
 * `AbortSignal.any`: the listeners must be removed from the client's signal when the delivery is over.
 */
class DeliveryDeadline {
  readonly #controller = new AbortController()
  readonly #stopListening: readonly (() => void)[]
  readonly #timer: Timer
  readonly expire = (): void => this.#controller.abort()

  constructor(clock: Clock, timeoutMs: number, signals: readonly (AbortSignal | undefined)[]) {
    this.#timer = clock.setTimeout(this.expire, timeoutMs)
    const present = signals.filter((signal) => signal !== undefined)
    if (present.some(({ aborted }) => aborted)) this.expire()
    this.#stopListening = present.map((signal) => onAbort(signal, this.expire))
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Removes the timer and the listeners. */
  end(): void {
    this.#timer.cancel()
    for (const stop of this.#stopListening) stop()
  }
}
