import { OrchestratorErrorBase } from './error-base.ts'
import { FAILURES, type Failure, failureOfStatus } from './failures.ts'
import type { ContentError, PlaybackError } from './playback-errors.ts'

export { OrchestratorErrorBase, type OrchestratorErrorCode } from './error-base.ts'
export { ContentError, PlaybackError } from './playback-errors.ts'

/**
 * Any error that this library creates. `instanceof` narrows to it, and its `code` narrows to one class. No message or field of an error holds
 * the API key.
 *
 * A call that is aborted does not reject with one of these, but with its `signal.reason`, which may be anything.
 *
 * @example
 * import { OrchestratorError } from 'acestream-orchestrator-client'
 *
 * if (error instanceof OrchestratorError && error.code === 'CAPACITY') console.warn(error.reason, error.retryAfterMs)
 */
export type OrchestratorError =
  | InvalidArgumentError
  | ConnectionError
  | RequestTimeoutError
  | ResponseError
  | AuthenticationError
  | MalformedResponseError
  | CapacityError
  | CircuitOpenError
  | ClientClosedError
  | StreamLostError
  | StoreError
  | PlaybackError
  | ContentError

/** The class of every error of this library. A host cannot extend it. */
export const OrchestratorError: abstract new (...args: never[]) => OrchestratorError = OrchestratorErrorBase as abstract new (
  ...args: never[]
) => OrchestratorError

/** An option or argument is wrong. Nothing was sent. Never retryable: correct the option or field that `argument` names. */
export class InvalidArgumentError extends OrchestratorErrorBase {
  override readonly code = 'INVALID_ARGUMENT'
  /** The option or field that is wrong, as a path: `retry.attempts`, `session.statUrl`. */
  readonly argument: string

  /** @param options `message` replaces `<argument>: expected <expected>` */
  constructor(argument: string, expected: string, options: { message?: string | undefined; cause?: unknown } = {}) {
    const { message = `${argument}: expected ${expected}`, ...rest } = options
    super(message, { ...rest, retryable: false })
    this.argument = argument
  }
}

/**
 * No answer came: the connection was refused, could not be made, or broke. Retryable, unless TLS failed (a certificate that is not trusted, has
 * expired or is for another name, or a port without TLS). Then the message says what to change.
 */
export class ConnectionError extends OrchestratorErrorBase {
  override readonly code = 'CONNECTION'
  /** Whether the orchestrator may have got the request. `false` only if it certainly did not: refused, name not found, no TLS. */
  readonly maybeProcessed: boolean

  constructor(message: string, options: { maybeProcessed: boolean; retryable?: boolean | undefined; cause?: unknown }) {
    super(message, { ...options, retryable: options.retryable ?? FAILURES.unreachable.isRetryable })
    this.maybeProcessed = options.maybeProcessed
  }
}

/** No complete answer came in time. The orchestrator may have applied the request, or may still apply it. Retryable. */
export class RequestTimeoutError extends OrchestratorErrorBase {
  override readonly code = 'REQUEST_TIMEOUT'
  /** Milliseconds that the attempt was allowed to take. */
  readonly timeoutMs: number

  constructor(message: string, options: { timeoutMs: number; cause?: unknown }) {
    super(message, { ...options, retryable: FAILURES.timedOut.isRetryable })
    this.timeoutMs = options.timeoutMs
  }
}

/** Options of {@link ResponseError} and {@link AuthenticationError}. */
export interface ResponseErrorOptions {
  status: number
  /** The body of the answer. The error keeps its first 512 characters. */
  body: string
  /** Milliseconds from the header `Retry-After`. */
  retryAfterMs?: number | undefined
  cause?: unknown
}

const BODY_EXCERPT_LENGTH = 512

/**
 * The orchestrator, or a proxy in front of it, answered with a status outside 200-299. Retryable for 408, 425, 429 and 500-599. `status` and
 * `body` show the cause.
 */
