import { CircuitOpenError, classifyFailure } from '../errors.ts'
import type { CircuitState } from '../model/health.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { setErrorField } from '../runtime/error-fields.ts'
import type { Sequence } from '../runtime/sequence.ts'

/** Dependencies and options of {@link CircuitBreaker}. */
export interface CircuitBreakerParts {
  clock: Clock
  sequence: Sequence
  /** Base URL of the orchestrator, without secrets; for error messages. */
  url: string
  /** Failures in a row after which it opens. */
  failureThreshold: number
  /** Milliseconds from opening, or from a probe that failed, to the next probe. */
  resetAfterMs: number
  /**
   * The read that checks whether the orchestrator works again. `send` must bypass this circuit breaker. `route` names the read; its success says
   * nothing about other routes.
   */
  probe: { readonly route: string; readonly send: () => Promise<unknown> }
  /**
   * Called after it opened.
   *
   * @param isAgain it opened before, closed after a successful probe, and the route that failed has not worked since
   * @param error the last failure
   */
  onOpened: (retryAfterMs: number, isAgain: boolean, error: unknown) => void
  /** Called after it closed; it was open for `openMs`. */
  onClosed: (openMs: number) => void
  /**
   * Called when an outage is over: the route that failed succeeded, or another route did after the circuit had been closed for
   * `resetAfterMs`. The probe is a read, so while only writes fail the circuit closes and opens many times in one outage.
   */
  onRecovered: (outageMs: number) => void
}

type State =
  /** Requests go out. */
  | { readonly kind: 'closed'; failureCount: number }
  /** No request goes out. From `retryAt` on the next caller starts a probe. */
  | { readonly kind: 'open'; readonly since: number; retryAt: number }
  /** A probe is in flight. */
  | { readonly kind: 'half-open'; readonly since: number; readonly retryAt: number; readonly probing: Promise<void> }

/** Milliseconds between two probes while the client closes, since it has little time left. */
const CLOSING_RESET_MS = 500

/**
 * Stops sending requests to an orchestrator that fails. After `failureThreshold` failures in a row no request is sent for `resetAfterMs`. After
 * that a probe is sent, but only if a caller wants to send something: an idle client makes no requests. If the orchestrator answers the probe,
 * the circuit closes.
 *
 * `FAILURES` in `src/failures.ts` says which failures count.
 */
export class CircuitBreaker {
  readonly #parts: CircuitBreakerParts
  #state: State = { kind: 'closed', failureCount: 0 }
  #failedRoute = ''
  /** When the circuit first opened in this outage. It may close and open again before the route that failed works. */
  #outageSince: number | undefined
  #closedAt = 0
  #closedSequence = 0
  #epoch = 0
  /** Resolves when the circuit closes; present while callers wait for that. */
  #closing: PromiseWithResolvers<void> | undefined
  #waitingCount = 0
  #timer: Timer | undefined
  #isHurried = false
  #isDisposed = false

  constructor(parts: CircuitBreakerParts) {
    this.#parts = parts
  }

  /** For metrics. An open circuit is `half-open` as soon as the next caller may start a probe. */
  get state(): CircuitState {
    const state = this.#state
    return state.kind === 'open' && this.#parts.clock.now() >= state.retryAt ? 'half-open' : state.kind
  }

  get isClosed(): boolean {
    return this.#state.kind === 'closed'
  }

  /**
   * Counts how often the circuit opened or closed. Read it when a request is sent and pass it to {@link record}: a request that was sent before
   * the last change says nothing about the time after it.
   */
  get epoch(): number {
    return this.#epoch
  }

  /** Sequence number at which the circuit last closed; 0 if it never did. Lists requested before it may be outdated. */
  get closedSequence(): number {
    return this.#closedSequence
  }

  /** The error for a request that is not sent because the circuit is not closed. */
  get error(): CircuitOpenError {
    const { clock, url } = this.#parts
    const retryAfterMs = this.#state.kind === 'closed' ? 0 : Math.ceil(Math.max(0, this.#state.retryAt - clock.now()))
    const message = `The orchestrator at ${url} has been failing; nothing is sent for ${retryAfterMs} ms`
    const error = new CircuitOpenError(message, { retryAfterMs })
    setErrorField(error, 'url', url, true)
    return error
  }

  /**
   * Decides whether a request may be sent.
   *
   * @param failsFast do not wait for a probe that is in flight
   * @returns `undefined` if the request may be sent at once. If that depends on a probe: a promise that resolves when the request may be sent
   * @throws {@link CircuitOpenError} if it may not be sent; the promise rejects with it too
   */
  enter(failsFast: boolean): Promise<void> | undefined {
    if (this.isClosed) return undefined
    if (this.state === 'open') throw this.error
    const probing = this.#probe()
    if (failsFast) throw this.error
    return probing.then(() => {
      if (!this.isClosed) throw this.error
    })
  }

