import { ConnectionError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import { Breaker } from './breaker.ts'
import { containerLabels, type EngineEntry, expectEngineInit, type FakeEngineInit } from './engine-entry.ts'
import { Records } from './records.ts'
import type { Settings } from './settings.ts'
import { type Micros, Stamps } from './stamps.ts'

/** Fields of a provision request that the fake applies. */
export interface ContainerRequest {
  labels?: Readonly<Record<string, string>>
  hostPort?: number
}

const nothing = (): void => {}
const FIRST_PORT = 19_000
const FIRST_HTTPS_PORT = 45_000
/** Interval of Python's health checks. A new engine is `unknown` for that long (H16). */
const HEALTH_CHECK_INTERVAL_MS = 20_000

/** The orchestrator's state, and the operations that all generations share: add, start and invent engines, restart. */
export class Core {
  readonly clock: Clock
  readonly random: Random
  readonly settings: Settings
  readonly stamps: Stamps
  readonly breaker: Breaker
  readonly records: Records = new Records()
  /** When the orchestrator last started, milliseconds since the epoch. */
  startedAtMs: number
  /** Number of this run; each restart begins a new one. Timers of earlier runs are dropped. */
  life = 1
  /** Called when an engine has vanished: v1's controller starts another. */
  onEngineGone: () => void = nothing
  /** Called at a restart: v1's event streams end. */
  onRestart: () => void = nothing
  #lifeController = new AbortController()
  #idCount = 0
  #nextPort = FIRST_PORT
  #nextHttpsPort = FIRST_HTTPS_PORT
  /** Host of the newest engine: a name in the orchestrator's Docker network, which a proxy outside cannot resolve (H17). */
  #host = 'gluetun'
  #engineNumber = 0

  constructor(clock: Clock, random: Random, settings: Settings) {
    this.clock = clock
    this.random = random
    this.settings = settings
    this.stamps = new Stamps(clock)
    this.breaker = new Breaker(clock, this.stamps)
    this.startedAtMs = clock.now()
  }

  /** Aborts at the next restart, with the {@link ConnectionError} for requests in flight. */
  get lifeSignal(): AbortSignal {
    return this.#lifeController.signal
  }

  /** Calls `callback` after `delayMs`, unless the orchestrator restarts before. */
  after(delayMs: number, callback: () => void): void {
    const { life } = this
    this.clock.setTimeout(() => {
      if (this.life === life) callback()
    }, delayMs)
  }

  /**
   * Makes a container id like Docker's, of 64 hexadecimal digits. The last 16 count up, so that ids are unique even if the random numbers
   * are not.
   */
  newContainerId(): string {
    const words = Array.from({ length: 6 }, () => Math.floor(this.random() * 4_294_967_296))
    const digits = words.map((word) => word.toString(16).padStart(8, '0')).join('')
    return digits + (++this.#idCount).toString(16).padStart(16, '0')
  }

  /** Adds an engine that ran before the test began, by default a healthy one. */
  addEngine(init: FakeEngineInit = {}): EngineEntry {
    expectEngineInit(init)
    const { generation } = this.settings
    const number = ++this.#engineNumber
    const name = init.containerName ?? `${generation === 'v1' ? 'acestream-vm' : 'acestream'}-${number}`
    const port = init.port ?? this.#nextPort
    const httpsPort = Number(init.labels?.['acestream.https_port'] ?? this.#nextHttpsPort)
    // Later engines get higher ports, so the ports of a vanished engine are not reused.
    this.#nextPort = Math.max(this.#nextPort, port + (generation === '2025-10' ? 1 : 2))
    this.#nextHttpsPort = Math.max(this.#nextHttpsPort, httpsPort + 1)
    const now = this.stamps.next()
    const health = init.healthStatus ?? 'healthy'
    const host = init.host ?? this.#host
    this.#host = host
    const labels = init.labels ?? containerLabels(generation, { name, port, httpsPort })
    const engine: EngineEntry = {
      ...blankEngine(init.containerId ?? this.newContainerId(), now),
      containerName: name,
      host,
      port,
      apiPort: generation === '2025-10' ? null : port + 1,
      labels: { ...labels },
      origin: { host, port, labels },
      healthStatus: health,
      forwarded: init.forwarded ?? false,
      vpnContainer: init.vpnContainer ?? null,
      draining: init.draining ?? false,
      lastHealthCheck: health === 'unknown' ? null : now,
      real: true,
    }
    this.records.addEngine(engine)
    if (generation === '2026-04') this.#adoptOrphans(engine)
    return engine
  }

  /** Starts a container. Its engine is `unknown` until its first health check; v1 reports `healthy` at once. */
  createEngine(request: ContainerRequest = {}): EngineEntry {
    const isGo = this.settings.generation === 'v1'
    const engine = this.addEngine({
      healthStatus: isGo ? 'healthy' : 'unknown',
      ...(request.hostPort !== undefined && { port: request.hostPort }),
    })
    Object.assign(engine.labels, request.labels)
    this.#scheduleHealthCheck(engine)
    return engine
  }

  /** Invents an engine for a start that names no listed one, as Python does (H8). */
  inventEngine(containerId: string | undefined, host: string, port: number): EngineEntry {
    const now = this.stamps.next()
    const containerName = containerId === undefined ? `engine-${host}-${port}` : `container-${containerId.slice(0, 12)}`
    const engine: EngineEntry = { ...blankEngine(containerId ?? `${host}:${port}`, now), containerName, host, port }
    this.records.addEngine(engine)
    this.records.counters.enginesInvented++
    return engine
  }

  /** Forgets everything and replaces every engine: new container ids under the old names and ports (H9). */
  restart(): void {
    this.life++
    const restarted = new ConnectionError('The orchestrator restarted before it answered', { maybeProcessed: true })
    this.#lifeController.abort(restarted)
    this.#lifeController = new AbortController()
    this.startedAtMs = this.clock.now()
    const before = [...this.records.engines.values()].filter((engine) => engine.real && !engine.draining)
    this.records.forget()
    this.breaker.reset()
    for (const { containerName, origin, forwarded, vpnContainer } of before) {
      const healthStatus = this.settings.generation === 'v1' ? 'healthy' : 'unknown'
      const engine = this.addEngine({ containerName, ...origin, healthStatus, forwarded, ...(vpnContainer !== null && { vpnContainer }) })
      this.#scheduleHealthCheck(engine)
    }
    this.onRestart()
  }

  #scheduleHealthCheck(engine: EngineEntry): void {
    if (engine.healthStatus === 'unknown') engine.healthyAtMs = this.clock.now() + HEALTH_CHECK_INTERVAL_MS
  }

  /** 2026-04: moves streams that lost their engine, when no other was left, to the first new engine. */
  #adoptOrphans(engine: EngineEntry): void {
    for (const stream of [...this.records.live.values()]) {
      if (stream.status !== 'pending_failover') continue
      this.records.move(stream, engine)
      stream.status = 'started'
      engine.hasFigures = true
    }
  }
}

/** An engine of which only the container id is known. */
function blankEngine(containerId: string, now: Micros): EngineEntry {
  return {
    containerId,
    containerName: '',
    host: '',
    port: 0,
    apiPort: null,
    labels: {},
    healthStatus: 'unknown',
    healthyAtMs: null,
    forwarded: false,
    vpnContainer: null,
    draining: false,
    drainReason: null,
    firstSeen: now,
    lastSeen: now,
    lastHealthCheck: null,
    lastStreamUsage: null,
    real: false,
    origin: { host: '', port: 0, labels: {} },
    live: new Map(),
    driftingCount: 0,
    claims: 0,
    lastAssigned: null,
    hasFigures: false,
  }
}
