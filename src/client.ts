import { ClientClosedError, InvalidArgumentError } from './errors.ts'
import type { Engine } from './model/engine.ts'
import type { OrchestratorHealth } from './model/health.ts'
import type { EngineLease } from './model/lease.ts'
import type { EndResult, HostEngine, Stream, StreamFilter, StreamHandle, StreamStart } from './model/stream.ts'
import { type Environment, type EnvironmentOverrides, optionsFromEnvironment } from './options/environment.ts'
import {
  ACQUIRE_OPTION_NAMES,
  type AcquireOptions,
  CLIENT_OPTION_NAMES,
  CLOSE_OPTION_NAMES,
  type CloseOptions,
  DEFAULTS,
  LIST_ENGINES_OPTION_NAMES,
  type ListEnginesOptions,
  type OrchestratorClientOptions,
  PROVISION_OPTION_NAMES,
  type ProvisionEngineOptions,
  REQUEST_OPTION_NAMES,
  type RequestOptions,
  STREAM_FILTER_NAMES,
  type SweepReport,
} from './options/options.ts'
import { resolveOptions } from './options/resolve.ts'
import { expectStreamId } from './options/stream-start.ts'
import { waitUnlessAborted } from './runtime/abort.ts'
import { isPromiseLike, type MaybePromise } from './runtime/maybe-promise.ts'
import { Periodic } from './runtime/periodic.ts'
import { showAs } from './runtime/platform.ts'
import { retrying } from './runtime/retry.ts'
import {
  expectBoolean,
  expectDuration,
  expectFunction,
  expectIds,
  expectKnownName,
  expectObject,
  expectOptions,
  expectSignal,
  expectText,
  expectTexts,
} from './runtime/validate.ts'
import type { ReconcileReport } from './streams/reconciliation/reconciler.ts'
import { CLIENT_EVENT_NAMES, type ClientEventListener, type ClientEventName } from './telemetry/events.ts'
import type { MetricsSnapshot } from './telemetry/metrics.ts'
import { buildParts, type ClientParts, type CloseReport, shutDown } from './wiring.ts'

/**
 * One proxy's view of an orchestrator: which engine may be used right now, and does the orchestrator know what is done with it.
 *
 * The constructor does no I/O. Background work starts with the first call; the process stays alive while a call is
 * pending, and for nothing else.
 */
export class OrchestratorClient implements AsyncDisposable {
  readonly #parts: ClientParts
  readonly #periodics: readonly Periodic[]
  readonly #lifetime = new AbortController()
  readonly #options: ReturnType<typeof resolveOptions>
  #closing: Promise<CloseReport> | undefined

