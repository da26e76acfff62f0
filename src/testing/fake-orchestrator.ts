import { waitUnlessAborted } from '../runtime/abort.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Transport, TransportRequest, TransportResponse, TransportStream } from '../runtime/transport.ts'
import { expectDuration, expectOptions, type NamesOf } from '../runtime/validate.ts'
import type { AppliedEvent } from './applied-log.ts'
import { Core } from './core.ts'
import { copyCounters, type FakeCounters } from './counters.ts'
import { drain, STOP_MS } from './drain.ts'
import type { EngineEntry, FakeEngine, FakeEngineInit, FakeEnginePatch } from './engine-entry.ts'
import { toTransportStream } from './event-stream.ts'
import { Exchange, type Latency } from './exchange.ts'
import { type Fault, type FaultHandle, InjectedFaults } from './faults.ts'
import type { Generation } from './generation.ts'
import type { FakeRequest, FakeResponse } from './http.ts'
import { PythonApp } from './python/app.ts'
import { endStream as endPython } from './python/events.ts'
import { seededRandom } from './seeded-random.ts'
import type { AvailabilityListener, FakeServer, ListenOptions } from './server.ts'
import {
  expectProvisioningChange,
  type FakeOrchestratorOptions,
  type FakeProvisioningChange,
  initialEngines,
  resolveSettings,
} from './settings.ts'
import { engineSnapshot, patchEngine } from './snapshots.ts'
import { type FakeStream, toFakeStream } from './stream-entry.ts'
import { toFakeRequest } from './transport-request.ts'
import { GoApp } from './v1/app.ts'
import { endStream as endGo } from './v1/events.ts'
import { vanish } from './vanish.ts'

const DEFAULT_SEED = 20_251_001

/** A stream of another proxy, for {@link FakeOrchestrator.startElsewhere}. */
export interface ElsewhereStream {
  /** Container id of the engine that plays it. */
  containerId: string
  /** @default `elsewhere-1`, `elsewhere-2`, … */
  streamId?: string | undefined
  /** Content id. @default a different one for each stream */
  key?: string | undefined
  /**
   * Makes this a stream that v1's own proxy plays, which has no key, and sets its status: `allocating` (no container yet), then `prebuf`,
   * then `started`. @default none: another proxy announced the stream, and its status is `started`
   */
  status?: string | undefined
}

const ELSEWHERE_NAMES: NamesOf<ElsewhereStream> = { containerId: true, streamId: true, key: true, status: true }

/**
 * Imitates an orchestrator of one of the three generations in memory, including its hazards (H1-H22 in docs/hazards.md).
 * Pass it to a client as `transport`, or call `listen()` to serve it on a real socket. With a {@link ManualClock} every run is the same.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
 *
 * const clock = new ManualClock()
 * const fake = new FakeOrchestrator({ generation: '2026-04', engines: 2, clock })
 * const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock, transport: fake })
 */
export class FakeOrchestrator implements Transport {
  readonly #core: Core
  readonly #app: PythonApp | GoApp
  readonly #faults: InjectedFaults
  readonly #exchange: Exchange
  readonly #availabilityListeners = new Set<AvailabilityListener>()
  #elsewhereCount = 0

  constructor(options: FakeOrchestratorOptions = {}) {
    const settings = resolveSettings(options, initialEngines(options.engines).length)
    const { clock = systemClock, random = seededRandom(DEFAULT_SEED), latencyMs = 0 } = options
    const engines = initialEngines(options.engines)
    this.#core = new Core(clock, random, settings)
    this.#app = this.generation === 'v1' ? new GoApp(this.#core) : new PythonApp(this.#core)
    this.#faults = new InjectedFaults(random)
    this.#exchange = new Exchange(this.#core, this.#faults, latencyMs)
    for (const init of engines) this.#core.addEngine(init)
    // The orchestrator started these engines itself, so its status shows a successful start.
    if (engines.length > 0) this.#core.breaker.succeed()
  }

  /** The generation that it imitates. */
  get generation(): Generation {
    return this.#core.settings.generation
  }

  /** The bearer token that it requires; empty if it requires none. */
  get apiKey(): string {
    return this.#core.settings.apiKey
  }

  /** Milliseconds between a request and its response, for all routes or by route label. Half of it passes before the request is applied. */
  get latencyMs(): Latency {
    return this.#exchange.latency
  }

  /** Applies to requests that arrive from now on. */
  set latencyMs(latency: Latency) {
    this.#exchange.latency = latency
  }

