import { ConnectionError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import { Book } from './book.ts'
import { Breaker } from './breaker.ts'
import { containerLabels, type EngineEntry, expectEngineInit, type FakeEngineInit } from './engine-entry.ts'
import type { Settings } from './settings.ts'
import { type Micros, Stamps } from './stamps.ts'

/** What a provision request may ask for. */
export interface ContainerRequest {
  labels?: Readonly<Record<string, string>>
  hostPort?: number
}

const nothing = (): void => {}
const FIRST_PORT = 19_000
const FIRST_HTTPS_PORT = 45_000
/** Python's health checks run this often, so an engine just started is `unknown` for as long (hazard 16). */
const HEALTH_CHECK_INTERVAL_MS = 20_000

/** The orchestrator's state and what all generations do with it alike: engines come, vanish, are made up; it restarts. */
export class Core {
  readonly clock: Clock
  readonly random: Random
  readonly settings: Settings
  readonly stamps: Stamps
  readonly breaker: Breaker
  readonly book: Book = new Book()
  /** When this life of the orchestrator began, milliseconds. */
  startedAtMs: number
  /** Which life it is: what an earlier one had in hand dies with it. */
  life = 1
  /** What v1's controller does when an engine has vanished. */
  onEngineGone: () => void = nothing
  /** What v1's pushes do when the orchestrator restarts. */
  onRestart: () => void = nothing
  #lifeController = new AbortController()
  #idCount = 0
  #nextPort = FIRST_PORT
  #nextHttpsPort = FIRST_HTTPS_PORT
  /** That of the engine before: a name in the orchestrator's Docker network, which a proxy elsewhere cannot resolve (hazard 17). */
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

  /** Aborts with the {@link ConnectionError} that a request in flight sees, when this life ends. */
  get lifeSignal(): AbortSignal {
    return this.#lifeController.signal
  }

  /** Calls `callback` after a while, unless the orchestrator restarts before. */
  after(delayMs: number, callback: () => void): void {
    const { life } = this
    this.clock.setTimeout(() => {
      if (this.life === life) callback()
    }, delayMs)
  }

  /** 64 hexadecimal digits, as Docker names containers; no two alike, whatever the randomness. */
  newContainerId(): string {
    const words = Array.from({ length: 6 }, () => Math.floor(this.random() * 4_294_967_296))
    const digits = words.map((word) => word.toString(16).padStart(8, '0')).join('')
    return digits + (++this.#idCount).toString(16).padStart(16, '0')
  }

  /** Adds an engine that was there before the test began: healthy, unless said otherwise. */
  addEngine(init: FakeEngineInit = {}): EngineEntry {
    expectEngineInit(init)
    const { generation } = this.settings
    const number = ++this.#engineNumber
    const name = init.containerName ?? `${generation === 'v1' ? 'acestream-vm' : 'acestream'}-${number}`
    const port = init.port ?? this.#nextPort
    const httpsPort = Number(init.labels?.['acestream.https_port'] ?? this.#nextHttpsPort)
    // The next engine gets the ports after this one's: those of a vanished engine are not given again at once.
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
    this.book.addEngine(engine)
    if (generation === '2026-04') this.#adoptOrphans(engine)
    return engine
  }

  /** Starts a container: an engine of whose health nothing is known yet, but on v1, which says `healthy` at once. */
  createEngine(request: ContainerRequest = {}): EngineEntry {
    const isGo = this.settings.generation === 'v1'
    const engine = this.addEngine({
      healthStatus: isGo ? 'healthy' : 'unknown',
      ...(request.hostPort !== undefined && { port: request.hostPort }),
    })
    Object.assign(engine.labels, request.labels)
    this.#expectHealth(engine)
    return engine
  }

  /** Makes up an engine for a start that named none of those listed (hazard 8, Python). */
  inventEngine(containerId: string | undefined, host: string, port: number): EngineEntry {
    const now = this.stamps.next()
    const containerName = containerId === undefined ? `engine-${host}-${port}` : `container-${containerId.slice(0, 12)}`
    const engine: EngineEntry = { ...blankEngine(containerId ?? `${host}:${port}`, now), containerName, host, port }
    this.book.addEngine(engine)
    this.book.counters.enginesInvented++
    return engine
  }

  /** Everything forgotten, every engine replaced: new container ids under the old names and ports (hazard 9). */
  restart(): void {
    this.life++
    const broken = new ConnectionError('The orchestrator restarted before it answered', { maybeProcessed: true })
    this.#lifeController.abort(broken)
    this.#lifeController = new AbortController()
    this.startedAtMs = this.clock.now()
    const before = [...this.book.engines.values()].filter((engine) => engine.real && !engine.draining)
    this.book.forget()
    this.breaker.reset()
    for (const { containerName, origin, forwarded, vpnContainer } of before) {
      const healthStatus = this.settings.generation === 'v1' ? 'healthy' : 'unknown'
      const engine = this.addEngine({ containerName, ...origin, healthStatus, forwarded, ...(vpnContainer !== null && { vpnContainer }) })
      this.#expectHealth(engine)
    }
    this.onRestart()
  }

  #expectHealth(engine: EngineEntry): void {
    if (engine.healthStatus === 'unknown') engine.healthyAtMs = this.clock.now() + HEALTH_CHECK_INTERVAL_MS
  }

  /** 2026-04: streams that lost their engine while there was no other go to the first that comes. */
  #adoptOrphans(engine: EngineEntry): void {
    for (const stream of [...this.book.live.values()]) {
      if (stream.status !== 'pending_failover') continue
      this.book.move(stream, engine)
      stream.status = 'started'
      engine.hasFigures = true
    }
  }
}

/** An engine of which nothing is known but that somebody named it. */
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
