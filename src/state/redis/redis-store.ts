import { type Clock, systemClock } from '../../runtime/clock.ts'
import { guardLogger, type Logger } from '../../runtime/logger.ts'
import { SteadyClock } from '../../runtime/steady-clock.ts'
import { expectMethods, expectOneOf, expectOptions, expectPositiveDuration, expectText, type NamesOf } from '../../runtime/validate.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore, StoreUser, UsageListener } from '../store.ts'
import { argumentsOf } from './local-ends.ts'
import { leaseSlot, streamSlot } from './local-slots.ts'
import { Member } from './member.ts'
import { connectionOf, type RedisClient } from './redis-client.ts'
import type { OperationCall } from './script.ts'
import { chunksOf, SlotTaking } from './slot-taking.ts'

/** Options of {@link RedisStore}. */
export interface RedisStoreOptions {
  /**
   * A connection of `ioredis` 5 or 6, or of `redis` (node-redis) 5 or 6, also to a cluster. The host connects and closes it. The store
   * listens to its `error` event, so that it can report why Redis does not answer.
   */
  client: RedisClient
  /**
   * The name of the fleet: proxies whose stores have the same name share the engines of one orchestrator. Set it if proxies reach the
   * orchestrator under different addresses. 1 to 200 characters.
   *
   * @default the address of the client's `baseUrl` without its scheme and a final `/v1`, like `orchestrator:8000`
   */
  name?: string | undefined
  /** How long a call may take, milliseconds. @default 1_000 */
  timeoutMs?: number | undefined
  /**
   * How long a process may be silent while Redis answers the other processes, milliseconds. After that they release its slots and end its
   * streams. A process reports three times in this time. After a restart, a failover or a loss of data, Redis grants no slot for as long.
   * All proxies of a fleet need the same value.
   *
   * @default 15_000
   */
  slotTtlMs?: number | undefined
  /**
   * What `take()` does while Redis is unavailable. `refuse`: it fails, so that no engine ever has too many streams. `local`: it decides by
   * the slots of this proxy and the orchestrator's list alone.
   *
   * @default 'refuse'
   */
  onStoreFailure?: 'refuse' | 'local' | undefined
  /** The source of all times. If the client has the option `clock`, pass the same clock. @default the system's clock */
  clock?: Clock | undefined
  /**
   * Gets one `error` line when Redis does not answer, and one `info` line when it has answered without a failure for 5 s.
   *
   * @default the logger of the first client that uses the store
   */
  logger?: Logger | undefined
}

const OPTION_NAMES: NamesOf<RedisStoreOptions> = {
  client: true,
  name: true,
  timeoutMs: true,
  slotTtlMs: true,
  onStoreFailure: true,
  clock: true,
  logger: true,
}
const DEFAULTS = { timeoutMs: 1_000, slotTtlMs: 15_000 }
const MAX_NAME_LENGTH = 200
/** Ids that one script looks up. */
const MAX_IDS = 1_000

/**
 * Shares one state among a fleet of proxies, in Redis 7 or Valkey: no engine has more streams than its limit, counted over the whole fleet;
 * an end is sent once, even if several proxies request it; and the streams of a dead proxy are ended by other proxies.
 *
 * Each instance is one member of the fleet. Counting the slots of an engine and taking one are a single script, one round trip. No call
 * takes longer than `timeoutMs`. While Redis is unavailable only `take()` fails, by default. All changes made meanwhile are reported when
 * Redis answers.
 *
 * An outage of Redis ends no stream, and takes no slot from a living proxy: a proxy counts as dead only if it was silent for `slotTtlMs`
 * while Redis answered. A Redis that was restarted, failed over or lost its data grants no slot for `slotTtlMs`, because proxies may hold
 * slots that it does not know. This also applies to a Redis that is used for the first time, unless it can show that it lost nothing. See
 * `docs/stores.md`.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { RedisStore } from 'acestream-orchestrator-client/redis'
 * import { Redis } from 'ioredis'
 *
 * const client = new OrchestratorClient({ baseUrl, apiKey, store: new RedisStore({ client: new Redis('redis://redis:6379') }) })
 */
export class RedisStore implements StateStore, AsyncDisposable {
  readonly #member: Member
  readonly #taking: SlotTaking
  readonly #clock: Clock
  /** A third of `slotTtlMs`, milliseconds. */
  readonly renewIntervalMs: number

