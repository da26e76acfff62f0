/**
 * The client: one {@link OrchestratorClient} for each process. It picks an engine for each viewer, and reports the start and the end of each
 * stream to the orchestrator. The store in memory, the errors and the types of all options are here too.
 *
 * @example
 * import { CapacityError, OrchestratorClient } from 'acestream-orchestrator-client'
 *
 * const client = new OrchestratorClient({ baseUrl, apiKey, maxStreamsPerEngine: 2, logger: console })
 * try {
 *   await using lease = await client.acquireEngine({ waitMs: 10_000, signal })
 *   const { session, video } = await openPlayback(lease.engine, infohash)
 *   await using stream = await lease.startStream({ keyType: 'infohash', key: infohash, session }, { signal })
 *   for await (const chunk of video) response.write(chunk)
 * } catch (error) {
 *   if (error instanceof CapacityError) response.writeHead(503, { 'retry-after': '5' }).end(error.reason)
 * }
 * @module acestream-orchestrator-client
 */
import './runtime/supported.ts'

export { OrchestratorClient } from './client.ts'
export type { CloseReport } from './close.ts'
export type {
  CapacityErrorOptions,
  CapacityReason,
  OrchestratorErrorBase,
  OrchestratorErrorCode,
  ResponseErrorOptions,
} from './errors.ts'
export {
  AuthenticationError,
  CapacityError,
  CircuitOpenError,
  ClientClosedError,
  ConnectionError,
  ContentError,
  InvalidArgumentError,
  MalformedResponseError,
  OrchestratorError,
  PlaybackError,
  RequestTimeoutError,
  ResponseError,
  StoreError,
  type StoreErrorReason,
  StreamLostError,
} from './errors.ts'
export type { DiagnosedEngine, Diagnosis, Generation, Problem, ProblemCode } from './model/diagnosis.ts'
export type { Candidate, CandidateComparator, Engine, EngineAddress } from './model/engine.ts'
export type { CircuitState, OrchestratorHealth } from './model/health.ts'
export type { EngineLease, FailOptions } from './model/lease.ts'
export type { OpenStream, StreamViewer } from './model/playback.ts'
export type {
  EndOutcome,
  EndResult,
  HostEngine,
  KeyType,
  PlaybackSession,
  Stream,
  StreamFilter,
  StreamHandle,
  StreamStart,
  StreamState,
} from './model/stream.ts'
export type { AcquireOptions, CloseOptions, ListEnginesOptions, ProvisionEngineOptions, RequestOptions } from './options/call-options.ts'
export type { DiagnoseOptions } from './options/diagnose-options.ts'
export type { Environment, EnvironmentOverrides } from './options/environment.ts'
export type { CircuitBreakerOptions, OrchestratorClientOptions, RetryOptions } from './options/options.ts'
export type { JoinStreamOptions, OpenContext, OpenedPlayback, OpenStreamOptions } from './options/playback-options.ts'
export type { PlaybackAttempt } from './playback-errors.ts'
export type { Cache } from './runtime/cache.ts'
export type { Clock, Timer } from './runtime/clock.ts'
export { SystemClock } from './runtime/clock.ts'
export type { Connect } from './runtime/connect.ts'
export { KyTransport, type KyTransportOptions } from './runtime/ky-transport.ts'
export type { Logger } from './runtime/logger.ts'
export type { MaybePromise } from './runtime/maybe-promise.ts'
export type { AbortSignalLike, HeadersLike, PlatformAbortSignal, PlatformHeaders, PlatformUrl, UrlLike } from './runtime/platform.ts'
export type { Random } from './runtime/random.ts'
export type { Transport, TransportRequest, TransportResponse, TransportStream } from './runtime/transport.ts'
export { MemoryStore } from './state/memory.ts'
export type {
  CallerPlace,
  EngineUsage,
  JournalEntry,
  LeaseRecord,
  Retention,
  SlotCandidate,
  SlotRequest,
  StateStore,
  StoreUser,
  UsageListener,
} from './state/store.ts'
export type { PendingEvent } from './streams/delivery/outbox.ts'
export type { ReconcileReport } from './streams/reconciliation/reconciler.ts'
export type { ClientEventListener, ClientEventName, ClientEvents } from './telemetry/events.ts'
export type { MetricsSnapshot } from './telemetry/metrics.ts'
export type { SweepReport } from './upkeep.ts'
