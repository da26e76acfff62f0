import type { Content } from '../../model/content.ts'

/** The requirements of a caller of `acquireEngine()`. */
export interface AcquireRequest {
  /** Container ids of engines that the caller does not want. */
  readonly exclude: ReadonlySet<string>
  /** Prefer engines without this content. */
  readonly content?: Content | undefined
  /** Whether a new engine may be requested for this caller. */
  readonly mayProvision: boolean
  /** How long the caller waits for an engine, milliseconds, from its call on. 0: it does not wait. */
  readonly waitMs: number
  /** Aborts this caller's wait. */
  readonly signal: AbortSignal | undefined
  /** How long this caller's lease lasts, milliseconds. @default the option `leaseTtlMs` */
  readonly leaseTtlMs?: number | undefined
  /** Called synchronously when the caller begins to wait, because no engine had room. */
  readonly onWaiting?: ((call: WaitingCall) => void) | undefined
}

/** A waiting call, for several callers that share it. */
export interface WaitingCall {
  /** Resolves when the callers were served from a newer engine list, or it could not be read. `undefined`: the list is fresh. */
  readonly refreshed: (() => Promise<void>) | undefined
  /** Whether {@link extend} has an effect: it has been neither served nor rejected, and is not in its last round. */
  isWaiting(): boolean
  /**
   * Makes the call more patient, and keeps its place. It waits until the later deadline, and may request an engine if any sharing caller
   * allows that. A refusal to start an engine rejects it only if every sharing caller allows to request one. Does nothing after the call has
   * left the queue.
   *
   * @param terms `untilMs`: the deadline of another sharing caller, milliseconds by the client's clock. `mayProvision`: whether an engine may
   *   be requested for it
   */
  extend(terms: { readonly untilMs: number; readonly mayProvision: boolean }): void
  /** Requests no engine for the call any more: the sharing callers that are left allow none. Does nothing after the call has left the queue. */
  forbidEngines(): void
  /**
   * The error for one of the sharing callers, whose own time is up while the call waits on.
   *
   * @param waitedMs how long that caller has waited, milliseconds
   */
  errorAfter(waitedMs: number): Error
}