  /** @throws {@link InvalidArgumentError} which names the wrong option */
  constructor(options: RedisStoreOptions) {
    expectOptions(options, OPTION_NAMES)
    const { name, timeoutMs = DEFAULTS.timeoutMs, slotTtlMs = DEFAULTS.slotTtlMs } = options
    const { onStoreFailure = 'refuse', clock: hostClock = systemClock, logger } = options
    const connection = connectionOf(options.client)
    if (logger !== undefined) expectMethods('logger', logger, ['debug', 'info', 'warn', 'error'])
    expectMethods('clock', hostClock, ['now', 'setTimeout'])
    expectOneOf('onStoreFailure', onStoreFailure, ['refuse', 'local'])
    this.#clock = SteadyClock.of(hostClock)
    expectPositiveDuration('slotTtlMs', slotTtlMs)
    this.renewIntervalMs = Math.max(1, Math.floor(slotTtlMs / 3))
    this.#member = new Member({
      connection,
      clock: this.#clock,
      isSystemTime: hostClock === systemClock,
      logger: logger && guardLogger(logger),
      name: name === undefined ? undefined : expectText('name', name, MAX_NAME_LENGTH),
      timeoutMs: expectPositiveDuration('timeoutMs', timeoutMs),
      slotTtlMs,
      renewIntervalMs: this.renewIntervalMs,
    })
    this.#taking = new SlotTaking({
      member: this.#member,
      clock: this.#clock,
      server: () => `Redis at ${connection.address()}`,
      slotTtlMs,
      mayTakeWithoutRedis: onStoreFailure === 'local',
    })
  }

  /** Takes the name of the fleet and the logger from the client, unless the options set them. The client calls this. */
  attach(user: StoreUser): void {
    this.#member.attach(user)
  }

  async take(request: SlotRequest): Promise<string | undefined> {
    return this.#taking.take(request)
  }

  async promote(leaseId: string, streamId: string): Promise<boolean> {
    const { slots } = this.#member
    const before = slots.engineOf(streamId)
    const lease = slots.removeLease(leaseId)
    if (lease === undefined) return false
    slots.addStream(lease.containerId, streamId)
    // In one batch, and in this order: the slot is never free in between.
    const outcome = await this.#member.reportSlots(streamSlot(streamId), leaseSlot(leaseId))
    if (outcome === 'done' || (outcome === 'unavailable' && lease.expiresAt > this.#clock.now())) return true
    // This process was taken for dead, or may have been. Another process may have the slot.
    if (slots.engineOf(streamId) === lease.containerId && before !== lease.containerId) {
      slots.removeStream(streamId)
      if (before !== undefined) slots.addStream(before, streamId)
      void this.#member.reportSlots(streamSlot(streamId))
    }
    return false
  }

  async occupy(containerId: string, streamId: string): Promise<void> {
    const { slots } = this.#member
    const before = slots.engineOf(streamId)
    if (before !== undefined) slots.addPossibleEngines(streamSlot(streamId), [before])
    slots.addStream(containerId, streamId)
    await this.#member.reportSlots(streamSlot(streamId))
  }

  async releaseLease(leaseId: string): Promise<string | undefined> {
    const containerId = this.#member.slots.removeLease(leaseId)?.containerId
    if (containerId !== undefined) await this.#member.reportSlots(leaseSlot(leaseId))
    return containerId
  }

  async releaseStream(streamId: string): Promise<string | undefined> {
    const containerId = this.#member.slots.removeStream(streamId)
    if (containerId !== undefined) await this.#member.reportSlots(streamSlot(streamId))
    return containerId
  }

  async expire(now: number): Promise<readonly LeaseRecord[]> {
    const expired = this.#member.slots.removeExpired(now)
    await this.#member.reportSlots(...expired.map(({ leaseId }) => leaseSlot(leaseId)))
    return expired
  }

  /** Returns the slots of this process, and the engines that other processes have filled, as far as this process knows. */
  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#member.usage.current()
  }

  onUsageChanged(listener: UsageListener): () => void {
    return this.#member.usage.onChanged(listener)
  }

  /** No caller of this client waits any more: the next slot that becomes free is offered to another client of this process, or to another process. */
  leaveLine(clientId = ''): void {
    const { line } = this.#member
    if (!line.isWaiting) return
    line.left(clientId)
    if (!line.isWaiting) this.#member.ask(['leaveLine']).catch(() => {})
  }

  async claimEnd(streamId: string, retention: Retention, life = ''): Promise<boolean> {
    return this.#claimEnd(streamId, retention, life)
  }

  async claimEndWith(entry: JournalEntry, retention: Retention, life: string): Promise<boolean> {
    return this.#claimEnd(entry.streamId, retention, life, entry)
  }

  /** @param entry written in the same step */
  async #claimEnd(streamId: string, retention: Retention, life: string, entry?: JournalEntry): Promise<boolean> {
    const { ends, journal } = this.#member
    if (ends.isUnreported(streamId, retention, life)) return false
    const { retentionMs, max, now } = retention
    const since = ends.unclaimCount
    try {
      const time = this.#member.timeArgument(now)
      const claim = [time, streamId, life, String(retentionMs), String(max)]
      const call: OperationCall = entry ? ['claimEndWith', ...claim, ...argumentsOf(entry)] : ['claimEnd', ...claim]
      const [isFirst, generation] = (await this.#member.ask(call)) as [isFirst: unknown, generation: unknown]
      this.#member.noteGeneration(String(generation))
      // Redis may have lost a claim of this process, which is reported again now.
      const isUnreported = ends.isUnreported(streamId, retention, life)
      const isClaimed = Number(isFirst) === 1 && !isUnreported
      if (isClaimed) ends.addAccepted(streamId, retention, life, { now: this.#clock.now(), since })
      if (entry !== undefined && isClaimed) journal.adopt(entry)
      else if (entry !== undefined && isUnreported) void this.#withdraw(entry)
      return isClaimed
    } catch {
      const isClaimed = ends.claimWithoutRedis(streamId, retention, life, this.#clock.now())
      if (isClaimed) void this.#member.reportEnds()
      if (entry !== undefined) await (isClaimed ? this.append(entry) : this.#withdraw(entry))
      return isClaimed
    }
  }

  /** Redis may have written this entry, although this process did not claim the end. */
  async #withdraw({ streamId, life = '' }: JournalEntry): Promise<void> {
    const { journal } = this.#member
    if (!journal.has(streamId)) journal.settle(streamId, life)
    await this.#member.reportEntry(streamId)
  }

  async unclaimEnd(streamId: string): Promise<void> {
    this.#member.ends.unclaim(streamId)
    await this.#member.reportEnds()
  }

  async endedAmong(streamIds: readonly string[], retention: Retention): Promise<ReadonlyMap<string, string>> {
    const { ends } = this.#member
    const lives = new Map<string, string>()
    const time = this.#member.timeArgument(retention.now)
    const ask = async (ids: readonly string[]): Promise<void> => {
      const found = (await this.#member.ask(['endedAmong', time, String(retention.retentionMs), String(ids.length), ...ids])) as unknown[]
      for (const [place, streamId] of ids.entries()) {
        const text = String(found[place])
        if (text !== '') lives.set(streamId, text.slice(1))
      }
    }
    try {
      await Promise.all(chunksOf(streamIds, MAX_IDS).map(ask))
    } catch {
      return ends.among(streamIds, retention)
    }
    // Claims that Redis does not know yet are newer.
    return new Map([...lives, ...ends.unreportedAmong(streamIds, retention)])
  }

  async forgetEnded(retention: Retention): Promise<number> {
    const localCount = this.#member.ends.forget(retention)
    const time = this.#member.timeArgument(retention.now)
    try {
      return Number(await this.#member.ask(['forgetEnded', time, String(retention.retentionMs), String(retention.max)]))
    } catch {
      return localCount
    }
  }

  async append(entry: JournalEntry): Promise<void> {
    this.#member.journal.append(entry)
    await this.#member.reportEntry(entry.streamId)
  }

  async settle(streamId: string, life = ''): Promise<void> {
    this.#member.journal.settle(streamId, life)
    this.#member.ends.noteDelivered(streamId)
    await this.#member.reportEntry(streamId)
  }

  async recover(): Promise<readonly JournalEntry[]> {
    return this.#member.recover()
  }

  /** Shows the other members that this process lives, checks which of them are dead, and releases the slots of dead members. */
  async check(): Promise<void> {
    await this.#member.ask(['endedAmong', this.#member.timeArgument(this.#clock.now()), '0', '0'])
  }

  async renew(): Promise<void> {
    await this.#member.renew()
  }

  /**
   * Subscribes on a separate connection, a duplicate of the host's. It is made for the first listener and closed after the last. If that
   * fails, a warning is logged and no listener is called.
   */
  onSlotFreed(listener: (settledStreamId?: string) => void): () => void {
    const undo = this.#member.subscription.listen(listener)
    // The channel is known from the first answer on.
    void this.#member.join()
    return undo
  }

  /**
   * Leaves the fleet: slots are free at once, and other members may take over the journal entries that are left at once. Does not close the
   * host's connection. Close the client first: later calls of the store never reach Redis.
   */
  async close(): Promise<void> {
    await this.#member.leave()
  }

  /** Same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
