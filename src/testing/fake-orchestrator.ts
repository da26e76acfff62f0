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
import { type Fault, FaultBook, type FaultHandle } from './faults.ts'
import type { Generation } from './generation.ts'
import type { FakeRequest, FakeResponse } from './http.ts'
import { PythonApp } from './python/app.ts'
import { endStream as endPython } from './python/events.ts'
import { seededRandom } from './seeded-random.ts'
import type { FakeServer, ListenOptions } from './server.ts'
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

/** A stream of another proxy. */
export interface ElsewhereStream {
  containerId: string
  streamId?: string | undefined
  key?: string | undefined
  /** Of v1's own viewers, which have no key: `allocating` (no container yet), then `prebuf`, then `started`. @default 'started' */
  status?: string | undefined
}

const ELSEWHERE_NAMES: NamesOf<ElsewhereStream> = { containerId: true, streamId: true, key: true, status: true }

/** Something that must know when connections are refused: a socket server. */
export interface Outlet {
  onDown(): void
  onUp(): void
}

/**
 * An orchestrator in memory, faithful to one of the three generations down to their hazards: what they do wrong, it does wrong.
 * Give it to a client as its `transport`, or let it `listen()` on a real socket. On a manual clock everything it does repeats
 * exactly.
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
  readonly #faults: FaultBook
  readonly #exchange: Exchange
  readonly #outlets = new Set<Outlet>()
  #elsewhereCount = 0

  constructor(options: FakeOrchestratorOptions = {}) {
    const settings = resolveSettings(options, initialEngines(options.engines).length)
    const { clock = systemClock, random = seededRandom(DEFAULT_SEED), latencyMs = 0 } = options
    const engines = initialEngines(options.engines)
    this.#core = new Core(clock, random, settings)
    this.#app = this.generation === 'v1' ? new GoApp(this.#core) : new PythonApp(this.#core)
    this.#faults = new FaultBook(random)
    this.#exchange = new Exchange(this.#core, this.#faults, latencyMs)
    for (const init of engines) this.#core.addEngine(init)
    if (engines.length > 0) this.#core.breaker.succeed() // it started them itself
  }

  /** Which generation this is. */
  get generation(): Generation {
    return this.#core.settings.generation
  }

  /** The bearer token it asks for. */
  get apiKey(): string {
    return this.#core.settings.apiKey
  }

  /** Milliseconds between a request and its answer, in all or by route label; half of it before the request is applied. */
  get latencyMs(): Latency {
    return this.#exchange.latency
  }

  set latencyMs(latency: Latency) {
    this.#exchange.latency = latency
  }

  /**
   * As a transport: any origin, and any path prefix before the orchestrator's own. Time-outs are the caller's business: what gets
   * no answer never settles until the signal aborts.
   */
  async request(request: TransportRequest): Promise<TransportResponse> {
    const { status, headers, body, subscribe } = await this.#answer(request)
    // A body without end cannot be read to its end.
    if (subscribe !== undefined) return waitUnlessAborted(new Promise<never>(() => {}), request.signal)
    return { status, headers: new Headers(headers), body }
  }

  /** As a transport, for an answer that goes on: v1's event stream. A reader slower than 16 messages loses the rest. */
  async stream(request: TransportRequest): Promise<TransportStream> {
    return toTransportStream(await this.#answer(request), request.signal)
  }

  #answer(request: TransportRequest): Promise<FakeResponse> {
    const isRoute = (method: string, path: string): boolean => !this.#app.resolve({ method, path }).label.endsWith('(unknown)')
    return this.handle(toFakeRequest(request, isRoute))
  }

  /** What arrives at the orchestrator itself, and its answer, with whatever latency and faults are set. */
  async handle(request: FakeRequest): Promise<FakeResponse> {
    request.signal?.throwIfAborted()
    const resolution = this.#app.resolve(request)
    const { requests } = this.#core.book.counters
    requests.total++
    requests.byRoute[resolution.label] = (requests.byRoute[resolution.label] ?? 0) + 1
    const response = await waitUnlessAborted(this.#exchange.run(resolution), request.signal)
    // As all three originals do, by the clock that also stamps their bodies.
    return { ...response, headers: { date: new Date(this.#core.clock.now()).toUTCString(), ...response.headers } }
  }

  /** Serves it on a real socket, loopback and a free port unless said otherwise. */
  async listen(options: ListenOptions = {}): Promise<FakeServer> {
    const { serve } = await import('./server.ts')
    return serve(this, this.#outlets, options)
  }

  /** The engines that are really there: not those that starts made up, nor those that vanished and are listed still. */
  get engines(): readonly FakeEngine[] {
    const nowMs = this.#core.clock.now()
    const real = [...this.#core.book.engines.values()].filter((engine) => engine.real)
    return real.map((engine) => engineSnapshot(this.generation, engine, nowMs))
  }

  /** The streams it knows; of 2025-10 the ended ones too. */
  get streams(): readonly FakeStream[] {
    return Array.from(this.#core.book.streams.values(), toFakeStream)
  }

  /** Ids of the streams that have not ended, in the order they started; of one container, or of all. */
  liveStreamIds(containerId?: string): string[] {
    const live = [...this.#core.book.live.values()]
    return live.filter((stream) => containerId === undefined || stream.containerId === containerId).map(({ id }) => id)
  }

  /** Adds an engine, healthy unless said otherwise; returns its container id. */
  addEngine(init?: FakeEngineInit): string {
    return this.#core.addEngine(init).containerId
  }

  /**
   * Makes an engine's container vanish (hazard 10): 2025-10 drops it and ends its streams within 10 s, 2026-04 moves them to another
   * engine at once, v1 lists them for ever, and starts another engine if too few are left.
   */
  removeEngine(containerId: string): void {
    vanish(this.#core, this.#engine(containerId))
  }

  /** Changes what an engine says of itself. */
  updateEngine(containerId: string, patch: FakeEnginePatch): void {
    patchEngine(this.#engine(containerId), patch, this.#core.stamps.next())
  }

  /** Has an engine removed: it stays listed, `draining` on v1, until its container has stopped (hazard 21). */
  drainEngine(containerId: string, stopAfterMs: number = STOP_MS): void {
    drain(this.#core, this.#engine(containerId), expectDuration('stopAfterMs', stopAfterMs))
  }

  /**
   * Restarts it (hazard 9): streams forgotten, every engine replaced under a new container id, what was in flight broken. For
   * `downMs` connections are refused, milliseconds. A restart while it is down begins that time anew: it is up again `downMs` after the last
   * one, at once if that has none.
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
    // Dropped by the next restart, which decides anew.
    this.#core.after(downMs, () => this.#setDown(false))
  }

  #setDown(isDown: boolean): void {
    if (this.#exchange.isDown === isDown) return
    this.#exchange.isDown = isDown
    for (const outlet of this.#outlets) {
      if (isDown) outlet.onDown()
      else outlet.onUp()
    }
  }

  /** Starts a stream of another proxy, without a request; returns its id. */
  startElsewhere(stream: ElsewhereStream): string {
    expectOptions(stream, ELSEWHERE_NAMES, { name: 'stream' })
    const { containerId, streamId, key, status } = stream
    const number = ++this.#elsewhereCount
    const id = streamId ?? `elsewhere-${number}`
    const isOwnViewer = status !== undefined
    const content = key ?? (isOwnViewer ? '' : number.toString(16).padStart(40, 'e'))
    const engine = this.#core.book.engines.get(containerId)
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
    this.#core.book.start(init, engine?.containerName ?? null, { by: 'elsewhere' })
    if (engine !== undefined) {
      engine.hasFigures = true
      engine.lastStreamUsage = init.startedAt
      if (!isOwnViewer) engine.driftingCount++
    }
    return id
  }

  /** Ends a stream as another proxy would, by its id and without a request; its namesakes go with it on 2026-04 (hazard 6). */
  endElsewhere(streamId: string): void {
    const stream = this.#core.book.live.get(streamId)
    if (stream === undefined) return
    const end = this.generation === 'v1' ? endGo : endPython
    end(this.#core, stream, { by: 'elsewhere' })
  }

  /**
   * Changes how provisioning goes; what is not named stays. v1 never starts more engines than
   * `maxReplicas`. The Python generations only report it in their status, and start one more engine for each request all the same (H11).
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

  /** Lets something go wrong with the next requests. */
  inject(fault: Fault): FaultHandle {
    return this.#faults.inject(fault)
  }

  /** Takes all faults away. */
  clearFaults(): void {
    this.#faults.clear()
  }

  /** What it has seen and done so far: a copy. */
  get counters(): FakeCounters {
    return copyCounters(this.#core.book.counters)
  }

  /** Counts from zero again; peaks begin with the present load. */
  resetCounters(): void {
    this.#core.book.resetCounters()
  }

  /** What happened to streams, in order: the newest 10,000 events. */
  get log(): readonly AppliedEvent[] {
    return this.#core.book.log.events
  }

  #engine(containerId: string): EngineEntry {
    const engine = this.#core.book.engines.get(containerId)
    if (engine === undefined) throw new Error(`No such engine: ${containerId}`)
    return engine
  }
}
