import { FAILURES, type Failure, failureOfStatus } from './failures.ts'

/** Machine-readable name of an error's class; stable across releases. */
export type OrchestratorErrorCode =
  | 'INVALID_ARGUMENT'
  | 'CONNECTION'
  | 'REQUEST_TIMEOUT'
  | 'RESPONSE'
  | 'AUTHENTICATION'
  | 'MALFORMED_RESPONSE'
  | 'CAPACITY'
  | 'CIRCUIT_OPEN'
  | 'CLIENT_CLOSED'
  | 'STREAM_LOST'
  | 'STORE'

/**
 * Base of every error that this library creates. Catch with {@link OrchestratorError}, which has the same instances, and a `code` that narrows.
 */
export abstract class OrchestratorErrorBase extends Error {
  /** Tells the class without `instanceof`, which fails across two copies of the package. */
  abstract readonly code: OrchestratorErrorCode
  /** Whether the same call may succeed later without any change by the caller. */
  readonly retryable: boolean
  /** The URL that was requested, without credentials and query. Absent where the error is not about a request. */
  declare readonly url?: string
  /** How the orchestrator was asked, where that was known: `unversioned` (2025-10, 2026-04) or `v1`. */
  declare readonly dialect?: 'unversioned' | 'v1'

  constructor(message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.retryable = options.retryable
  }
}

/**
 * Any error that this library creates. A call that was aborted rejects with its `signal.reason` instead, which may be anything. No message or
 * field of an error ever holds the API key.
 *
 * `instanceof` narrows to it, and its `code` narrows to one class:
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

/** The class of which every error of this library is an instance. A host can not extend it. */
export const OrchestratorError: abstract new (...args: never[]) => OrchestratorError = OrchestratorErrorBase as abstract new (
  ...args: never[]
) => OrchestratorError

/** An option or argument is wrong. Never retryable; nothing was sent. */
export class InvalidArgumentError extends OrchestratorErrorBase {
  override readonly code = 'INVALID_ARGUMENT'
  /** The option or field that is wrong, as a path: `retry.attempts`, `session.statUrl`. */
  readonly argument: string

  /** @param options `message`: in place of `<argument>: expected <expected>` */
  constructor(argument: string, expected: string, options: { message?: string | undefined; cause?: unknown } = {}) {
    const { message = `${argument}: expected ${expected}`, ...rest } = options
    super(message, { ...rest, retryable: false })
    this.argument = argument
  }
}

/**
 * No answer came: the connection was refused, could not be made, or broke. Retryable, unless TLS could not be agreed on (a certificate that
 * is not trusted, has expired or is for another name; a port that does not speak TLS): then the message says what to change.
 */
export class ConnectionError extends OrchestratorErrorBase {
  override readonly code = 'CONNECTION'
  /** `false` only where it is certain that the orchestrator never saw the request (refused, name not found, no TLS). */
  readonly maybeProcessed: boolean

  constructor(message: string, options: { maybeProcessed: boolean; retryable?: boolean | undefined; cause?: unknown }) {
    super(message, { ...options, retryable: options.retryable ?? FAILURES.unreachable.isRetryable })
    this.maybeProcessed = options.maybeProcessed
  }
}

/** No complete answer came in time. The orchestrator may have applied the request, or may yet. */
export class RequestTimeoutError extends OrchestratorErrorBase {
  override readonly code = 'REQUEST_TIMEOUT'
  /** Milliseconds the attempt was given. */
  readonly timeoutMs: number

  constructor(message: string, options: { timeoutMs: number; cause?: unknown }) {
    super(message, { ...options, retryable: FAILURES.timedOut.isRetryable })
    this.timeoutMs = options.timeoutMs
  }
}

/** What every error that came with a status tells. */
export interface ResponseErrorOptions {
  status: number
  /** The answer's body or its beginning. */
  body: string
  /** From `Retry-After`, milliseconds. */
  retryAfterMs?: number | undefined
  cause?: unknown
}

/** As much of a body as an error carries: enough to recognise it, too little to fill a log. */
const BODY_EXCERPT_LENGTH = 512

/** The orchestrator answered with a status outside 200-299. Retryable for 408, 425, 429 and 500-599. */
export class ResponseError extends OrchestratorErrorBase {
  override readonly code: 'RESPONSE' | 'AUTHENTICATION' = 'RESPONSE'
  readonly status: number
  /** The first 512 characters of the answer's body. */
  readonly body: string
  /** Milliseconds the orchestrator asked to wait with `Retry-After`, however many. The client itself waits at most 60 s of them. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, options: ResponseErrorOptions) {
    super(message, { retryable: failureOfStatus(options.status).isRetryable, cause: options.cause })
    this.status = options.status
    this.body = options.body.slice(0, BODY_EXCERPT_LENGTH)
    this.retryAfterMs = options.retryAfterMs
  }
}

/** 401 or 403: the API key is missing or wrong. Never retryable. */
export class AuthenticationError extends ResponseError {
  override readonly code = 'AUTHENTICATION'
}

/** The answer cannot be what the orchestrator meant to say: not JSON, of the wrong shape, too long. Nothing of it was used. */
export class MalformedResponseError extends OrchestratorErrorBase {
  override readonly code = 'MALFORMED_RESPONSE'
  readonly status: number | undefined
  /** The first 512 characters of the answer's body. */
  readonly body: string

