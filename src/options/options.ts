import type { CandidateComparator, Engine, EngineAddress } from '../model/engine.ts'
import type { StreamFilter } from '../model/stream.ts'
import type { Cache } from '../runtime/cache.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { PlatformAbortSignal, PlatformUrl } from '../runtime/platform.ts'
import type { Random } from '../runtime/random.ts'
import type { Transport } from '../runtime/transport.ts'
import type { NamesOf } from '../runtime/validate.ts'
import type { StateStore } from '../state/store.ts'

/**
 * How a failed request is repeated: after a random part of `baseDelayMs * 2 ** n`, at most `maxDelayMs`, or after what the orchestrator asks
 * for with `Retry-After`.
 */
export interface RetryOptions {
  /** Attempts of a read in all, 1 or more. Stream events are repeated for `deliveryTimeoutMs`; requests for an engine never are. @default 5 */
  attempts?: number | undefined
  /** Milliseconds. @default 200 */
  baseDelayMs?: number | undefined
  /** Milliseconds. @default 10_000 */
  maxDelayMs?: number | undefined
}

/** When to leave a failing orchestrator alone: time-outs, broken connections, 5xx, 408, 425 and 429 count as failures. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open the circuit. @default 5 */
  failureThreshold?: number | undefined
  /** Milliseconds until one request is let through again. @default 10_000 */
  resetAfterMs?: number | undefined
}

/** What a host may set. All durations are milliseconds. */
export interface OrchestratorClientOptions {
  /** Where the orchestrator is: http or https, without credentials. A path prefix is kept; one that ends in `/api/v1` means v1. */
  baseUrl: string | PlatformUrl
  /** Sent as a bearer token to `baseUrl`'s origin and nowhere else. @default none */
  apiKey?: string | undefined
  /**
   * An object, `Headers`, a `Map` or pairs. Added to each request, for a reverse proxy that wants a token of its own. `accept`, `user-agent`, `content-type` of a body and, with an
   * `apiKey`, `authorization` are the client's own. Values of 6 characters and more are never in an error or a log line. @default none
   */
  headers?: Record<string, string> | Iterable<readonly [string, string]> | undefined
  /** Which API the orchestrator speaks; `auto` finds out with one request. @default 'auto' */
  dialect?: 'auto' | 'unversioned' | 'v1' | undefined
  /** Names this proxy in a shared or durable store. @default a random UUID */
  proxyId?: string | undefined
  /** Slots per engine: the limit that is never exceeded. @default 1 */
  maxStreamsPerEngine?: number | undefined
  /** How long an engine list that was asked for is fresh; 0: always ask. @default 2_000 */
  cacheTtlMs?: number | undefined
  /**
   * Where the orchestrator pushes (v1, once a second), keep the list fresh from its event stream while engines are being acquired: opens
   * with the first acquire, the last list serving on meanwhile for at most 1 s, and closes after 60 s without one. A pushed list is fresh
   * for 3 s, whatever `cacheTtlMs`; after that, or where the stream is refused, silent or garbled, lists are asked for as usual. Needs a
   * transport that can `stream`. @default true
   */
  watch?: boolean | undefined
  /** How long past its TTL a list may still be served while the orchestrator fails. @default 30_000 */
  staleIfErrorMs?: number | undefined
  /**
   * How long a refresh of the engine list is waited for while the last list may still be served (`staleIfErrorMs`): then the last list is
   * served, and the refresh goes on for later callers. `acquireEngine` uses it where the last list has room for the caller; otherwise it waits
   * on. `listEngines({ fresh: true })` always waits. 0: never wait while there is a list. @default 300
   */
  refreshWaitMs?: number | undefined
  /**
   * How long `startStream` and `streamStarted` wait for the orchestrator's answer: then they resolve with a stream that is `announcing`, and
   * the start goes on. @default 1_000
   */
  startWaitMs?: number | undefined
  /** Per attempt, the answer's body included. @default 3_000 */
  requestTimeoutMs?: number | undefined
  /** Per provision request, and then for the new engine to be listed. @default 60_000 */
  provisionTimeoutMs?: number | undefined
  /**
   * Requests for a new engine under way at once, when the callers in the line need that many. Not on v1, which answers before it starts
   * anything: there `max_replicas` is the limit. @default 3
   */
  maxConcurrentProvisions?: number | undefined
  /** Requests in flight to the orchestrator. @default 16 */
  maxConcurrentRequests?: number | undefined
  /** An engine acquired but never used goes back after this. @default 60_000 */
  leaseTtlMs?: number | undefined
  /**
   * How long an engine just given to a caller gets no further one, as long as other engines have room: for engines that take a moment to
   * settle. A preference, never a reason to wait. @default 0
   */
  settleMs?: number | undefined
  /** How long ended stream ids are remembered. @default 3_600_000 */
  endedRetentionMs?: number | undefined
  /** How many ended stream ids are remembered. @default 100_000 */
  endedRetentionMax?: number | undefined
  /** How often the orchestrator's health is read; 0: never. @default 30_000 */
  healthIntervalMs?: number | undefined
  /** How often what is over is cleaned up; 0: never. @default 300_000 */
  sweepIntervalMs?: number | undefined
  /** How often live streams are compared with the orchestrator's, and what differs is mended; 0: only when asked to. @default 30_000 */
  reconcileIntervalMs?: number | undefined
  /** Repeating failed requests. */
  retry?: RetryOptions | undefined
  /** How long a stream event stays queued through an outage before it is given up. @default 3_600_000 */
  deliveryTimeoutMs?: number | undefined
  /** How many stream events may be undelivered at once; beyond that the one that has waited longest is given up. @default 100_000 */
  maxPendingEvents?: number | undefined
  /** Leaving a failing orchestrator alone. `false`: never. */
  circuitBreaker?: CircuitBreakerOptions | false | undefined
  /** Handed out while the orchestrator cannot be reached and no usable list is left. @default none */
  fallbackEngine?: EngineAddress | undefined
  /**
   * Rewrites an engine's address, for a proxy outside the orchestrator's Docker network. The orchestrator never sees the result: in
   * `statUrl` and `commandUrl` of a start it is mapped back.
   */
  mapEngine?: ((engine: Engine) => EngineAddress) | undefined
  /** Orders candidates, best first, in place of the built-in order. */
  rankEngines?: CandidateComparator | undefined
  /** How requests leave the process. @default a `KyTransport` */
  transport?: Transport | undefined
  /** What time it is, and all waiting. One with `monotonic()` keeps intervals right when the wall clock is set. @default a `SystemClock` */
  clock?: Clock | undefined
  /** Where the engine list is kept between calls; a `Keyv` instance is one. @default in this process */
  cache?: Cache | undefined
  /** Slots and ended ids. @default a `MemoryStore` */
  store?: StateStore | undefined
  /** Where an operator looks; `console`, a pino and a bunyan logger are ones. @default silent */
  logger?: Logger | undefined
  /** A number in [0, 1); decides among equal engines. @default `Math.random` */
  random?: Random | undefined
}

