import { InvalidArgumentError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { guardLogger, type Logger, silentLogger } from '../../runtime/logger.ts'
import type { JournalEntry, StoreUser } from '../store.ts'
import { FailureDetector, type Peer, Recovery } from './dead-members.ts'
import { FleetUsage } from './fleet-usage.ts'
import { Line } from './line.ts'
import { LocalEnds, LocalJournal } from './local-ends.ts'
import { LocalSlots, leaseSlot } from './local-slots.ts'
import type { Connection } from './redis-client.ts'
import { closedError } from './reply-error.ts'
import { keysOf, nameFrom, type Operation, type OperationCall } from './script.ts'
import { ScriptRunner } from './script-runner.ts'
import { SlotSubscription } from './slot-subscription.ts'
import { type AskOptions, type Outcome, WriteQueue } from './write-queue.ts'

/** Dependencies and options of {@link Member}. */
export interface MemberParts {
  connection: Connection
  clock: Clock
  /** Whether the clock is the system's. Then Redis's time is the same. */
  isSystemTime: boolean
  /** @default the logger of the first client */
  logger: Logger | undefined
  /** The name of the fleet. @default derived from the first client's `baseUrl` */
  name: string | undefined
  timeoutMs: number
  slotTtlMs: number
  renewIntervalMs: number
}

/** The name of the fleet of a store that no client uses. */
const DEFAULT_NAME = 'default'
/** If a caller's time differs by more from the clock of the store, the caller has another clock, as in a test. */
const SAME_TIME_MS = 1_000

/**
 * Makes this process a member of the fleet: joins, renews, reports all that the process holds, and leaves.
 *
 * Each change is recorded in this process first ({@link slots}, {@link journal}, {@link ends}), and then reported to Redis. If Redis lost
 * something, everything is reported again.
 */
export class Member {
  readonly slots: LocalSlots = new LocalSlots()
  readonly usage: FleetUsage
  readonly line: Line
  readonly journal: LocalJournal = new LocalJournal()
  readonly ends: LocalEnds = new LocalEnds()
  readonly subscription: SlotSubscription
  readonly #parts: MemberParts
  readonly #runner: ScriptRunner
  readonly #queue: WriteQueue
  readonly #detector: FailureDetector
  readonly #recovery: Recovery
  #user: StoreUser | undefined
  #renewedAt = Number.NEGATIVE_INFINITY
  #isClosed = false
  #leaving: Promise<void> | undefined
  #hasWarned = false

  constructor(parts: MemberParts) {
    const { connection, clock, timeoutMs, slotTtlMs, renewIntervalMs, isSystemTime } = parts
    const logger = (): Logger => this.#logger
    this.#parts = parts
    this.#detector = new FailureDetector({ ttlMs: slotTtlMs, intervalMs: renewIntervalMs, now: () => clock.now() })
    this.#runner = new ScriptRunner({
      connection,
      clock,
      timeoutMs,
      logger,
      onRetry: () => this.#retry(),
      onFailed: () => this.#detector.restart(),
    })
    this.#queue = new WriteQueue({
      runner: this.#runner,
      clock,
      timeoutMs,
      keys: () => keysOf(this.#name),
      settings: () => [String(slotTtlMs), isSystemTime ? '1' : '0', isSystemTime ? '' : String(clock.now())],
      joinOperation: { call: ['serverInfo'], onApplied: (answer) => this.#noteServer(answer as unknown[]) },
      onNewMember: (wasTakenForDead) => this.#reportAll(wasTakenForDead),
    })
    this.#recovery = new Recovery({
      detector: this.#detector,
      queue: this.#queue,
      journal: this.journal,
      logger,
      stateKey: () => keysOf(this.#name)[0],
    })
    this.usage = new FleetUsage(this.slots, () => clock.now())
    this.line = new Line(clock, () => this.subscription.notify())
    this.subscription = new SlotSubscription({
      client: connection.client,
      logger,
      isOwn: (id) => id === this.#queue.memberId,
      onOffer: (isOwn, containerId) => {
        if (isOwn) this.usage.noteFree(containerId)
        this.line.noteOffer(isOwn)
      },
      isAwaited: () => this.line.isWaiting,
      onTurnEnd: (isSlotLeft) => this.line.noteTurnEnd(isSlotLeft),
      onAnyFree: () => {
        this.line.noteChange()
        // A proxy of an earlier release has freed a slot, or a hold is over: Redis does not report the engine.
        if (this.line.isWaiting) this.usage.forgetFull()
      },
    })
  }

  /**
   * Takes the name and the logger of the first client.
   *
   * @throws {@link InvalidArgumentError} if the store serves another orchestrator already
   */
  attach(user: StoreUser): void {
    const isOther = this.#user !== undefined && nameFrom(this.#user.baseUrl) !== nameFrom(user.baseUrl)
    if (isOther && this.#parts.name === undefined) {
      throw new InvalidArgumentError('store', `a store of its own for each orchestrator; this one is used for ${this.#name}`)
    }
    this.#user ??= { baseUrl: user.baseUrl, logger: guardLogger(user.logger) }
  }

  /** Runs an operation. @throws {@link StoreError} if Redis does not answer in time, or this process has left */
  ask(call: OperationCall, options?: AskOptions): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(closedError())
    return this.#queue.ask(call, options)
  }

  /** Joins the fleet, unless this process is a member. Never rejects. */
  async join(): Promise<void> {
    if (!this.#queue.hasJoined && !this.#isClosed) await this.#observeFleet()
  }

  /** Reports where these slots are now. Never rejects. */
  async reportSlots(...slots: readonly string[]): Promise<Outcome> {
    const outcomes = await Promise.all(slots.map((slot) => this.#queue.change(slot, () => this.slots.encode(slot))))
    return outcomes.find((outcome) => outcome !== 'done') ?? 'done'
  }

  /** Reports the journal entry of a stream, or that it is settled. Never rejects. */
  async reportEntry(streamId: string): Promise<void> {
    await this.#queue.change(`j:${streamId}`, () => this.journal.encode(streamId))
  }

  /** Reports the claimed and withdrawn ends that Redis does not know. Never rejects. */
  async reportEnds(): Promise<void> {
    if (!this.ends.hasUnreported) return
    const outcome = await this.#queue.change('ends', () => this.#encodeEnds())
    // One operation reports only a part of the ends. After any other outcome do not call again: a closed queue would return it for ever.
    if (outcome === 'done' && this.ends.hasUnreported) void this.reportEnds()
  }

  /** If the generation of the ended ids is new, Redis lost them: reports all ends that this process knows. */
  noteGeneration(generation: string): void {
    this.ends.noteGeneration(generation)
    void this.reportEnds()
  }

  /** Encodes a caller's time for the script. Empty if it is the system's time: the script then uses the server's, which all members share. */
  timeArgument(now: number): string {
    const { clock, isSystemTime } = this.#parts
    return isSystemTime && Math.abs(now - clock.now()) < SAME_TIME_MS ? '' : String(now)
  }

  /** Shows the other members that this process lives, and releases the slots of dead members. Takes `timeoutMs` at most. Never rejects. */
  async renew(): Promise<void> {
    this.#renewedAt = this.#parts.clock.now()
    await this.#inTime(this.#observeFleet().then(() => this.#recovery.releaseSlots()))
  }

  /** Takes over the journal entries of dead members. Takes `timeoutMs` at most. Never rejects. */
  async recover(): Promise<readonly JournalEntry[]> {
    await this.#inTime(this.#observeFleet().then(() => this.#recovery.recover()))
    return this.#recovery.takeRecovered()
  }

  /** Leaves the fleet. A further call waits for the first. Never rejects. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    this.subscription.close()
    this.line.left()
    this.#isClosed = true
    // If this process took over an entry after it has left, no process would end the stream.
    await this.#recovery.stop()
    await this.#queue.settled()
    // Do not wait for a retry: no call comes after this one.
    this.#runner.skipPause()
    if (this.#queue.mayBeKnown || this.#queue.hasChanges) await this.#releaseAllAndLeave()
    this.#runner.close()
    this.#queue.close()
  }

  async #releaseAllAndLeave(): Promise<void> {
    await this.#observeFleet()
    for (const { leaseId } of this.slots.removeExpired(Number.POSITIVE_INFINITY)) void this.reportSlots(leaseSlot(leaseId))
    for (const slot of this.slots.names) {
      this.slots.removeStream(slot.slice(2))
      void this.reportSlots(slot)
    }
    await this.#queue.leave(() => ['leave', this.journal.size > 0 || this.#recovery.isPending ? '1' : '0'])
  }

  /** Observes the other members, and ends a hold if all of them had time to report their slots. Never rejects. */
  async #observeFleet(): Promise<void> {
    try {
      const [hold, generation, ...fields] = (await this.#queue.ask(['view'])) as unknown[]
      const peers: Peer[] = []
      for (let place = 0; place < fields.length; place += 3) {
        const [id, lastBatch, ttlMs] = fields.slice(place, place + 3)
        peers.push({ id: String(id), lastBatch: String(lastBatch), ttlMs: Number(ttlMs) })
      }
      this.#detector.observe(peers, String(hold))
      this.noteGeneration(String(generation))
      const { overdueHold } = this.#detector
      if (overdueHold !== undefined && Number(await this.#queue.ask(['endHold', overdueHold])) === 1) this.#recovery.requestSearch()
    } catch {
      if (!this.#isClosed) this.#runner.scheduleRetry()
    }
  }

  /** Resolves when the work is done, or after `timeoutMs`. Then the work continues, and a later call gets its result. */
  #inTime(work: Promise<unknown>): Promise<void> {
    const { clock, timeoutMs } = this.#parts
    return new Promise((resolve) => {
      const timer = clock.setTimeout(resolve, timeoutMs)
      work.then(() => resolve()).finally(() => timer.cancel())
    })
  }

  /** Runs after an outage of Redis. A process that is in use must show soon that it lives. */
  #retry(): void {
    const { clock, slotTtlMs } = this.#parts
    const isInUse = clock.now() - this.#renewedAt < slotTtlMs
    if (!this.#isClosed && (isInUse || this.#queue.hasChanges)) void this.#observeFleet()
  }

  #reportAll(wasTakenForDead: boolean): void {
    this.slots.becomeNewMember(wasTakenForDead)
    this.usage.forgetOthers()
    void this.reportSlots(...this.slots.names)
    for (const streamId of this.journal.streamIds) void this.reportEntry(streamId)
    if (!wasTakenForDead) this.ends.markAllUnreported()
    void this.reportEnds()
    // The new member has no place in the line yet.
    if (this.line.isWaiting) this.line.wake()
  }

  #encodeEnds(): Operation | undefined {
    const now = this.#parts.clock.now()
    return this.ends.encode(now, this.timeArgument(now))
  }

  #noteServer([key, policy]: readonly unknown[]): void {
    this.subscription.setChannel(`${String(key)}:freed`)
    if (['', 'noeviction'].includes(String(policy)) || this.#hasWarned) return
    this.#hasWarned = true
    const advice = 'set maxmemory-policy to noeviction, or give the fleet a Redis of its own'
    const message = `Redis may evict the fleet's state, and then it grants no slot for slotTtlMs: ${advice}`
    this.#logger.warn(message, { policy: String(policy) })
  }

  get #name(): string {
    return this.#parts.name ?? (this.#user === undefined ? DEFAULT_NAME : nameFrom(this.#user.baseUrl))
  }

  get #logger(): Logger {
    return this.#parts.logger ?? this.#user?.logger ?? silentLogger
  }
}
