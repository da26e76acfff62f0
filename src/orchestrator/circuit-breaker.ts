import { CircuitOpenError, classifyFailure } from '../errors.ts'
import type { CircuitState } from '../model/health.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { replace } from '../runtime/connection-failure.ts'

/** What a circuit breaker is built from. */
export interface CircuitBreakerParts {
  clock: Clock
  /** Where the orchestrator is, for errors. */
  url?: string
  /** Failures in a row that open it. */
  failureThreshold: number
  /** Milliseconds until one request is let through again. */
  resetAfterMs: number
  /** `isAgain`: it was closed in the meantime, but what failed did not work. `error`: the last failure. */
  onOpened: (retryAfterMs: number, isAgain: boolean, error: unknown) => void
  onClosed: (openMs: number) => void
  /** A request of the kind that failed succeeded, or another one did after the circuit had stayed closed for `resetAfterMs`. */
  onRecovered?: (outageMs: number) => void
}

/** Between two looks of a client that has no more time than it takes to close. */
const HURRIED_RESET_MS = 500

/**
 * Leaves a failing orchestrator alone. After `failureThreshold` failures in a row nothing is sent for `resetAfterMs`; then one read of
 * the client's own, which changes nothing it looks at, finds out whether it is well again. It is made only when somebody wants something.
 */
export class CircuitBreaker {
  readonly #parts: CircuitBreakerParts
  #failures = 0
  /** When it opened first; it may close and open again before what failed works. */
  #troubledSince: number | undefined
  #failedRoute = ''
  #closedAt = 0
  #openedAt: number | undefined
  #retryAt = 0
  /** Counts openings and closings: what was sent before one says nothing after it. */
  #epoch = 0
  #probing: Promise<void> | undefined
  #closing: PromiseWithResolvers<void> | undefined
  #waiting = 0
  #timer: Timer | undefined
  #isHurried = false
  #isDisposed = false
  /** The request that finds out; it must not pass the breaker itself. */
  probe: () => Promise<unknown> = () => Promise.resolve()
  /** The route of the probe. Its success says nothing of other routes. */
  probeRoute = ''

  constructor(parts: CircuitBreakerParts) {
    this.#parts = parts
  }

  get state(): CircuitState {
    if (this.#openedAt === undefined) return 'closed'
    return this.#probing === undefined && this.#parts.clock.now() < this.#retryAt ? 'open' : 'half-open'
  }

  get isClosed(): boolean {
    return this.#openedAt === undefined
  }

  /** To be handed back with the outcome of a request that is sent now. */
  get epoch(): number {
    return this.#epoch
  }

  /** What callers are told while nothing is sent. */
  get error(): CircuitOpenError {
    const retryAfterMs = Math.max(0, this.#retryAt - this.#parts.clock.now())
    const { url } = this.#parts
    const orchestrator = url === undefined ? 'The orchestrator' : `The orchestrator at ${url}`
    const error = new CircuitOpenError(`${orchestrator} has been failing; nothing is sent for ${retryAfterMs} ms`, { retryAfterMs })
    if (url !== undefined) replace(error, 'url', url, true)
    return error
  }

  /**
   * Asks leave for a request: `undefined` if it may go at once, a promise if it has to wait for what the probe finds out.
   *
   * @param failsFast do not wait for the probe either
   * @throws {@link CircuitOpenError} if it may not go; the promise rejects with it too
   */
  enter(failsFast: boolean): Promise<void> | undefined {
    if (this.#openedAt === undefined) return undefined
    if (this.state === 'open') throw this.error
    const probing = this.#findOut()
    if (failsFast) throw this.error
    return probing.then(() => {
      if (this.#openedAt !== undefined) throw this.error
    })
  }

  /** Takes note of how a request came out. `epoch`: as it was when the request was sent. */
  record(epoch: number, failure: unknown, route = ''): void {
    if (epoch !== this.#epoch || this.#openedAt !== undefined) return
    const verdict = failure === undefined ? 'resets' : classifyFailure(failure).breaker
    if (verdict === 'ignores') return
    if (verdict === 'resets') {
      this.#failures = 0
      this.#recovered(route)
      return
    }
    this.#failures += 1
    this.#failedRoute = route
    if (this.#failures >= this.#parts.failureThreshold) this.#open(failure)
  }

  /** Waits until requests may go out again, and sees to it that this is found out. @throws the signal's reason when it aborts first */
  async whenClosed(signal: AbortSignal): Promise<void> {
    if (this.#openedAt === undefined) return
    this.#waiting += 1
    this.#closing ??= Promise.withResolvers<void>()
    this.#arm()
    try {
      await waitUnlessAborted(this.#closing.promise, signal)
    } finally {
      this.#waiting -= 1
    }
  }

  /** The client closes: who waits cannot wait for long any more, so it is found out now, and again soon. */
  hurry(): void {
    this.#isHurried = true
    if (this.state !== 'open') return
    this.#retryAt = this.#parts.clock.now()
    this.#timer?.cancel()
    this.#timer = undefined
    this.#arm()
  }

  /** Stops the only timer it may have. */
  dispose(): void {
    this.#isDisposed = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  get #resetAfterMs(): number {
    const { resetAfterMs } = this.#parts
    return this.#isHurried ? Math.min(resetAfterMs, HURRIED_RESET_MS) : resetAfterMs
  }

  #open(failure: unknown): void {
    const { clock, onOpened } = this.#parts
    const isAgain = this.#troubledSince !== undefined
    this.#epoch += 1
    this.#failures = 0
    this.#openedAt = clock.now()
    this.#retryAt = this.#openedAt + this.#resetAfterMs
    this.#troubledSince ??= this.#openedAt
    onOpened(this.#resetAfterMs, isAgain, failure)
  }

  #close(): void {
    const openMs = this.#parts.clock.now() - (this.#openedAt ?? 0)
    this.#epoch += 1
    this.#openedAt = undefined
    this.#closing?.resolve()
    this.#closing = undefined
    this.#closedAt = this.#parts.clock.now()
    this.#parts.onClosed(openMs)
    this.#recovered(this.probeRoute)
  }

  #recovered(route: string): void {
    const { clock, resetAfterMs, onRecovered } = this.#parts
    if (this.#troubledSince === undefined) return
    const now = clock.now()
    if (route !== this.#failedRoute && now - this.#closedAt < resetAfterMs) return
    const outageMs = now - this.#troubledSince
    this.#troubledSince = undefined
    onRecovered?.(outageMs)
  }

  #findOut(): Promise<void> {
    this.#probing ??= this.probe()
      .then(
        () => true,
        (error: unknown) => classifyFailure(error).breaker === 'resets',
      )
      .then((isWell) => {
        this.#probing = undefined
        if (this.#isDisposed) return
        if (isWell) return this.#close()
        this.#retryAt = this.#parts.clock.now() + this.#resetAfterMs
        this.#arm()
      })
    return this.#probing
  }

  /** A timer only while somebody waits: an idle client makes no requests. */
  #arm(): void {
    if (this.#timer !== undefined || this.#probing !== undefined || this.#waiting === 0 || this.#isDisposed) return
    const delayMs = Math.max(0, this.#retryAt - this.#parts.clock.now())
    this.#timer = this.#parts.clock.setTimeout(() => {
      this.#timer = undefined
      if (this.#openedAt !== undefined && this.#waiting > 0) void this.#findOut()
    }, delayMs)
  }
}
