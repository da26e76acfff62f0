import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type RetryParts, retryRead } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { EngineSnapshot } from './snapshot.ts'

/** How long one caller of a shared {@link Refresh} waits while its requests fail. */
export interface RefreshPatience {
  /** Milliseconds since the call. The caller waits for the first request in any case. @default as long as requests are retried */
  patienceMs?: number | undefined
  /** Whether this caller accepts an old list instead. If there is one, it waits for no request after the first that failed. @default false */
  acceptsOld?: boolean | undefined
}

/** Dependencies and options of {@link Refresh}. */
export interface RefreshParts extends RetryParts {
  api: Pick<OrchestratorApi, 'listEngines'>
  sequence: Sequence
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** How long the refresh may take until {@link Refresh.slow} resolves, milliseconds. */
  slowAfterMs: number
  /** Whether a caller needs this very refresh, because no older list serves it. */
  isRequired: boolean
  /** Whether there is an old list to serve if the refresh fails. */
  canServeOld: () => boolean
  /** Called for each request that fails. */
  onRequestFailed: (error: unknown) => void
  /** Called if the last request has failed. */
  onFailed: (error: unknown) => void
  /** Called with the list. Its return value is the result: a newer list may have arrived before this one. */
  onLoaded: (snapshot: EngineSnapshot, durationMs: number) => Promise<EngineSnapshot>
}

/**
 * One refresh of the engine list, which all callers that need a list meanwhile share. A failed request is retried only if a caller requires
 * this refresh, or there is no old list to serve.
 */
export class Refresh {
  /** The refreshed list, or the error of the last request. */
  readonly result: Promise<EngineSnapshot>
  /** See {@link slowSignal}. */
  readonly slow: () => Promise<void>
  readonly #parts: RefreshParts
  readonly #firstFailure = Promise.withResolvers<never>()
  #sequence: number
  #isRequired: boolean

  /** Sends the first request. */
  constructor(parts: RefreshParts) {
    this.#parts = parts
    this.#sequence = parts.sequence.next()
    this.#isRequired = parts.isRequired
    this.#firstFailure.promise.catch(() => {}) // perhaps no caller waits for it
    this.result = this.#load()
    this.slow = slowSignal(parts.clock, this.result, parts.slowAfterMs)
  }

  /** Number of the request that is under way: its list will show all events that were acknowledged before. */
  get sequence(): number {
    return this.#sequence
  }

  /** A caller needs this very refresh from now on. */
  require(): void {
    this.#isRequired = true
  }

  /**
   * The result, for one caller.
   *
   * @throws the error of the first request, once this caller's patience is over; else the error of the last request
   */
  resultWithin({ patienceMs = Number.POSITIVE_INFINITY, acceptsOld = false }: RefreshPatience): Promise<EngineSnapshot> {
    const { clock, canServeOld } = this.#parts
    const since = clock.now()
    return new Promise((resolve, reject) => {
      this.result.then(resolve, reject)
      this.#firstFailure.promise.catch((error: unknown) => {
        const leftMs = patienceMs - (clock.now() - since)
        if (leftMs <= 0 || (acceptsOld && canServeOld())) return reject(error)
        if (leftMs === Number.POSITIVE_INFINITY) return
        const timer = clock.setTimeout(() => reject(error), leftMs)
        const stop = (): void => timer.cancel()
        this.result.then(stop, stop)
      })
    })
  }

  async #load(): Promise<EngineSnapshot> {
    const { api, clock, sequence, lifetime, canServeOld, onRequestFailed, onFailed, onLoaded } = this.#parts
    const startedAt = clock.now()
    const isOptional = (): boolean => canServeOld() && !this.#isRequired
    const attempt = async (attemptNumber: number): Promise<EngineSnapshot> => {
      const number = this.#sequence
      const listed = await api.listEngines({ signal: lifetime, failsFast: isOptional(), attempt: attemptNumber })
      return { ...listed, engines: Object.freeze([...listed.engines]), sequence: number, receivedAt: clock.now() }
    }
    const snapshot = await retryRead(this.#parts, lifetime, attempt, (error) => {
      onRequestFailed(error)
      this.#sequence = sequence.next()
      this.#firstFailure.reject(error)
      return isOptional()
    }).catch((error: unknown) => {
      onFailed(error)
      throw error
    })
    return await onLoaded(snapshot, snapshot.receivedAt - startedAt)
  }
}

/**
 * Measures from now on how long `work` takes. Every call of the returned function returns the same promise. It resolves once the work has
 * taken `slowAfterMs` milliseconds, and never if the work ends before. All callers share one timer, and the first call arms it.
 */
export function slowSignal(clock: Clock, work: Promise<unknown>, slowAfterMs: number): () => Promise<void> {
  const slowAt = clock.now() + slowAfterMs
  let slow: Promise<void> | undefined
  return () => {
    slow ??= new Promise((resolve) => {
      const leftMs = slowAt - clock.now()
      if (leftMs <= 0) return resolve()
      const timer = clock.setTimeout(resolve, leftMs)
      const stop = (): void => timer.cancel()
      work.then(stop, stop)
    })
    return slow
  }
}