export class ResponseError extends OrchestratorErrorBase {
  override readonly code: 'RESPONSE' | 'AUTHENTICATION' = 'RESPONSE'
  readonly status: number
  /** The first 512 characters of the answer's body, without secrets. */
  readonly body: string
  /** Milliseconds from the header `Retry-After`, without an upper bound. The client itself waits at most 60 s. `undefined`: no such header. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, options: ResponseErrorOptions) {
    super(message, { retryable: failureOfStatus(options.status).isRetryable, cause: options.cause })
    this.status = options.status
    this.body = options.body.slice(0, BODY_EXCERPT_LENGTH)
    this.retryAfterMs = options.retryAfterMs
  }
}

/**
 * The answer was 401 or 403: the API key is missing or wrong, or a proxy in front of the orchestrator wants its own credentials, which the message
 * then says. Never retryable: correct `apiKey` or `headers`.
 */
export class AuthenticationError extends ResponseError {
  override readonly code = 'AUTHENTICATION'
}

/**
 * The answer was not JSON (a login page, for example), had the wrong shape, or was longer than 8 MiB. Nothing of it was used. Retryable, but if it
 * lasts, check `baseUrl` and any proxy in front of the orchestrator.
 */
export class MalformedResponseError extends OrchestratorErrorBase {
  override readonly code = 'MALFORMED_RESPONSE'
  /** `undefined` if the error is not about a whole answer, as for an event of the event stream. */
  readonly status: number | undefined
  /** The first 512 characters of the answer's body, without secrets. */
  readonly body: string

  constructor(message: string, options: { status?: number | undefined; body?: string | undefined; cause?: unknown } = {}) {
    super(message, { retryable: FAILURES.malformed.isRetryable, cause: options.cause })
    this.status = options.status
    this.body = (options.body ?? '').slice(0, BODY_EXCERPT_LENGTH)
  }
}

/**
 * Why this caller gets no engine.
 *
 * - `full`: no engine has room for this caller.
 * - `no_engines`: the orchestrator lists no engine.
 * - `unreachable`: the orchestrator does not answer properly.
 * - `lease_expired`: the lease expired or was released, and its engine is full now.
 * - `provision_timeout`: a requested engine was not listed in time.
 * - `store_unavailable`: the store cannot say which slots are free.
 * - `unauthorized`: the API key may not start engines.
 * - any other value is the code with which the orchestrator refused to start an engine. Later orchestrators may have further codes.
 */
export type CapacityReason =
  | 'full'
  | 'no_engines'
  | 'unreachable'
  | 'lease_expired'
  | 'provision_timeout'
  | 'store_unavailable'
  | 'unauthorized'
  | 'vpn_disconnected'
  | 'vpn_error'
  | 'circuit_breaker'
  | 'max_capacity'
  | 'general_error'
  | (string & {})

/** Options of {@link CapacityError}. Each is documented at the field of the error with the same name. */
export interface CapacityErrorOptions {
  reason: CapacityReason
  retryAfterMs?: number | undefined
  shouldWait: boolean
  canRetry: boolean
  /** @default true */
  isAdvised?: boolean | undefined
  position?: number | undefined
  waitedMs?: number | undefined
  cause?: unknown
}

/**
 * There is no engine for this viewer now. The message says why, how full the engines are, and when to retry. Retryable if `canRetry` or
 * `shouldWait`. To answer the viewer with 503:
 *
 * @example
 * import { CapacityError } from 'acestream-orchestrator-client'
 *
 * if (error instanceof CapacityError) {
 *   const seconds = Math.ceil((error.retryAfterMs ?? 5_000) / 1_000)
 *   response.writeHead(503, { 'retry-after': String(seconds) }).end(error.reason)
 * }
 */
export class CapacityError extends OrchestratorErrorBase {
  override readonly code = 'CAPACITY'
  /** The cause, machine-readable. */
  readonly reason: CapacityReason
  /**
   * Milliseconds to wait before the next attempt: the orchestrator's own value, or 5,000. A `Retry-After` header counts for at most 60 s, unless
   * the body of the answer confirms more. `undefined` only in an error that the host itself created without it.
   */
  readonly retryAfterMs: number | undefined
  /** Whether the cause is expected to pass without help. */
  readonly shouldWait: boolean
  /** Whether another attempt at once can succeed. */
  readonly canRetry: boolean
  /** Whether the orchestrator gave the advice. `false`: no engine was requested, or the request failed without advice (as on 2026-04). */
  readonly isAdvised: boolean
  /** The caller's position in the queue when it left, from 1. `undefined`: it did not wait. */
  readonly position: number | undefined
  /** Milliseconds that the caller had waited in the queue. `undefined`: it did not wait. */
  readonly waitedMs: number | undefined

