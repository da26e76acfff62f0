import type { OrchestratorClient } from '../client.ts'
import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { NamesOf } from '../runtime/validate.ts'

/** What every call that asks the orchestrator may be given. */
export interface RequestOptions {
  /** Ends this caller's wait only; the call rejects with the signal's reason. */
  signal?: PlatformAbortSignal | undefined
}

/** How an engine is acquired. */
export interface AcquireOptions extends RequestOptions {
  /** How long to wait for capacity, milliseconds; 0: fail at once. @default 30_000 */
  waitMs?: number | undefined
  /** Ask for a new engine when all are full. @default true */
  provision?: boolean | undefined
  /** Container ids not to be given again, e.g. one that just failed. */
  exclude?: Iterable<string> | undefined
}

/** What a sweep cleaned up. With a store that answers later, figures of 0 mean "not known yet". */
export interface SweepReport {
  /** Leases whose time was up. */
  expiredLeases: number
  /** Ended stream ids beyond their retention. */
  forgottenStreams: number
}

type OptionsOf<Method extends 'listEngines' | 'listStreams' | 'provisionEngine' | 'close'> = NonNullable<
  Parameters<OrchestratorClient[Method]>[0]
>

/** The names of each method's options. */
export const REQUEST_OPTION_NAMES: NamesOf<RequestOptions> = { signal: true }
export const ACQUIRE_OPTION_NAMES: NamesOf<AcquireOptions> = { signal: true, waitMs: true, provision: true, exclude: true }
export const LIST_ENGINES_OPTION_NAMES: NamesOf<OptionsOf<'listEngines'>> = { signal: true, fresh: true }
export const STREAM_FILTER_NAMES: NamesOf<OptionsOf<'listStreams'>> = { containerId: true, status: true }
export const PROVISION_OPTION_NAMES: NamesOf<OptionsOf<'provisionEngine'>> = { signal: true, labels: true, env: true }
export const CLOSE_OPTION_NAMES: NamesOf<OptionsOf<'close'>> = { timeoutMs: true }
