import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { ManualClock, seededRandom } from '../../../src/testing/index.ts'
import { FaultyLinks } from '../../support/faulty-links.ts'
import { startCluster } from '../../support/redis-cluster.ts'
import { ON_DISK, RedisServer } from '../../support/redis-server.ts'
import { ServerTime } from '../../support/server-time.ts'
import type { Library } from './libraries.ts'
import { EventLog } from './log.ts'
import { FleetMember } from './member.ts'
import { RENEW_MS, STEP_MS } from './settings.ts'
import { Truth } from './truth.ts'
import { Streams, ViewerTraffic } from './viewers.ts'

export interface WorldOptions {
  readonly seed: number
  readonly library: Library
  /** Whether the server is a cluster of three. @default false */
  readonly isCluster?: boolean | undefined
  /** Only faults whose names contain this. @default '' */
  readonly only?: string | undefined
  /** Whether members also end streams of each other, by their ids. @default true */
  readonly hasRivals?: boolean | undefined
  /** Called with every event. @default none */
  readonly print?: ((line: string) => void) | undefined
}

/** A server or a cluster, the members of a fleet on it, and their clock. */
export class World implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly truth: Truth
  readonly log: EventLog
  readonly members: FleetMember[] = []
  readonly time: ServerTime
  /** Random numbers of the faults. Each member has a series of its own, from the same seed. */
  readonly random: () => number
  /** One server, or those of a cluster. */
  #servers: readonly RedisServer[]
  #inspectors: readonly Redis[]
  /** Whether the server's process answers. */
  isAnswering = true
  readonly #options: WorldOptions
  readonly #streams = new Streams()
  readonly #traffic = new Map<FleetMember, ViewerTraffic>()
  /** When the server was frozen last, and since when it had been up then. */
  #frozen = { at: Number.NEGATIVE_INFINITY, upBefore: Number.NEGATIVE_INFINITY }
  readonly #retired: RedisServer[] = []
  #violation: Error | undefined

  private constructor(options: WorldOptions, servers: readonly RedisServer[], time: ServerTime) {
    this.#options = options
    this.#servers = servers
    this.#inspectors = servers.map(inspectorOf)
    this.time = time
    this.truth = new Truth(() => this.now)
    this.log = new EventLog(() => this.now, options.print)
    this.random = seededRandom(options.seed)
  }

  static async start(options: WorldOptions): Promise<World> {
    const time = new ServerTime()
    const { env } = time
    return new World(options, options.isCluster ? await startCluster(env) : [await RedisServer.start({ extra: ON_DISK, env })], time)
  }

  get now(): number {
    return this.clock.now()
  }

  get isCluster(): boolean {
    return this.#servers.length > 1
  }

  /** The server, if it is no cluster. */
  get server(): RedisServer {
    const [server] = this.#servers
    if (server === undefined) throw new Error('There is no server')
    return server
  }

  /** A connection to each server, which no fault affects. */
  get inspectors(): readonly Redis[] {
    return this.#inspectors
  }

  get inspector(): Redis {
    const [inspector] = this.#inspectors
    if (inspector === undefined) throw new Error('There is no server')
    return inspector
  }

  get living(): readonly FleetMember[] {
    return this.members.filter(({ status }) => status.isAlive)
  }

  /** The server is away from now on. */
  storeGone(): void {
    this.isAnswering = false
    this.#frozen = { at: this.now, upBefore: this.truth.storeUpSince }
    this.truth.storeUpSince = Number.POSITIVE_INFINITY
    this.truth.storeWritableSince = Number.POSITIVE_INFINITY
  }

  /** The servers answer, but no script can run. */
  storeSplit(): void {
    this.storeGone()
    this.isAnswering = true
  }

  /** The server is not frozen any more. Members do not notice a freeze of less than a report interval: it counts as one interval. */
  thawed(): void {
    const { upBefore } = this.#frozen
    const isNoticed = this.now - this.#frozen.at >= RENEW_MS
    this.storeBack()
    if (!isNoticed) this.truth.storeUpSince = upBefore + RENEW_MS
  }

  /** The server is back: every member has a whole time to live to report from now on. */
  storeBack(): void {
    this.isAnswering = true
    this.truth.storeUpSince = this.now
    this.truth.storeWritableSince = this.now
  }

  async join(): Promise<FleetMember> {
    const index = this.members.length
    const { library, seed, hasRivals = true } = this.#options
    const random = seededRandom(seed * 1_000 + index)
    const member = new FleetMember({
      name: `m${index}`,
      library,
      offline: { waitsOffline: random() < 0.7, givesUp: random() < 0.5 },
      links: await FaultyLinks.open(
        this.#servers.map(({ port }) => port),
        () => this.now,
      ),
      clock: this.clock,
      truth: this.truth,
      log: this.log,
      onViolation: (violation) => {
        this.#violation ??= violation
      },
    })
    member.note('joins')
    this.members.push(member)
    this.#traffic.set(member, new ViewerTraffic(member, this.#streams, random, hasRivals))
    return member
  }

  /** From now on no new viewers come. */
  quiet(): void {
    for (const traffic of this.#traffic.values()) traffic.isQuiet = true
  }

  trafficOf(member: FleetMember): ViewerTraffic {
    const traffic = this.#traffic.get(member)
    if (traffic === undefined) throw new Error(`${member.name} has no traffic`)
    return traffic
  }

  /**
   * Advances the clock by one step, and waits for all calls that no fault stalls. `midway` is called while calls are in flight.
   *
   * @throws Violation when an invariant is broken
   */
  async step(midway?: () => Promise<void>): Promise<void> {
    await this.clock.advance(STEP_MS)
    for (const traffic of this.#traffic.values()) traffic.step()
    await midway?.()
    for (const { links } of this.members) links.each((link) => link.pump())
    await this.rest()
    const observers = this.#running.filter(({ status }) => status.isObserver(this.now))
    for (const member of this.#running) {
      const { status, links, isPaused } = member
      const couldBeTakenForDead = status.mayBeTakenForDead
      const isObserved = observers.some((observer) => observer !== member)
      if (status.observe(this.now, { isClear: links.isClear && !isPaused, storeUpSince: this.truth.storeUpSince, isObserved })) {
        if (!couldBeTakenForDead) member.note('may be taken for dead')
        this.truth.allowReassignment(status)
      }
      member.check()
    }
    this.truth.check()
    if (this.#violation !== undefined) throw this.#violation
  }

  async steps(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) await this.step()
  }

  /** Steps until `work` settles. */
  async stepsUntil<T>(work: Promise<T>): Promise<T> {
    let isSettled = false
    const settle = (): void => {
      isSettled = true
    }
    work.then(settle, settle)
    await this.rest()
    while (!isSettled) await this.step()
    return work
  }

  /** Waits in real time, while the clock stands still, until no call is in flight except calls that a fault stalls. */
  async rest(): Promise<void> {
    for (let quietRounds = 0; quietRounds < 2; ) {
      await this.clock.settle()
      if (this.isAnswering && this.members.some(({ links }) => !links.isClear)) await this.#passBarrier()
      const busy = this.#running.some((member) => this.isAnswering && !member.isPaused && member.links.isClear && !member.isAtRest)
      quietRounds = busy ? 0 : quietRounds + 1
      if (busy) await sleep(1)
    }
  }

  /** Switches to another server, as a failover does. No member reaches the old one any more. */
  failOver(to: RedisServer): void {
    this.#retired.push(this.server)
    this.#servers = [to]
    this.inspector.disconnect()
    this.#inspectors = [inspectorOf(to)]
    for (const { links } of this.members) links.each((link) => link.retarget(to.port))
  }

  get #running(): readonly FleetMember[] {
    return this.members.filter(({ status }) => status.isRunning)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.members) member.dispose()
    for (const inspector of this.#inspectors) inspector.disconnect()
    await Promise.all([...this.#servers, ...this.#retired].map((server) => server.stop()))
    this.time[Symbol.dispose]()
  }

  /** Pings each server twice. When it answers the second ping, it has answered every command that arrived before the first. */
  async #passBarrier(): Promise<void> {
    for (const inspector of [...this.#inspectors, ...this.#inspectors]) await inspector.ping()
    await this.clock.settle()
  }
}

function inspectorOf(server: RedisServer): Redis {
  const inspector = new Redis({ port: server.port, retryStrategy: () => 10, maxRetriesPerRequest: null })
  inspector.on('error', () => {})
  return inspector
}
