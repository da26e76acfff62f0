import type { OrchestratorError } from '../../errors.ts'
import type { Underway } from './outbox.ts'

/** What a look before sending again found. */
export type Found<T> =
  /** The effect is there: it need not be sent again. */
  | { readonly kind: 'applied'; readonly value: T }
  | { readonly kind: 'not-applied' }
  /** It must not be sent any more. */
  | { readonly kind: 'pointless' }
  /** What was seen proves nothing. */
  | { readonly kind: 'unclear'; readonly error: OrchestratorError }

/** An event to be told, by whatever number of attempts it takes. */
export interface Dispatch<T> {
  readonly pending: Underway
  /** Aborts when nobody needs it to be told any more. */
  readonly abandoned?: AbortSignal
  /** Whether to look before the first attempt already: it waited, and much may have changed. */
  readonly isLate: boolean
  /** Whether to look before any further attempt, not only after one that may have been applied. */
  readonly alwaysLooks: boolean
  attempt(): Promise<T>
  /** Looks at what the orchestrator shows, asked for after `since`. `maybeApplied`: an attempt may have been. */
  look(since: number, maybeApplied: boolean): Promise<Found<T>>
}

/** An event that is needed until it is delivered. */
export interface CertainDispatch<T> extends Dispatch<T> {
  readonly abandoned?: never
  look(since: number, maybeApplied: boolean): Promise<Exclude<Found<T>, { readonly kind: 'pointless' }>>
}

/** How such a dispatch came out. */
export type CertainlyDelivered<T> = Exclude<Delivered<T>, { readonly kind: 'abandoned' | 'pointless' }>

/** How a dispatch came out. */
export type Delivered<T> = { readonly attempts: number } & (
  | { readonly kind: 'done'; readonly value: T }
  /** `maybeApplied`: not this attempt, but one before it. */
  | { readonly kind: 'refused'; readonly maybeApplied: boolean; readonly error: OrchestratorError }
  /** Nobody needs it any more, or it must not be sent any more. `maybeApplied`: an attempt may have been, or may yet be. */
  | { readonly kind: 'abandoned' | 'pointless'; readonly maybeApplied: boolean }
  | { readonly kind: 'given-up'; readonly maybeApplied: boolean; readonly error: OrchestratorError }
)
