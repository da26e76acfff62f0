import type { CloseReport } from './close.ts'
import type { ClientClosedError, InvalidArgumentError } from './errors.ts'
import { Lifecycle } from './lifecycle.ts'
import type { Diagnosis, Generation } from './model/diagnosis.ts'
import type { Engine } from './model/engine.ts'
import type { OrchestratorHealth } from './model/health.ts'
import type { EngineLease } from './model/lease.ts'
import type { OpenStream, StreamViewer } from './model/playback.ts'
import type { EndResult, HostEngine, Stream, StreamFilter, StreamHandle, StreamStart } from './model/stream.ts'
import { checkAcquireOptions } from './options/acquire-options.ts'
import type { AcquireOptions, CloseOptions, ListEnginesOptions, ProvisionEngineOptions, RequestOptions } from './options/call-options.ts'
import type { DiagnoseOptions } from './options/diagnose-options.ts'
import { type Environment, type EnvironmentOverrides, readOptions, readProcessEnvironment } from './options/environment.ts'
import type { OrchestratorClientOptions } from './options/options.ts'
import type { JoinStreamOptions, OpenStreamOptions } from './options/playback-options.ts'
import * as resolve from './options/resolve.ts'
import { checkJoinOptions, checkOpenOptions } from './options/resolve-playback.ts'
import { expectStreamId } from './options/stream-start.ts'
import { waitUnlessAborted } from './runtime/abort.ts'
import { showAs } from './runtime/platform.ts'
import { retryRead } from './runtime/retry.ts'
import { expectObject } from './runtime/validate.ts'
import type { ReconcileReport } from './streams/reconciliation/reconciler.ts'
import { type ClientEventListener, type ClientEventName, expectListener } from './telemetry/events.ts'
import type { MetricsSnapshot } from './telemetry/metrics.ts'
import { metricsOf, type SweepReport, summaryOf, sweepNow } from './upkeep.ts'
import type { ClientParts } from './wiring.ts'

/**
 * Picks an engine with room for each viewer, and reports the start and the end of every stream to the orchestrator. Make one per process.
 *
 * All durations are milliseconds. A call whose `signal` aborts rejects with the signal's reason; shared work continues for others. A wrong
 * argument rejects with an {@link InvalidArgumentError} before anything is sent, and a call after {@link close} with a
 * {@link ClientClosedError}. A pending call keeps the process alive, an idle client does not.
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 *
 * const client = new OrchestratorClient({ baseUrl: 'http://orchestrator:8000', apiKey, maxStreamsPerEngine: 2, logger: console })
 */
export class OrchestratorClient implements AsyncDisposable {
  readonly #parts: ClientParts
  readonly #options: resolve.ResolvedOptions
  readonly #lifecycle: Lifecycle