  constructor(message: string, options: { status?: number | undefined; body?: string | undefined; cause?: unknown } = {}) {
    super(message, { retryable: FAILURES.malformed.isRetryable, cause: options.cause })
    this.status = options.status
    this.body = (options.body ?? '').slice(0, BODY_EXCERPT_LENGTH)
  }
}

/**
 * Why this caller has no engine. `full`: no engine has room for it. `no_engines`: there is none. `unreachable`: the orchestrator does not
 * answer. `lease_expired`: the lease ran out, and its engine is full. `provision_timeout`: a requested engine did not come in time.
 * `store_unavailable`: the store does not say which slots are free. `unauthorized`: the key may not start engines. Else the code with which
 * the orchestrator refused to start one (`vpn_disconnected`, `circuit_breaker`, …); any string, since later orchestrators have codes of
 * their own.
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

/** What a {@link CapacityError} knows. */
export interface CapacityErrorOptions {
  reason: CapacityReason
  retryAfterMs?: number | undefined
  shouldWait: boolean
  canRetry: boolean
  isAdvised?: boolean | undefined
  position?: number | undefined
  waitedMs?: number | undefined
  cause?: unknown
}

/**
 * There is no engine for this viewer now. It carries what a host needs to answer 503.
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
  /** Why, machine-readable. */
  readonly reason: CapacityReason
  /**
   * Milliseconds after which asking again makes sense: the orchestrator's word where it gave one, else a guess. Of a `Retry-After` header at
   * most 60 s, unless the answer's body confirms more; of a body all. Always there in an error that a call of the client rejects with; `undefined` only in one of the host's own making that left it out.
   */
  readonly retryAfterMs: number | undefined
  /** Whether the cause is expected to pass by itself. */
  readonly shouldWait: boolean
  /** Whether asking again at once can succeed. */
  readonly canRetry: boolean
  /** Whether the orchestrator said so. `false`: it was not asked, or failed without a word of advice, as 2026-04 does when asked for an engine. */
  readonly isAdvised: boolean
  /** The caller's place in the line when it was sent away, 1: it was next. `undefined`: it was never in the line. */
  readonly position: number | undefined
  /** How long the caller had been in the line by then, milliseconds. `undefined`: it was never in the line. */
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

/** The circuit breaker is open: the orchestrator has been failing, and nothing was sent. */
export class CircuitOpenError extends OrchestratorErrorBase {
  override readonly code = 'CIRCUIT_OPEN'
  /** Milliseconds until the next request is let through. */
  readonly retryAfterMs: number

  constructor(message: string, options: { retryAfterMs: number; cause?: unknown }) {
    super(message, { ...options, retryable: FAILURES.heldBack.isRetryable })
    this.retryAfterMs = options.retryAfterMs
  }
}

/** The client was closed before or during this call. */
export class ClientClosedError extends OrchestratorErrorBase {
  override readonly code = 'CLIENT_CLOSED'

  constructor(message = 'The client is closed') {
    super(message, { retryable: FAILURES.cancelled.isRetryable })
  }
}

/** Why `handle.lost` aborted: the stream's engine is gone, and its playback with it. Its slot has gone back, and its end was told. */
export class StreamLostError extends OrchestratorErrorBase {
  override readonly code = 'STREAM_LOST'
  readonly streamId: string
  /** The engine it ran on. */
  readonly containerId: string

  constructor(message: string, options: { streamId: string; containerId: string }) {
    super(message, { retryable: false })
    this.streamId = options.streamId
    this.containerId = options.containerId
  }
}

/**
 * Why a store cannot be used: it could not be reached in time, another process has locked it, a newer release wrote it, it is damaged, or
 * there is no room or no right to write it.
 */
export type StoreErrorReason = 'unavailable' | 'locked' | 'newer-version' | 'corrupt' | 'unwritable'

/** The store could not do what it was asked. */
export class StoreError extends OrchestratorErrorBase {
  override readonly code = 'STORE'
  readonly reason: StoreErrorReason

  constructor(message: string, options: { reason: StoreErrorReason; cause?: unknown }) {
    super(message, { ...options, retryable: options.reason === 'unavailable' || options.reason === 'locked' })
    this.reason = options.reason
  }
}

/**
 * The row of the table of failures for anything that a request threw. A value that is no error of this library is the reason of the signal that
 * ended the request.
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
      return FAILURES.cancelled
  }
}