/** Every default in one place. */
export const DEFAULTS = {
  dialect: 'auto',
  maxStreamsPerEngine: 1,
  cacheTtlMs: 2_000,
  watch: true,
  staleIfErrorMs: 30_000,
  refreshWaitMs: 300,
  startWaitMs: 1_000,
  requestTimeoutMs: 3_000,
  provisionTimeoutMs: 60_000,
  maxConcurrentProvisions: 3,
  maxConcurrentRequests: 16,
  leaseTtlMs: 60_000,
  settleMs: 0,
  endedRetentionMs: 3_600_000,
  endedRetentionMax: 100_000,
  healthIntervalMs: 30_000,
  sweepIntervalMs: 300_000,
  reconcileIntervalMs: 30_000,
  retry: { attempts: 5, baseDelayMs: 200, maxDelayMs: 10_000 },
  deliveryTimeoutMs: 3_600_000,
  maxPendingEvents: 100_000,
  circuitBreaker: { failureThreshold: 5, resetAfterMs: 10_000 },
  waitMs: 30_000,
  closeTimeoutMs: 10_000,
} as const

/** The names of all options; another one is a typing error. */
export const CLIENT_OPTION_NAMES: NamesOf<OrchestratorClientOptions> = {
  baseUrl: true,
  apiKey: true,
  dialect: true,
  proxyId: true,
  maxStreamsPerEngine: true,
  headers: true,
  refreshWaitMs: true,
  startWaitMs: true,
  cacheTtlMs: true,
  watch: true,
  staleIfErrorMs: true,
  requestTimeoutMs: true,
  provisionTimeoutMs: true,
  maxConcurrentProvisions: true,
  maxConcurrentRequests: true,
  leaseTtlMs: true,
  settleMs: true,
  endedRetentionMs: true,
  endedRetentionMax: true,
  healthIntervalMs: true,
  sweepIntervalMs: true,
  reconcileIntervalMs: true,
  retry: true,
  deliveryTimeoutMs: true,
  maxPendingEvents: true,
  circuitBreaker: true,
  fallbackEngine: true,
  mapEngine: true,
  rankEngines: true,
  transport: true,
  clock: true,
  cache: true,
  store: true,
  logger: true,
  random: true,
}

/** The names of `retry`'s options. */
export const RETRY_OPTION_NAMES: NamesOf<RetryOptions> = { attempts: true, baseDelayMs: true, maxDelayMs: true }

/** The names of `circuitBreaker`'s options. */
export const CIRCUIT_BREAKER_OPTION_NAMES: NamesOf<CircuitBreakerOptions> = { failureThreshold: true, resetAfterMs: true }

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

/** Options of `OrchestratorClient.listEngines`. */
export interface ListEnginesOptions extends RequestOptions {
  /**
   * Whether to request the list now and to return no older one. Concurrent calls share a request: while one is in flight, all of them wait for
   * one more.
   *
   * @default false
   */
  fresh?: boolean | undefined
}

/** Options of `OrchestratorClient.provisionEngine`. */
export interface ProvisionEngineOptions extends RequestOptions {
  /** Labels of the new container. @default none */
  labels?: Record<string, string> | undefined
  /** Environment variables of the new container. @default none */
  env?: Record<string, string> | undefined
}

/** Options of `OrchestratorClient.close`. */
export interface CloseOptions {
  /** How long to wait until all events are delivered, milliseconds. Of the first call; later calls join it. @default 10_000 */
  timeoutMs?: number | undefined
}

/** The names of each method's options. */
export const REQUEST_OPTION_NAMES: NamesOf<RequestOptions> = { signal: true }
export const ACQUIRE_OPTION_NAMES: NamesOf<AcquireOptions> = { signal: true, waitMs: true, provision: true, exclude: true }
export const LIST_ENGINES_OPTION_NAMES: NamesOf<ListEnginesOptions> = { signal: true, fresh: true }
export const STREAM_FILTER_NAMES: NamesOf<StreamFilter> = { containerId: true, status: true }
export const PROVISION_OPTION_NAMES: NamesOf<ProvisionEngineOptions> = { signal: true, labels: true, env: true }
export const CLOSE_OPTION_NAMES: NamesOf<CloseOptions> = { timeoutMs: true }