  constructor(message: string, options: CapacityErrorOptions) {
    const retryable = options.canRetry || options.shouldWait
    super(message, { retryable, cause: options.cause })
    this.reason = options.reason
    this.retryAfterMs = options.retryAfterMs
    this.shouldWait = options.shouldWait
    this.canRetry = options.canRetry
    this.isAdvised = options.isAdvised ?? true
    this.position = options.position
    this.waitedMs = options.waitedMs
  }
}

/** The wait that a {@link CapacityError} advises if the orchestrator gave none, milliseconds. */
export const DEFAULT_RETRY_AFTER_MS: number = 5_000

/** Completes a {@link CapacityError} without `retryAfterMs`: a host always gets one. Any other error is returned as it is. */
export function withRetryAfter(error: unknown): unknown {
  if (!(error instanceof CapacityError) || error.retryAfterMs !== undefined) return error
  const { message, reason, shouldWait, canRetry, isAdvised, cause } = error
  return new CapacityError(message, { reason, retryAfterMs: DEFAULT_RETRY_AFTER_MS, shouldWait, canRetry, isAdvised, cause })
}

/** The orchestrator has been failing, so the circuit breaker is open, and nothing was sent. Retryable after `retryAfterMs`. */
export class CircuitOpenError extends OrchestratorErrorBase {
  override readonly code = 'CIRCUIT_OPEN'
  /** Milliseconds until the client sends a request again. */
  readonly retryAfterMs: number

  constructor(message: string, options: { retryAfterMs: number; cause?: unknown }) {
    super(message, { ...options, retryable: FAILURES.heldBack.isRetryable })
    this.retryAfterMs = options.retryAfterMs
  }
}

/** The client was closed before or during this call. Never retryable: create another client. */
export class ClientClosedError extends OrchestratorErrorBase {
  override readonly code = 'CLIENT_CLOSED'

  constructor(message = 'The client is closed') {
    super(message, { retryable: FAILURES.cancelled.isRetryable })
  }
}

/**
 * The reason with which `stream.lost` aborts: the engine of the stream is gone, so it cannot play on. The client has released its slot and sends
 * its end. Stop the playback, and acquire another engine.
 */
export class StreamLostError extends OrchestratorErrorBase {
  override readonly code = 'STREAM_LOST'
  readonly streamId: string
  /** The engine on which the stream ran. */
  readonly containerId: string

  constructor(message: string, options: { streamId: string; containerId: string }) {
    super(message, { retryable: false })
    this.streamId = options.streamId
    this.containerId = options.containerId
  }
}

/**
 * Why a store cannot be used.
 *
 * - `unavailable`: it did not answer in time, or it grants no slots for a while after a restart of Redis. Passes without help.
 * - `locked`: another process has the file open. Passes when that process closes it.
 * - `newer-version`: a newer release of this library wrote it.
 * - `corrupt`: it is damaged, another program wrote it, or a store that the host implements returned a wrong type.
 * - `unwritable`: the disk is full, or the right to write is missing.
 */
export type StoreErrorReason = 'unavailable' | 'locked' | 'newer-version' | 'corrupt' | 'unwritable'

/** The store failed. Retryable if the reason is `unavailable` or `locked`. */
export class StoreError extends OrchestratorErrorBase {
  override readonly code = 'STORE'
  readonly reason: StoreErrorReason

  constructor(message: string, options: { reason: StoreErrorReason; cause?: unknown }) {
    super(message, { ...options, retryable: options.reason === 'unavailable' || options.reason === 'locked' })
    this.reason = options.reason
  }
}

/**
 * Finds the row of {@link FAILURES} for anything that a request threw. A value that is not an error of this library is the reason of the signal
 * that ended the request.
 */
export function classifyFailure(thrown: unknown): Failure {
  if (!(thrown instanceof OrchestratorError)) return FAILURES.cancelled
  switch (thrown.code) {
    case 'CONNECTION':
      if (thrown.maybeProcessed) return FAILURES.connectionBroke
      return thrown.retryable ? FAILURES.unreachable : FAILURES.noTls
    case 'REQUEST_TIMEOUT':
      return FAILURES.timedOut
    case 'RESPONSE':
    case 'AUTHENTICATION':
      return failureOfStatus(thrown.status)
    case 'MALFORMED_RESPONSE':
      return FAILURES.malformed
    case 'CAPACITY':
      // The orchestrator refused to start an engine: it is alive.
      return FAILURES.rejected
    case 'CIRCUIT_OPEN':
    case 'STORE':
      return thrown.retryable ? FAILURES.heldBack : FAILURES.cancelled
    case 'INVALID_ARGUMENT':
    case 'CLIENT_CLOSED':
    case 'STREAM_LOST':
    case 'PLAYBACK_FAILED':
    case 'CONTENT':
      return FAILURES.cancelled
  }
}
