/** Machine-readable name of an error class. It does not change between releases. */
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
  | 'PLAYBACK_FAILED'
  | 'CONTENT'

/**
 * Base class of every error that this library creates. To catch errors use {@link OrchestratorError}: it has the same instances, and its `code`
 * narrows to one class.
 */
export abstract class OrchestratorErrorBase extends Error {
  /** Identifies the class. Works across two copies of the package, where `instanceof` fails. */
  abstract readonly code: OrchestratorErrorCode
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean
  /** The URL of the request, without credentials and query. Absent if the error is not about a request. */
  declare readonly url?: string
  /** How the request was addressed: `unversioned` (2025-10, 2026-04) or `v1`. Absent if that was not known yet. */
  declare readonly dialect?: 'unversioned' | 'v1'

  constructor(message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.retryable = options.retryable
  }

  /** The fields of the error and its message, for loggers that write JSON: without it, `JSON.stringify` leaves the message out. */
  toJSON(): object {
    return { ...this, message: this.message }
  }
}