  /**
   * Records the result of a request.
   *
   * @param epoch the {@link epoch} at which the request was sent
   * @param failure `undefined` for a success
   */
  record(epoch: number, failure: unknown, route = ''): void {
    if (epoch !== this.#epoch || this.#state.kind !== 'closed') return
    const verdict = failure === undefined ? 'resets' : classifyFailure(failure).breaker
    if (verdict === 'ignores') return
    if (verdict === 'resets') {
      this.#state.failureCount = 0
      this.#noteSuccess(route)
      return
    }
    this.#state.failureCount += 1
    this.#failedRoute = route
    if (this.#state.failureCount >= this.#parts.failureThreshold) this.#open(failure)
  }

  /**
   * Waits until the circuit is closed. While a caller waits here, probes are sent by timer.
   *
   * @throws the signal's reason if it aborts first
   */
  async whenClosed(signal: AbortSignal): Promise<void> {
    if (this.isClosed) return
    this.#waitingCount += 1
    this.#closing ??= Promise.withResolvers<void>()
    this.#arm()
    try {
      await waitUnlessAborted(this.#closing.promise, signal)
    } finally {
      this.#waitingCount -= 1
    }
  }

  /** For a client that closes: probes now, and from now on every 500 ms, since its callers cannot wait for `resetAfterMs`. */
  probeFaster(): void {
    this.#isHurried = true
    const state = this.#state
    const now = this.#parts.clock.now()
    if (state.kind !== 'open' || now >= state.retryAt) return
    state.retryAt = now
    this.#timer?.cancel()
    this.#timer = undefined
    this.#arm()
  }

  /** Cancels the timer. Reports no change afterwards. */
  dispose(): void {
    this.#isDisposed = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  get #resetAfterMs(): number {
    const { resetAfterMs } = this.#parts
    return this.#isHurried ? Math.min(resetAfterMs, CLOSING_RESET_MS) : resetAfterMs
  }

  #open(failure: unknown): void {
    const { clock, onOpened } = this.#parts
    const since = clock.now()
    const isAgain = this.#outageSince !== undefined
    this.#epoch += 1
    this.#state = { kind: 'open', since, retryAt: since + this.#resetAfterMs }
    this.#outageSince ??= since
    onOpened(this.#resetAfterMs, isAgain, failure)
  }

  #close(since: number): void {
    const { clock, sequence, probe, onClosed } = this.#parts
    this.#epoch += 1
    this.#state = { kind: 'closed', failureCount: 0 }
    this.#closing?.resolve()
    this.#closing = undefined
    this.#closedAt = clock.now()
    this.#closedSequence = sequence.next()
    onClosed(this.#closedAt - since)
    this.#noteSuccess(probe.route)
  }

  #noteSuccess(route: string): void {
    const { clock, resetAfterMs, onRecovered } = this.#parts
    if (this.#outageSince === undefined) return
    const now = clock.now()
    if (route !== this.#failedRoute && now - this.#closedAt < resetAfterMs) return
    const outageMs = now - this.#outageSince
    this.#outageSince = undefined
    onRecovered(outageMs)
  }

  /** Joins the probe in flight, or sends one. */
  #probe(): Promise<void> {
    const state = this.#state
    if (state.kind === 'closed') return Promise.resolve()
    if (state.kind === 'half-open') return state.probing
    const { since, retryAt } = state
    const probing = this.#isAlive().then((isAlive) => {
      if (this.#isDisposed) return
      if (isAlive) return this.#close(since)
      this.#state = { kind: 'open', since, retryAt: this.#parts.clock.now() + this.#resetAfterMs }
      this.#arm()
    })
    this.#state = { kind: 'half-open', since, retryAt, probing }
    return probing
  }

  /** Sends the probe. An error answer that does not count as a failure also proves that the orchestrator is alive. */
  #isAlive(): Promise<boolean> {
    return this.#parts.probe.send().then(
      () => true,
      (error: unknown) => classifyFailure(error).breaker === 'resets',
    )
  }

  /** Arms the timer of the next probe while a caller waits. */
  #arm(): void {
    const state = this.#state
    if (this.#timer !== undefined || state.kind !== 'open' || this.#waitingCount === 0 || this.#isDisposed) return
    const delayMs = Math.max(0, state.retryAt - this.#parts.clock.now())
    this.#timer = this.#parts.clock.setTimeout(() => {
      this.#timer = undefined
      if (this.#waitingCount > 0) void this.#probe()
    }, delayMs)
  }
}
