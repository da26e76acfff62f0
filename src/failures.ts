/**
 * Describes one kind of failure: whether it is retried, whether the request may have been applied, and whether it counts for the circuit breaker.
 * These facts stand in no other place. `classifyFailure` in `src/errors.ts` finds the row of an error.
 */
export interface Failure {
  /** Whether the same request may succeed later without a change by the caller: the field `retryable` of the error. */
  readonly isRetryable: boolean
  /**
   * The effect of the request at the orchestrator. `refused`: none, and the same request will be refused again. `not-processed`: none, and the
   * request may be sent again. `unknown`: it may have been applied, or may be applied later; read the lists before sending it again (H4, H5).
   */
  readonly effect: 'refused' | 'not-processed' | 'unknown'
  /**
   * The effect on the circuit breaker. `counts`: one more failure in a row. `resets`: the orchestrator is alive, since it answered. `ignores`: the
   * failure says nothing about the orchestrator, or every caller must see the error (TLS).
   */
  readonly breaker: 'counts' | 'resets' | 'ignores'
  /**
   * Whether an old engine list or the host's fallback engine may be used in place of a list that failed to load. `false` if the host must see the
   * failure, for example a wrong key or a wrong path.
   */
  readonly allowsFallback: boolean
  /** Whether the orchestrator itself answered. `false`: no answer came, or a proxy in front of it answered. */
  readonly isAnswered: boolean
}

function row(
  isRetryable: boolean,
  effect: Failure['effect'],
  breaker: Failure['breaker'],
  allowsFallback: boolean,
  isAnswered: boolean,
): Failure {
  return Object.freeze({ isRetryable, effect, breaker, allowsFallback, isAnswered })
}

/** The kinds of failure. */
type FailureKind =
  | 'unreachable'
  | 'noTls'
  | 'connectionBroke'
  | 'timedOut'
  | 'redirected'
  | 'rejected'
  | 'requestTimeout'
  | 'notNow'
  | 'gatewayFailed'
  | 'serverFailed'
  | 'malformed'
  | 'heldBack'
  | 'cancelled'

/** One row for each kind of failure. `docs/reference.md` shows it to users. */
// biome-ignore format: a table
export const FAILURES: Readonly<Record<FailureKind, Failure>> = {
  //                   isRetryable  effect           breaker    allowsFallback  isAnswered
  /** The connection was refused, or the name was not found: nothing was sent. */
  unreachable:     row(true,        'not-processed', 'counts',  true,           false),
  /** The TLS handshake failed. It fails again until a certificate or a setting is changed. */
  noTls:           row(false,       'not-processed', 'ignores', true,           false),
  /** The connection broke after it was made. */
  connectionBroke: row(true,        'unknown',       'counts',  true,           false),
  /** No complete answer within the time of the attempt. */
  timedOut:        row(true,        'unknown',       'counts',  true,           false),
  /** 300-399: another service, most likely. Redirects are not followed. */
  redirected:      row(false,       'unknown',       'resets',  false,          true),
  /** 400-499, except the rows below. 401 and 403: the API key is wrong. */
  rejected:        row(false,       'refused',       'resets',  false,          true),
  /** 408: a proxy or the server waited too long for the request, or for its answer. */
  requestTimeout:  row(true,        'unknown',       'counts',  true,           false),
  /** 425, 429, 503: overloaded or starting. */
  notNow:          row(true,        'not-processed', 'counts',  true,           true),
  /** 502, 504: a proxy got no answer from the orchestrator. */
  gatewayFailed:   row(true,        'unknown',       'counts',  true,           false),
  /** Any other status from 500. */
  serverFailed:    row(true,        'unknown',       'counts',  true,           true),
  /** A success that is not JSON, has the wrong shape, or is too long. */
  malformed:       row(true,        'unknown',       'resets',  true,           true),
  /** Not sent, and may be sent later: the circuit breaker is open, or the store does not answer. */
  heldBack:        row(true,        'not-processed', 'ignores', true,           false),
  /** Not sent, and never will be: the client was closed, the caller aborted, or an argument is wrong. */
  cancelled:       row(false,       'refused',       'ignores', false,          false),
}

const STATUSES: ReadonlyMap<number, Failure> = new Map([
  [408, FAILURES.requestTimeout],
  [425, FAILURES.notNow],
  [429, FAILURES.notNow],
  [502, FAILURES.gatewayFailed],
  [503, FAILURES.notNow],
  [504, FAILURES.gatewayFailed],
])

/** Finds the row for an answer with this status, which must be outside 200-299. */
export function failureOfStatus(status: number): Failure {
  const listed = STATUSES.get(status)
  if (listed !== undefined) return listed
  if (status >= 500) return FAILURES.serverFailed
  return status >= 400 ? FAILURES.rejected : FAILURES.redirected
}
