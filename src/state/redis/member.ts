import { InvalidArgumentError, StoreError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { harmless, type Logger, silentLogger } from '../../runtime/logger.ts'
import type { JournalEntry, StoreUser } from '../store.ts'
import type { Connection } from './connection.ts'
import { FleetWatch, type Peer } from './fleet-watch.ts'
import { Identity } from './identity.ts'
import { RedisLink } from './link.ts'
import { LocalEnds } from './local-ends.ts'
import { LocalJournal } from './local-journal.ts'
import { LocalSlots, leaseSlot } from './local-slots.ts'
import { Recovery } from './recovery.ts'
import { keysOf, nameFrom } from './script.ts'
import { type AskOptions, type Operation, type Outcome, WriteQueue } from './write-queue.ts'

/** What a {@link Member} needs. */
export interface MemberParts {
  connection: Connection
  clock: Clock
  /** Whether the clock is the system's, so that Redis's time is the same. */
  isSystemTime: boolean
  logger: Logger | undefined
  name: string | undefined
  timeoutMs: number
  slotTtlMs: number
  renewIntervalMs: number
  /** Called when the channel on which freed slots are published is known. */
  onChannel: (channel: string) => void
}

/** The name where nobody says which orchestrator this is about. */
const DEFAULT_NAME = 'default'

/**
 * This process as a member of the fleet. It knows first what it holds; Redis gets the changes. It reports all that it holds only when Redis lost
 * something.
 */
export class Member {
  readonly #parts: MemberParts
  readonly #identity = new Identity()
  readonly #link: RedisLink
  readonly #outbox: WriteQueue
  readonly #watch: FleetWatch
  readonly #recovery: Recovery
  readonly slots: LocalSlots = new LocalSlots()
  readonly journal: LocalJournal = new LocalJournal()
  readonly ends: LocalEnds = new LocalEnds()
  #user: StoreUser | undefined
  #renewedAt = Number.NEGATIVE_INFINITY
  #isClosed = false
  #leaving: Promise<void> | undefined
  #hasWarned = false

  constructor(parts: MemberParts) {
    this.#parts = parts
    const { clock, slotTtlMs, isSystemTime } = parts
    const logger = (): Logger => this.logger
    this.#link = new RedisLink({ ...parts, logger, onTry: () => this.#tryAgain(), onFailed: () => this.#watch.interrupt() })
    this.#watch = new FleetWatch({ ttlMs: slotTtlMs, intervalMs: parts.renewIntervalMs, now: () => clock.now() })
    this.#outbox = new WriteQueue({
      ...parts,
      link: this.#link,
      identity: this.#identity,
      keys: () => keysOf(this.name),
      settings: [String(slotTtlMs), isSystemTime ? '1' : '0'],
      greeting: { args: ['I'], applied: (answer) => this.#welcome(answer as unknown[]) },
      onAnew: (wasBuried) => this.#reportAll(wasBuried),
    })
    this.#recovery = new Recovery({ outbox: this.#outbox, journal: this.journal, logger, place: () => keysOf(this.name)[0] })
  }

  get id(): string {
    return this.#identity.id
  }

  get name(): string {
    return this.#parts.name ?? (this.#user === undefined ? DEFAULT_NAME : nameFrom(this.#user.baseUrl))
  }

  get logger(): Logger {
    return this.#parts.logger ?? this.#user?.logger ?? silentLogger
  }

  /** @throws {@link InvalidArgumentError} where the store is another orchestrator's already */
  attach(user: StoreUser): void {
    const isOther = this.#user !== undefined && nameFrom(this.#user.baseUrl) !== nameFrom(user.baseUrl)
    if (isOther && this.#parts.name === undefined) {
      throw new InvalidArgumentError('store', `a store of its own for each orchestrator; this one is used for ${this.name}`)
    }
    this.#user ??= { baseUrl: user.baseUrl, logger: harmless(user.logger) }
  }

  /** @throws {@link StoreError} where Redis does not answer in time */
  ask(args: readonly string[], options?: AskOptions): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new StoreError('The store is closed', { reason: 'unavailable' }))
    return this.#outbox.ask(args, options)
  }

  /** Becomes a member, if this process is none yet. Never rejects. */
  async join(): Promise<void> {
    if (!this.#identity.hasJoined && !this.#isClosed) await this.#look()
  }

  /** Makes known where these slots are now. */
  async moved(...slots: readonly string[]): Promise<Outcome> {
    const outcomes = await Promise.all(slots.map((slot) => this.#outbox.change(slot, () => this.slots.encode(slot))))
    return outcomes.find((outcome) => outcome !== 'done') ?? 'done'
  }

  /** Makes known what the journal has of a stream now. */
  async written(streamId: string): Promise<void> {
    await this.#outbox.change(`j:${streamId}`, () => this.journal.encode(streamId))
  }

  /** Makes known which ends were claimed and taken back. */
  async told(): Promise<void> {
    if (!this.ends.hasUntold) return
    const outcome = await this.#outbox.change('ends', () => this.#encodeEnds())
    // One report holds a part of them. An outbox that is closed takes none: never ask it again.
    if (outcome === 'done' && this.ends.hasUntold) void this.told()
  }

  /** Redis may have lost ended ids: what is known of them here is reported. */
  sawEnds(generation: string): void {
    this.ends.see(generation)
    void this.told()
  }

  /** Nothing where it is the time here: then that of the server counts, which is one for all. */
  timeOf(now: number): string {
    const { clock, isSystemTime } = this.#parts
    /** A caller whose time is further from the time here has another clock, like that of a test. */
    const sameTimeMs = 1_000
    return isSystemTime && Math.abs(now - clock.now()) < sameTimeMs ? '' : String(now)
  }

  /** Says that this process lives, looks after the others, and frees the slots of the dead. Never rejects. */
  async renew(): Promise<void> {
    this.#renewedAt = this.#parts.clock.now()
    await this.#inTime(this.#look().then(() => this.#recovery.bury(() => this.#watch.dead)))
  }

  /** Takes over the entries of members that died. Never rejects. */
  async recover(): Promise<readonly JournalEntry[]> {
    await this.#inTime(this.#look().then(() => this.#recovery.recover(() => this.#watch.dead)))
    return this.#recovery.recovered()
  }

  /** Leaves the fleet, once; a further call waits for that. Never rejects. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    this.#isClosed = true
    // An entry that it takes over after this member has left is nobody's.
    await this.#recovery.stop()
    await this.#outbox.settled()
    // There is no later occasion.
    this.#link.tryNow()
    if (this.#identity.wasMember || this.#outbox.hasChanges) await this.#farewell()
    this.#link.close()
    this.#outbox.close()
  }

  async #farewell(): Promise<void> {
    await this.#look()
    for (const { leaseId } of this.slots.dropDue(Number.POSITIVE_INFINITY)) void this.moved(leaseSlot(leaseId))
    for (const slot of this.slots.names) {
      this.slots.dropStream(slot.slice(2))
      void this.moved(slot)
    }
    await this.#outbox.leave(() => ['Q', this.journal.size > 0 || this.#recovery.isPending ? '1' : '0'])
  }

  /** Sees the others, and lets slots be given out again where everybody had time to report. Answers whether Redis did. Never rejects. */
  async #look(): Promise<boolean> {
    try {
      const [opening, generation, ...fields] = (await this.#outbox.ask(['V'])) as unknown[]
      const peers: Peer[] = []
      for (let place = 0; place < fields.length; place += 3) {
        const [id, last, ttlMs] = fields.slice(place, place + 3)
        peers.push({ id: String(id), last: String(last), ttlMs: Number(ttlMs) })
      }
      this.#watch.see(peers, String(opening))
      this.sawEnds(String(generation))
      const { overdueOpening } = this.#watch
      if (overdueOpening !== undefined && Number(await this.#outbox.ask(['O', overdueOpening])) === 1) this.#recovery.suspect()
      return true
    } catch {
      if (!this.#isClosed) this.#link.tryLater()
      return false
    }
  }

  /** Resolves when the work is done, or its time is up. Then it goes on, and the next call returns its result. */
  #inTime(work: Promise<unknown>): Promise<void> {
    const { clock, timeoutMs } = this.#parts
    return new Promise((resolve) => {
      const timer = clock.setTimeout(resolve, timeoutMs)
      work.then(() => resolve()).finally(() => timer.cancel())
    })
  }

  /** Redis was away: a process that is in use says soon that it lives. */
  #tryAgain(): void {
    const { clock, slotTtlMs } = this.#parts
    const isInUse = clock.now() - this.#renewedAt < slotTtlMs
    if (!this.#isClosed && (isInUse || this.#outbox.hasChanges)) void this.#look()
  }

  #reportAll(wasBuried: boolean): void {
    this.slots.startAnew(wasBuried)
    void this.moved(...this.slots.names)
    for (const streamId of this.journal.streamIds) void this.written(streamId)
    if (!wasBuried) this.ends.lost()
    void this.told()
  }

  #encodeEnds(): Operation | undefined {
    const now = this.#parts.clock.now()
    return this.ends.encode(now, this.timeOf(now))
  }

  #welcome([key, policy]: readonly unknown[]): void {
    this.#parts.onChannel(`${String(key)}:freed`)
    if (['', 'noeviction'].includes(String(policy)) || this.#hasWarned) return
    this.#hasWarned = true
    const advice = 'set maxmemory-policy to noeviction, or give the fleet a Redis of its own'
    this.logger.warn(`Redis may evict the fleet's state; no slot is given out for a while then: ${advice}`, { policy: String(policy) })
  }
}
