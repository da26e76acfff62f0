import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { ManualClock, seededRandom } from '../../../src/testing/index.ts'
import { FaultyLink } from '../../support/faulty-link.ts'
import { ON_DISK, RedisServer } from '../../support/redis-server.ts'
import { ServerTime } from '../../support/server-time.ts'
import { Conduct, Streams } from './conduct.ts'
import type { Library } from './counted-client.ts'
import { EventLog } from './log.ts'
import { FleetMember } from './member.ts'
import { STEP_MS } from './settings.ts'
import { Truth } from './truth.ts'

export interface WorldOptions {
  readonly seed: number
  readonly library: Library
  /** Only faults whose names contain this. @default '' */
  readonly only?: string | undefined
  /** Called with every event. @default none */
  readonly print?: ((line: string) => void) | undefined
}

/** A server, members of a fleet on it, and the time of all. */
export class World implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly truth: Truth
  readonly log: EventLog
  readonly members: FleetMember[] = []
  readonly time: ServerTime
  /** A seed makes one sequence for faults, and one for each member. */
  readonly random: () => number
  server: RedisServer
  eye: Redis
  /** Whether the server's process answers. */
  isAnswering = true
  readonly #options: WorldOptions
  readonly #streams = new Streams()
  readonly #conducts = new Map<FleetMember, Conduct>()
  readonly #retired: RedisServer[] = []
  #violation: Error | undefined
  #faultedAt = 0

  private constructor(options: WorldOptions, server: RedisServer, time: ServerTime) {
    this.#options = options
    this.server = server
    this.time = time
    this.truth = new Truth(() => this.now)
    this.log = new EventLog(() => this.now, options.print)
    this.random = seededRandom(options.seed)
    this.eye = eyeOn(server)
  }

  static async start(options: WorldOptions): Promise<World> {
    const time = new ServerTime()
    return new World(options, await RedisServer.start({ extra: ON_DISK, env: time.env }), time)
  }

  get now(): number {
    return this.clock.now()
  }

  get living(): readonly FleetMember[] {
    return this.members.filter(({ standing }) => standing.isAlive)
  }

  /** How long there has been no fault, and no member has died. */
  get calmMs(): number {
    return this.now - this.#faultedAt
  }

  /** There is a fault now. */
  faulted(): void {
    this.#faultedAt = this.now
  }

  /** The server is away from now on. */
  storeGone(): void {
    this.isAnswering = false
    this.truth.storeUpSince = Number.POSITIVE_INFINITY
  }

  /** Everybody has a whole TTL from now on to report. */
  storeBack(): void {
    this.isAnswering = true
    this.truth.storeUpSince = this.now
  }

  async join(): Promise<FleetMember> {
    const index = this.members.length
    const { library, seed } = this.#options
    const random = seededRandom(seed * 1_000 + index)
    const member = new FleetMember({
      name: `m${index}`,
      library,
      temper: { waitsOffline: random() < 0.7, givesUp: random() < 0.5 },
      link: await FaultyLink.open(this.server.port, () => this.now),
      clock: this.clock,
      truth: this.truth,
      log: this.log,
      onViolation: (violation) => {
        this.#violation ??= violation
      },
    })
    member.note('joins')
    this.members.push(member)
    this.#conducts.set(member, new Conduct(member, this.#streams, random))
    return member
  }

  /** No more viewers come. */
  quiet(): void {
    for (const conduct of this.#conducts.values()) conduct.isQuiet = true
  }

  conductOf(member: FleetMember): Conduct {
    const conduct = this.#conducts.get(member)
    if (conduct === undefined) throw new Error(`${member.name} has no conduct`)
    return conduct
  }

  /** Time moves on by a step, and everything that can come to rest does. Throws what must never happen. */
  async step(): Promise<void> {
    await this.clock.advance(STEP_MS)
    for (const conduct of this.#conducts.values()) conduct.step()
    for (const { link } of this.members) link.pump()
    await this.rest()
    for (const member of this.living) {
      const { standing, link, isPaused } = member
      if (standing.look(this.now, link.isClear && !isPaused, this.truth.storeUpSince)) {
        member.note('may be taken for dead')
        this.truth.forfeit(standing)
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

  /** Waits in real time, while the clock stands still, until nothing is under way but what a fault holds up. */
  async rest(): Promise<void> {
    for (let quietRounds = 0; quietRounds < 2; ) {
      await this.clock.settle()
      if (this.isAnswering && this.members.some(({ link }) => !link.isClear)) await this.#passBarrier()
      const busy = this.living.some((member) => this.isAnswering && !member.isPaused && member.link.isClear && !member.isAtRest)
      quietRounds = busy ? 0 : quietRounds + 1
      if (busy) await sleep(1)
    }
  }

  /** Switches to another server, as a failover does. The old one is gone. */
  failOver(to: RedisServer): void {
    this.#retired.push(this.server)
    this.server = to
    this.eye.disconnect()
    this.eye = eyeOn(to)
    for (const { link } of this.members) link.retarget(to.port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.members) member.dispose()
    this.eye.disconnect()
    await Promise.all([this.server, ...this.#retired].map((server) => server.stop()))
    this.time[Symbol.dispose]()
  }

  /** When the second is answered, the server has answered everything that arrived before the first. */
  async #passBarrier(): Promise<void> {
    await this.eye.ping()
    await this.eye.ping()
    await this.clock.settle()
  }
}

function eyeOn(server: RedisServer): Redis {
  const eye = new Redis({ port: server.port, retryStrategy: () => 10, maxRetriesPerRequest: null })
  eye.on('error', () => {})
  return eye
}