  /** @throws {@link InvalidArgumentError} naming the option that is wrong, or what `attach` of the `store` throws */
  constructor(options: OrchestratorClientOptions) {
    this.#options = resolveOptions(options)
    this.#parts = buildParts(this.#options, this.#lifetime.signal)
    const { clock, healthIntervalMs, sweepIntervalMs } = this.#options
    this.#periodics = [
      new Periodic(clock, healthIntervalMs, () => this.#parts.health.check()),
      new Periodic(clock, sweepIntervalMs, () => this.#sweep()),
    ]
    showAs(this, 'OrchestratorClient', () => this.#summary())
  }

  /**
   * Reads `ACEXY_ORCH_URL`, `ACEXY_ORCH_APIKEY`, `ACEXY_CONTAINER_ID` (as `proxyId`) and `ACEXY_MAX_STREAMS_PER_ENGINE`. `undefined` where
   * no URL is set: the host then runs without an orchestrator.
   *
   * @param env default `process.env`
   * @param overrides win over the environment
   * @throws {@link InvalidArgumentError} naming the variable or option that is wrong
   */
  static fromEnv(env: Environment = processEnvironment(), overrides: EnvironmentOverrides = {}): OrchestratorClient | undefined {
    return clientFromEnvironment(env, overrides)
  }

  /**
   * The engines, as the orchestrator last listed them: from memory for `cacheTtlMs`, and however many ask at once, with one refresh.
   * While the orchestrator fails, or takes longer than `refreshWaitMs`, the last list is served for `staleIfErrorMs` more. Frozen and shared.
   *
   * @param options `fresh`: a list that is requested no earlier than this call, never an older one. Concurrent calls share a request: while
   *   one is under way, all of them wait for one more
   * @throws the error of the request, where no list may be served instead; with `fresh` that is always so
   */
  async listEngines(options: ListEnginesOptions = {}): Promise<readonly Engine[]> {
    this.#begin()
    const signal = signalOf(options, LIST_ENGINES_OPTION_NAMES)
    const fresh = options.fresh === undefined ? false : expectBoolean('fresh', options.fresh)
    const { engines } = await this.#parts.alive.during(this.#parts.engineList.get({ signal, fresh }))
    return engines
  }

  /** The streams the orchestrator knows, of all proxies; never from memory. 2025-10 lists ended ones too. */
  async listStreams(filter: StreamFilter = {}, options: RequestOptions = {}): Promise<readonly Stream[]> {
    this.#begin()
    expectOptions(filter, STREAM_FILTER_NAMES, { name: 'filter', prefix: 'filter.', signalGoes: 'as the second argument' })
    const { containerId, status } = filter
    if (containerId !== undefined) expectText('filter.containerId', containerId, 512)
    if (status !== undefined && status !== 'started' && status !== 'ended') {
      throw new InvalidArgumentError('filter.status', "'started' or 'ended'")
    }
    const signal = signalOf(options)
    signal?.throwIfAborted()
    const { signal: lifetime } = this.#lifetime
    const listing = retrying(this.#options, lifetime, () => this.#parts.api.listStreams(filter, { signal: lifetime }))
    return this.#parts.alive.during(waitUnlessAborted(listing, signal))
  }

  /**
   * A lease on the best engine with room. When all are full, waits in order of arrival, and asks for a new engine where that helps. While
   * no engine list can be read, waits for one.
   *
   * @throws {@link CapacityError} when none became free in time, or, after 2 s, when the orchestrator refuses to start one and advises not to wait
   * @throws what the engine list failed with, where none could be read in time
   */
  async acquireEngine(options: AcquireOptions = {}): Promise<EngineLease> {
    this.#begin()
    const signal = signalOf(options, ACQUIRE_OPTION_NAMES)
    const { waitMs = DEFAULTS.waitMs, provision = true, exclude = [] } = options
    const acquiring = this.#parts.allocator.acquire({
      signal,
      waitMs: expectDuration('waitMs', waitMs),
      mayProvision: expectBoolean('provision', provision),
      exclude: expectIds('exclude', exclude),
    })
    this.#parts.watch.touch()
    return this.#parts.alive.during(acquiring)
  }

  /**
   * Asks for one more engine and waits until it is listed. `acquireEngine` does this by itself.
   *
   * @throws {@link CapacityError} when the orchestrator refused, or nothing was listed within `provisionTimeoutMs`
   */
  async provisionEngine(options: ProvisionEngineOptions = {}): Promise<Engine> {
    this.#begin()
    const signal = signalOf(options, PROVISION_OPTION_NAMES)
    const { labels, env } = options
    const body = {
      ...(labels === undefined ? {} : { labels: expectTexts('labels', labels) }),
      ...(env === undefined ? {} : { env: expectTexts('env', env) }),
    }
    signal?.throwIfAborted()
    return this.#parts.alive.during(waitUnlessAborted(this.#parts.provisioner.request(body), signal))
  }

  /**
   * Announces a stream that runs on an engine without a lease: it takes a slot there whether or not there is room.
   *
   * @throws as {@link EngineLease.startStream}
   */
  async streamStarted(start: StreamStart & { engine: HostEngine }, options: RequestOptions = {}): Promise<StreamHandle> {
    this.#begin()
    expectObject('start', start)
    return this.#parts.alive.during(this.#parts.starter.onEngine(start, signalOf(options)))
  }

  /**
   * Ends a stream by its id: one of this process, or one that a predecessor started. Sent once, fenced, so that it ends that stream or
   * nothing. Never rejects.
   *
   * An end that was refused or given up is sent again while its stream is listed. For a stream of another process that is the one which is
   * listed under the id at the refusal, or, after an outage, by the first list that can be read. A later stream of the same id is left alone.
   */
  async streamEnded(streamId: string, reason?: string): Promise<EndResult> {
    try {
      this.#begin()
      return await this.#parts.alive.during(this.#parts.registry.endById(expectStreamId(streamId), reason))
    } catch (error) {
      return { outcome: 'undeliverable', attempts: 0, error: error as InvalidArgumentError | ClientClosedError }
    }
  }

  /** The orchestrator's health as last read; no I/O. */
  get health(): OrchestratorHealth {
    return this.#parts.health.current
  }

  /** Reads the orchestrator's health. Rejects where it cannot be read; `health` tells the last known then. */
  async checkHealth(options: RequestOptions = {}): Promise<OrchestratorHealth> {
    this.#begin()
    const signal = signalOf(options)
    signal?.throwIfAborted()
    return this.#parts.alive.during(this.#parts.health.check({ signal, persists: true }))
  }

  /** Takes back expired leases and slots the store kept, and forgets ended ids beyond their retention, as happens every `sweepIntervalMs`. */
  sweep(): SweepReport {
    this.#begin()
    return this.#sweep()
  }

  /**
   * Compares this client's live streams with the orchestrator's and mends what differs, as happens every `reconcileIntervalMs`: announces again,
   * follows, gives up as lost, ends again. Resolves when that is told, or held up by a failing orchestrator. Rejects where it cannot be read.
   */
  async reconcile(options: RequestOptions = {}): Promise<ReconcileReport> {
    this.#begin()
    const signal = signalOf(options)
    signal?.throwIfAborted()
    void this.#parts.crashRecovery.recover()
    return this.#parts.alive.during(waitUnlessAborted(this.#parts.reconcileSchedule.runNow(), signal))
  }

  /**
   * Resolves when no event is undelivered, what is added meanwhile included; given up counts as told.
   *
   * @throws {@link ClientClosedError} when the client is closed with events undelivered
   */
  async flush(options: RequestOptions = {}): Promise<void> {
    this.#begin()
    const signal = signalOf(options)
    const idle = waitUnlessAborted(this.#parts.outbox.idle(), this.#lifetime.signal)
    return this.#parts.alive.during(waitUnlessAborted(idle, signal))
  }

  /**
   * Ends what is live, waits until all is delivered, and stops every timer. Callers who wait for an engine get `ClientClosedError`.
   *
   * @param options `timeoutMs`: how long to wait for delivery, milliseconds; default 10,000. Of the first call; later ones join it.
   */
  async close(options: CloseOptions = {}): Promise<CloseReport> {
    expectOptions(options, CLOSE_OPTION_NAMES)
    const timeoutMs = expectDuration('timeoutMs', options.timeoutMs ?? DEFAULTS.closeTimeoutMs)
    if (this.#closing === undefined) {
      const { promise, resolve } = Promise.withResolvers<CloseReport>()
      // Closed first: what is let go of below has listeners, and a listener may call this client.
      this.#closing = this.#parts.alive.during(promise)
      for (const periodic of this.#periodics) periodic.stop()
      resolve(shutDown(this.#parts, this.#options.clock, this.#lifetime, timeoutMs))
    }
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What this client has done and holds now. */
  metrics(): MetricsSnapshot {
    const { counters, leases, allocator, live, outbox, circuit } = this.#parts
    return counters.snapshot({
      activeLeases: leases.size,
      waiting: allocator.waitingCount,
      liveStreams: live.size,
      pendingEvents: outbox.size,
      circuit: circuit?.state ?? 'closed',
    })
  }

  /** Calls `listener` for each event of this name. What it throws is logged and harms nothing. */
  on<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): this {
    expectListener(name, listener)
    this.#parts.emitter.on(name, listener)
    return this
  }

  /** As {@link on}, for the next event only. */
  once<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): this {
    expectListener(name, listener)
    this.#parts.emitter.once(name, listener)
    return this
  }

  /** Undoes {@link on} or {@link once}. */
  off<Name extends ClientEventName>(name: Name, listener: ClientEventListener<Name>): this {
    expectListener(name, listener)
    this.#parts.emitter.off(name, listener)
    return this
  }

  /** What `console.log` shows. Never the key. */
  #summary(): object {
    const { leases, streams, events, circuit } = this.metrics()
    return {
      baseUrl: this.#options.baseUrl.href,
      generation: this.#parts.api.dialect ?? 'not known yet',
      circuit,
      leases: leases.active,
      waiting: leases.waiting,
      streams: streams.live,
      pendingEvents: events.pending,
      isClosed: this.#closing !== undefined,
    }
  }

  #begin(): void {
    if (this.#closing !== undefined) throw new ClientClosedError()
    for (const periodic of this.#periodics) periodic.start()
    this.#parts.reconcileSchedule.start()
    this.#parts.crashRecovery.start()
  }

  #sweep(): SweepReport {
    const { leases, registry } = this.#parts
    const warn = (error: unknown): number => {
      this.#options.logger.warn('The store could not be swept', { error })
      return 0
    }
    const count = (sweep: () => MaybePromise<number>): number => {
      try {
        const found = sweep()
        if (!isPromiseLike(found)) return found
        void found.then(undefined, warn)
        return 0
      } catch (error) {
        return warn(error)
      }
    }
    return { expiredLeases: count(() => leases.expire()), forgottenStreams: count(() => registry.sweep()) }
  }
}

/** Outside the class: one that names itself gets another name from the bundler. */
function clientFromEnvironment(env: Environment, overrides: EnvironmentOverrides): OrchestratorClient | undefined {
  expectOptions(overrides, CLIENT_OPTION_NAMES, { name: 'overrides' })
  const options = optionsFromEnvironment(env)
  if (options === undefined && overrides.baseUrl === undefined) return undefined
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined))
  return new OrchestratorClient({ ...options, ...given } as OrchestratorClientOptions)
}

function signalOf(options: RequestOptions, known: Readonly<Record<string, true>> = REQUEST_OPTION_NAMES): AbortSignal | undefined {
  return expectSignal('signal', expectOptions(options, known)['signal'])
}

function expectListener(event: unknown, listener: unknown): void {
  expectKnownName('event', event, CLIENT_EVENT_NAMES)
  expectFunction('listener', listener)
}

function processEnvironment(): Environment {
  return (globalThis as { process?: { env?: Environment } }).process?.env ?? {}
}