  /**
   * Handles a request of a client, as a {@link Transport}. Accepts every origin, and every path prefix before the orchestrator's own path.
   * Ignores `timeoutMs`: a request without a response stays pending until its signal aborts.
   */
  async request(request: TransportRequest): Promise<TransportResponse> {
    const { status, headers, body, subscribe } = await this.#answer(request)
    // An event stream never ends, so its whole body can never be returned.
    if (subscribe !== undefined) return waitUnlessAborted(new Promise<never>(() => {}), request.signal)
    return { status, headers: new Headers(headers), body }
  }

  /**
   * Handles a request as {@link FakeOrchestrator.request} does, but returns the body while it arrives: v1's event stream. If 16 messages are unread,
   * further ones are lost.
   */
  async stream(request: TransportRequest): Promise<TransportStream> {
    return toTransportStream(await this.#answer(request), request.signal)
  }

  #answer(request: TransportRequest): Promise<FakeResponse> {
    const isRoute = (method: string, path: string): boolean => !this.#app.resolve({ method, path }).label.endsWith('(unknown)')
    return this.handle(toFakeRequest(request, isRoute))
  }

  /** Handles a request as the orchestrator's server would, with the current latency and faults. Prefer a transport or {@link listen}. */
  async handle(request: FakeRequest): Promise<FakeResponse> {
    request.signal?.throwIfAborted()
    const resolution = this.#app.resolve(request)
    const { requests } = this.#core.records.counters
    requests.total++
    requests.byRoute[resolution.label] = (requests.byRoute[resolution.label] ?? 0) + 1
    const response = await waitUnlessAborted(this.#exchange.run(resolution), request.signal)
    // All three generations send this header, from the clock that also stamps their bodies.
    return { ...response, headers: { date: new Date(this.#core.clock.now()).toUTCString(), ...response.headers } }
  }

  /**
   * Serves it on a real socket, by default on a free port of the loopback interface. Needs Node.
   * @example
   * import { OrchestratorClient } from 'acestream-orchestrator-client'
   * import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
   *
   * const fake = new FakeOrchestrator({ generation: 'v1', engines: 2 })
   * await using server = await fake.listen()
   * await using client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey })
   */
  async listen(options: ListenOptions = {}): Promise<FakeServer> {
    const { serve } = await import('./server.ts')
    return serve(this, this.#availabilityListeners, options)
  }

  /** The engines that have a container: without those that starts invented (H8), and without vanished ones that are still listed (H10). */
  get engines(): readonly FakeEngine[] {
    const nowMs = this.#core.clock.now()
    const real = [...this.#core.records.engines.values()].filter((engine) => engine.real)
    return real.map((engine) => engineSnapshot(this.generation, engine, nowMs))
  }

  /** The streams that it knows. On 2025-10 these include ended streams. */
  get streams(): readonly FakeStream[] {
    return Array.from(this.#core.records.streams.values(), toFakeStream)
  }

  /** Returns the ids of the streams that have not ended, in the order in which they started; of one container, or of all. */
  liveStreamIds(containerId?: string): string[] {
    const live = [...this.#core.records.live.values()]
    return live.filter((stream) => containerId === undefined || stream.containerId === containerId).map(({ id }) => id)
  }

  /** Adds an engine, by default a healthy one. Returns its container id. */
  addEngine(init?: FakeEngineInit): string {
    return this.#core.addEngine(init).containerId
  }

  /**
   * Makes the container of an engine vanish (H10). 2025-10 removes the engine and ends its streams within 10 s. 2026-04 moves the streams
   * to another engine at once. v1 lists the streams for ever, and starts another engine if too few are left.
   *
   * @throws an `Error` if there is no such engine
   */
  removeEngine(containerId: string): void {
    vanish(this.#core, this.#engine(containerId))
  }

  /** Changes fields of an engine. @throws an `Error` if there is no such engine */
  updateEngine(containerId: string, patch: FakeEnginePatch): void {
    patchEngine(this.#engine(containerId), patch, this.#core.stamps.next())
  }

  /**
   * Removes an engine as an operator does: it stays listed, on v1 as `draining`, until its container has stopped (H21).
   *
   * @param stopAfterMs milliseconds until the container has stopped; default 8,000
   * @throws an `Error` if there is no such engine
   */
  drainEngine(containerId: string, stopAfterMs: number = STOP_MS): void {
    drain(this.#core, this.#engine(containerId), expectDuration('stopAfterMs', stopAfterMs))
  }

  /**
   * Restarts the orchestrator (H9): it forgets all streams, replaces every engine under a new container id, and breaks all requests in
   * flight. It refuses connections for `downMs` milliseconds; default 0. A restart during that time begins it again, with the `downMs` of
   * the last restart.
   */
  restart(options: { downMs?: number | undefined } = {}): void {
    expectOptions(options, { downMs: true })
    const { downMs = 0 } = options
    expectDuration('downMs', downMs)
    this.#core.restart()
    if (downMs === 0) {
      this.#setDown(false)
      return
    }
    this.#setDown(true)
    // The next restart cancels this timer.
    this.#core.after(downMs, () => this.#setDown(false))
  }

  #setDown(isDown: boolean): void {
    if (this.#exchange.isDown === isDown) return
    this.#exchange.isDown = isDown
    for (const listener of this.#availabilityListeners) {
      if (isDown) listener.onDown()
      else listener.onUp()
    }
  }

  /** Starts a stream of another proxy, without a request. Returns its id. */
  startElsewhere(stream: ElsewhereStream): string {
    expectOptions(stream, ELSEWHERE_NAMES, { name: 'stream' })
    const { containerId, streamId, key, status } = stream
    const number = ++this.#elsewhereCount
    const id = streamId ?? `elsewhere-${number}`
    const isOwnViewer = status !== undefined
    const content = key ?? (isOwnViewer ? '' : number.toString(16).padStart(40, 'e'))
    const engine = this.#core.records.engines.get(containerId)
    const url = isOwnViewer ? '' : `http://${engine?.host ?? 'elsewhere'}:${engine?.port ?? 0}/ace/${id}`
    const init = {
      id,
      keyType: isOwnViewer ? '' : 'infohash',
      key: content,
      containerId,
      playbackSessionId: isOwnViewer ? '' : `session-${id}`,
      statUrl: url,
      commandUrl: url,
      isLive: !isOwnViewer,
      startedAt: this.#core.stamps.next(),
      own: false,
      ...(isOwnViewer && { status }),
    }
    this.#core.records.start(init, engine?.containerName ?? null, { by: 'elsewhere' })
    if (engine !== undefined) {
      engine.hasFigures = true
      engine.lastStreamUsage = init.startedAt
      if (!isOwnViewer) engine.driftingCount++
    }
    return id
  }

  /** Ends a stream as another proxy would, by its id and without a request. On 2026-04 this ends all streams of the same content (H6). */
  endElsewhere(streamId: string): void {
    const stream = this.#core.records.live.get(streamId)
    if (stream === undefined) return
    const end = this.generation === 'v1' ? endGo : endPython
    end(this.#core, stream, { by: 'elsewhere' })
  }

  /**
   * Changes how provisioning behaves. Settings that are not passed stay as they are. v1 never starts more engines than `maxReplicas`. The
   * Python generations only report that number in their status, and start one more engine for each request anyway (H11).
   */
  setProvisioning(change: FakeProvisioningChange): void {
    expectProvisioningChange(change)
    const { settings, breaker } = this.#core
    const { maxReplicas = settings.maxReplicas, ...rest } = change
    settings.maxReplicas = maxReplicas
    for (const name of ['delayMs', 'textErrors', 'runtimeDown'] as const) if (rest[name] === undefined) delete rest[name]
    Object.assign(settings.provisioning, rest)
    if (rest.refuse === 'circuit_breaker') breaker.open(settings.provisioning.etaSeconds ?? undefined)
    else if ('refuse' in rest) breaker.reset()
  }

  /**
   * Injects a fault into the next requests, by default into one request on any route.
   * @example
   * import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
   *
   * const fake = new FakeOrchestrator()
   * fake.inject({ kind: 'lost-answer', route: 'POST /events/stream_started', times: 2 })
   */
  inject(fault: Fault): FaultHandle {
    return this.#faults.inject(fault)
  }

  /** Removes all faults. */
  clearFaults(): void {
    this.#faults.clear()
  }

  /** A copy of the counters of requests, streams and engines. */
  get counters(): FakeCounters {
    return copyCounters(this.#core.records.counters)
  }

  /** Resets the counters to zero, and the peaks to the present load. */
  resetCounters(): void {
    this.#core.records.resetCounters()
  }

  /** Starts and ends of streams, in the order in which they were applied; the newest 10,000. */
  get log(): readonly AppliedEvent[] {
    return this.#core.records.log.events
  }

  #engine(containerId: string): EngineEntry {
    const engine = this.#core.records.engines.get(containerId)
    if (engine === undefined) throw new Error(`No such engine: ${containerId}`)
    return engine
  }
}