  /**
   * Checks the options. It sends no request and starts no timer: background work starts with the first call.
   * @throws {@link InvalidArgumentError} with the name of the option that is unknown or wrong
   * @throws the error of the `store`, if the store cannot be used with these options
   */
  constructor(options: OrchestratorClientOptions) {
    this.#options = resolve.resolveOptions(options)
    this.#lifecycle = new Lifecycle(this.#options, this)
    this.#parts = this.#lifecycle.parts
    showAs(this, 'OrchestratorClient', () => summaryOf(this.#parts, this.#options, this.#lifecycle.isClosed))
  }

  /**
   * Makes a client from `ACEXY_ORCH_URL`, `ACEXY_ORCH_APIKEY`, `ACEXY_CONTAINER_ID` (as `proxyId`) and `ACEXY_MAX_STREAMS_PER_ENGINE`.
   * Returns `undefined` if no URL is set: the proxy then runs without an orchestrator.
   * @param env the variables @default `process.env`
   * @param overrides options that win over the variables
   * @throws {@link InvalidArgumentError} with the name of the variable or option that is wrong
   * @example
   * import { OrchestratorClient } from 'acestream-orchestrator-client'
   *
   * const client = OrchestratorClient.fromEnv(process.env, { logger: console })
   * if (client === undefined) console.log('ACEXY_ORCH_URL is not set')
   */
  static fromEnv(env: Environment = readProcessEnvironment(), overrides: EnvironmentOverrides = {}): OrchestratorClient | undefined {
    const options = readOptions(env, overrides)
    return options && makeClient(options)
  }

  /**
   * Reserves a slot on the best engine with room. If all engines are full, waits in order of arrival and requests a new engine if that
   * helps. Release the lease, or start a stream with it: `await using` does both.
   * @param options waits at most `waitMs`, 30,000 by default
   * @throws {@link CapacityError} if no engine was free in time, or the orchestrator refuses to start one and advises not to wait
   * @throws the error of the engine list ({@link ConnectionError}, {@link CircuitOpenError}, …) if none could be read in time
   * @example
   * await using lease = await client.acquireEngine({ waitMs: 10_000, signal })
   * const { session, video } = await openPlayback(lease.engine, infohash)
   * await using stream = await lease.startStream({ keyType: 'infohash', key: infohash, session }, { signal })
   * for await (const chunk of video) response.write(chunk)
   */
  async acquireEngine(options: AcquireOptions = {}): Promise<EngineLease> {
    this.#lifecycle.begin()
    const acquiring = this.#parts.playbacks.acquire(checkAcquireOptions(options))
    this.#parts.watch.touch()
    return acquiring instanceof Promise ? this.#parts.alive.during(acquiring) : acquiring
  }

  /**
   * Opens a stream for one viewer: acquires an engine, calls your `open` there, tries another engine if that fails, and announces the stream.
   * Its end calls your `close` before the slot is free. If viewers of one content may share one playback, use {@link joinStream}.
   *
   * A viewer who aborts `signal` before this resolves leaves nothing behind: no slot, no playback, no stream. Later the signal does nothing.
   * @throws {@link PlaybackError} if no engine that was tried opened the playback
   * @throws {@link ContentError} as your `open` threw it
   * @throws {@link ResponseError} if the orchestrator refuses the start, after `close`
   * @throws the errors of {@link acquireEngine}
   * @example
   * await using stream = await client.openStream({
   *   keyType: 'infohash',
   *   key: infohash,
   *   async open(engine) {
   *     const { session, video } = await openPlayback(engine, infohash)
   *     return { session, playback: video }
   *   },
   *   close: (video) => video.destroy(),
   *   signal,
   * })
   * for await (const chunk of stream.playback) response.write(chunk)
   */
  async openStream<T>(options: OpenStreamOptions<T>): Promise<OpenStream<T>> {
    this.#lifecycle.begin()
    const opening = this.#parts.playbacks.open(checkOpenOptions(options))
    this.#parts.watch.touch()
    return await this.#parts.alive.during(opening)
  }

  /**
   * Joins the stream of a content, and opens it as {@link openStream} does if nobody has: one slot, one playback and one start for all viewers of
   * this client. The options of the first caller open it, so `open` must use nothing that belongs to one viewer. When the last viewer has
   * left, the stream ends after `lingerMs`.
   * @throws as {@link openStream}; all who wait for an opening get the same error, and so do callers within a second after it
   * @example
   * await using viewer = await client.joinStream({
   *   keyType: 'infohash',
   *   key: infohash,
   *   open: (engine) => openBroadcast(engine, infohash), // returns { session, playback }
   *   close: (broadcast) => broadcast.stop(),
   *   signal,
   * })
   * await viewer.stream.playback.copyTo(response, viewer.stream.lost)
   */
  async joinStream<T>(options: JoinStreamOptions<T>): Promise<StreamViewer<T>> {
    this.#lifecycle.begin()
    const joining = this.#parts.playbacks.join(checkJoinOptions(options))
    this.#parts.watch.touch()
    return await this.#parts.alive.during(joining)
  }

  /**
   * Announces a stream on an engine that you chose without a lease. The stream takes a slot there even if the engine is full. Resolves when
   * the orchestrator has acknowledged the start, or, with a stream that is `announcing`, after `startWaitMs` or the first failed attempt.
   * @throws {@link InvalidArgumentError} with the field of `start` that is wrong, or `streamId` if that stream is live
   * @throws {@link ResponseError} if the orchestrator refuses the start
   * @example
   * const [engine] = await client.listEngines()
   * if (engine === undefined) throw new Error('The orchestrator lists no engine')
   * const { session } = await openPlayback(engine, infohash)
   * const stream = await client.streamStarted({ engine, keyType: 'infohash', key: infohash, session }, { signal })
   */
  async streamStarted(start: StreamStart & { engine: HostEngine }, options?: RequestOptions): Promise<StreamHandle> {
    this.#lifecycle.begin()
    expectObject('start', start)
    return await this.#parts.alive.during(this.#parts.starter.startOnEngine(start, resolve.checkSignal(options)))
  }

  /**
   * Ends a stream by its id, even if another process started it. The end is sent once, and fenced: it ends that stream or nothing. Never
   * rejects. Resolves when the end is delivered or given up, which may take as long as an outage.
   * An end that was refused or given up is sent again as long as the orchestrator lists the stream. It never ends a later stream with the
   * same id.
   * @param reason goes into the event `stream:ended`
   * @example
   * const { outcome, error } = await client.streamEnded(`${infohash}|session-1`, 'viewer left')
   * if (outcome === 'undeliverable') console.error(error)
   */
  async streamEnded(streamId: string, reason?: string): Promise<EndResult> {
    try {
      this.#lifecycle.begin()
      const { playbacks, ender, alive } = this.#parts
      return await alive.during(playbacks.endOnFallback(streamId, reason) ?? ender.endById(expectStreamId(streamId), reason))
    } catch (error) {
      return { outcome: 'undeliverable', attempts: 0, error: error as InvalidArgumentError | ClientClosedError }
    }
  }

  /**
   * Returns the engine list, from memory while it is fresh (`cacheTtlMs`). Concurrent calls share one request. If the orchestrator fails,
   * or is slower than `refreshWaitMs`, the last list is returned for another `staleIfErrorMs`. The list is frozen and shared.
   * @param options `fresh`: request the list now, and return no older one
   * @throws the error of the request, if no older list may be used. With `fresh`, no older list may be used
   * @example
   * for (const { containerId, host, port } of await client.listEngines()) console.log(containerId, `${host}:${port}`)
   */
  async listEngines(options?: ListEnginesOptions): Promise<readonly Engine[]> {
    this.#lifecycle.begin()
    const found = this.#parts.engineList.getNow(options === undefined ? {} : resolve.checkOptions(resolve.LIST_ENGINES_OPTIONS, options))
    return found instanceof Promise ? this.#parts.alive.during(found).then(({ engines }) => engines) : found.engines
  }

  /**
   * Requests the streams of all proxies. The orchestrator of 2025-10 also lists ended streams.
   * @param filter which streams to return @default all
   * @throws the error of the request, after the attempts of the option `retry`
   * @example
   * const streams = await client.listStreams({ status: 'started' }, { signal })
   */
  async listStreams(filter: StreamFilter = {}, options: RequestOptions = {}): Promise<readonly Stream[]> {
    this.#lifecycle.begin()
    const wanted = resolve.checkFilter(filter)
    const signal = resolve.checkSignal(options)
    signal?.throwIfAborted()
    const { lifetime } = this.#lifecycle
    const listing = retryRead(this.#options, lifetime, (attempt) => this.#parts.api.listStreams(wanted, { signal: lifetime, attempt }))
    return this.#parts.alive.during(waitUnlessAborted(listing, signal))
  }

  /**
   * Requests one engine and waits until it is listed. {@link acquireEngine} does this by itself.
   * @throws {@link CapacityError} if the orchestrator refuses, or lists no new engine within `provisionTimeoutMs`
   * @example
   * const { containerId } = await client.provisionEngine({ labels: { zone: 'a' }, signal })
   */
  async provisionEngine(options: ProvisionEngineOptions = {}): Promise<Engine> {
    this.#lifecycle.begin()
    const { signal, labels, env } = resolve.checkOptions(resolve.PROVISION_OPTIONS, options)
    signal?.throwIfAborted()
    const body = { ...(labels === undefined ? {} : { labels }), ...(env === undefined ? {} : { env }) }
    return this.#parts.alive.during(waitUnlessAborted(this.#parts.provisioner.request(body), signal))
  }

  /** The orchestrator's health as last read. Sends no request. It is advice: the client blocks nothing because of it. */
  get health(): OrchestratorHealth {
    return this.#parts.health.current
  }

  /**
   * Reads the orchestrator's health now, as the client does every `healthIntervalMs`.
   * @throws the error of the request, if the health cannot be read; {@link health} then stays the last known one
   * @example
   * const { status, provisioning } = await client.checkHealth({ signal })
   * if (!provisioning.canProvision) console.warn(status, provisioning.reason)
   */
  async checkHealth(options: RequestOptions = {}): Promise<OrchestratorHealth> {
    this.#lifecycle.begin()
    const signal = resolve.checkSignal(options)
    signal?.throwIfAborted()
    return this.#parts.alive.during(this.#parts.health.check({ signal, persists: true }))
  }

  /**
   * Compares live streams with the orchestrator's and repairs differences, as the client does every `reconcileIntervalMs`. Resolves when
   * the repairs are sent. If the orchestrator fails, resolves earlier: the repairs then stay queued.
   * @throws the error of the request, if the orchestrator cannot be read
   * @example
   * const { reannounced, lost } = await client.reconcile()
   * console.log(`${reannounced.length} streams were announced again, ${lost.length} have lost their engine`)
   */
  async reconcile(options: RequestOptions = {}): Promise<ReconcileReport> {
    this.#lifecycle.begin()
    const signal = resolve.checkSignal(options)
    signal?.throwIfAborted()
    void this.#parts.crashRecovery.recover()
    return this.#parts.alive.during(waitUnlessAborted(this.#parts.reconcileSchedule.runNow(), signal))
  }

  /**
   * Finds out why this proxy cannot reach the orchestrator or its engines, or why viewers get no engine, and what to do. It changes nothing at
   * the orchestrator, and no failure of these rejects it.
   * @example
   * for (const { code, message, remedy } of (await client.diagnose()).problems) console.error(code, message, remedy)
   */
  async diagnose(options: DiagnoseOptions = {}): Promise<Diagnosis> {
    return await this.#lifecycle.diagnose(options)
  }

  /** The generation of the orchestrator, as its answers show it; `undefined` while none has. */
  get generation(): Generation | undefined {
    return this.#parts.api.generation
  }

  /** Removes expired leases and old ids of ended streams, as the client does every `sweepIntervalMs`. A failure of the store is logged. */
  sweep(): SweepReport {
    this.#lifecycle.begin()
    return sweepNow(this.#parts, this.#options.logger)
  }

  /**
   * Resolves when all starts and ends are delivered, including those that are added meanwhile. Events that were given up count as
   * delivered.
   * @throws {@link ClientClosedError} if the client is closed first
   * @example
   * await client.flush({ signal: AbortSignal.timeout(5_000) })
   */
  async flush(options: RequestOptions = {}): Promise<void> {
    this.#lifecycle.begin()
    const signal = resolve.checkSignal(options)
    const idle = waitUnlessAborted(this.#parts.outbox.idle(), this.#lifecycle.lifetime)
    return this.#parts.alive.during(waitUnlessAborted(idle, signal))
  }

  /**
   * Ends all live streams, waits until all events are delivered, at most `timeoutMs`, and stops all timers. Callers that wait for an engine
   * get a {@link ClientClosedError}. Later calls return the result of the first.
   * @param options `timeoutMs`: 10,000 by default
   * @example
   * const { undelivered } = await client.close({ timeoutMs: 5_000 })
   * for (const { event, streamId } of undelivered) console.error(`not delivered: ${event} of ${streamId}`)
   */
  async close(options: CloseOptions = {}): Promise<CloseReport> {
    return this.#lifecycle.close(resolve.checkOptions(resolve.CLOSE_OPTIONS, options).timeoutMs)
  }

  /** Closes the client at the end of an `await using` block, with the defaults of {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * Returns a copy of the counters since the client was created, and of the numbers of leases, streams and events that it holds now.
   * @example
   * console.log(`${client.metrics().leases.waiting} callers wait for an engine`)
   */
  metrics(): MetricsSnapshot {
    return metricsOf(this.#parts, this.#options)
  }

  /**
   * Calls `listener` at each event of this name, until {@link off}. An error that it throws, or rejects with, is logged and has no other
   * effect.
   * @throws {@link InvalidArgumentError} if there is no event of this name
   * @example
   * client.on('delivery:failed', ({ streamId, event, error }) => console.error(`${event} of ${streamId} was given up`, error))
   */
  on<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): this {
    this.#parts.emitter.on(name, expectListener(name, listener))
    return this
  }

  /** Calls `listener` at the next event of this name only. Otherwise like {@link on}. */
  once<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): this {
    this.#parts.emitter.once(name, expectListener(name, listener))
    return this
  }

  /** Removes a listener of {@link on} or {@link once}. */
  off<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): this {
    this.#parts.emitter.off(name, expectListener(name, listener))
    return this
  }
}

/** Outside the class: a class whose code contains its own name is renamed by bundlers. */
function makeClient(options: OrchestratorClientOptions): OrchestratorClient {
  return new OrchestratorClient(options)
}
