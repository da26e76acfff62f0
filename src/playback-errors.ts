import { OrchestratorErrorBase } from './error-base.ts'

/** An engine on which a playback could not be opened. */
export interface PlaybackAttempt {
  /** The engine. Empty for the fallback engine. */
  readonly containerId: string
  /** What `open` threw or rejected with, or a `RequestTimeoutError` if it took longer than `openTimeoutMs`. */
  readonly error: unknown
}

/**
 * `openStream` or `joinStream` found an engine, but no engine opened the playback. `attempts` has the error of each engine, and `cause` the last of
 * them. Retryable after `retryAfterMs`.
 */
export class PlaybackError extends OrchestratorErrorBase {
  override readonly code = 'PLAYBACK_FAILED'
  /** The engines that were tried, in order. */
  readonly attempts: readonly PlaybackAttempt[]
  /** Milliseconds to wait before the next attempt: 5,000, or the orchestrator's own value if it could offer no further engine. */
  readonly retryAfterMs: number

  constructor(message: string, options: { attempts: readonly PlaybackAttempt[]; retryAfterMs: number; cause?: unknown }) {
    super(message, { retryable: true, cause: options.cause })
    this.attempts = Object.freeze([...options.attempts])
    this.retryAfterMs = options.retryAfterMs
  }

  /** Foreign errors have no message in JSON, and may have fields that cannot be written as JSON, or that hold a whole request. */
  override toJSON(): object {
    const attempts = this.attempts.map(({ containerId, error }) => ({ containerId, error: shownError(error) }))
    return { ...super.toJSON(), attempts }
  }
}

/** An error as JSON shows it. */
function shownError(error: unknown): unknown {
  if (error instanceof OrchestratorErrorBase) return error
  if (typeof error !== 'object' || error === null) return String(error)
  const { name = '', message = '' } = error as { name?: unknown; message?: unknown }
  return { name: String(name), message: String(message) }
}

/**
 * This content cannot be played, on no engine. Throw it in the `open` of `openStream` or `joinStream`: no engine is blamed, no other engine is
 * tried, and the call rejects with this error at once. Never retryable.
 *
 * @example
 * import { ContentError } from 'acestream-orchestrator-client'
 *
 * throw new ContentError('The engine refused the content', { cause: error })
 */
export class ContentError extends OrchestratorErrorBase {
  override readonly code = 'CONTENT'

  constructor(message = 'This content cannot be played on any engine', options: { cause?: unknown } = {}) {
    super(message, { retryable: false, cause: options.cause })
  }
}
