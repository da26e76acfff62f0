import { StoreError } from '../../errors.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { guardLogger, type Logger } from '../../runtime/logger.ts'
import { SteadyClock } from '../../runtime/steady-clock.ts'
import { expectMethods, expectOneOf, expectOptions, expectPositiveDuration, expectText, type NamesOf } from '../../runtime/validate.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotCandidate, SlotRequest, StateStore, StoreUser } from '../store.ts'
import { leaseSlot, streamSlot } from './local-slots.ts'
import { Member } from './member.ts'
import { type Connection, connectionOf, type RedisClient } from './redis-client.ts'

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
/** Candidates in one script. */
const MAX_CANDIDATES = 64
/** Ids that one script looks up. */
const MAX_IDS = 1_000
/** The answer of `takeSlot` during a hold. */
const ON_HOLD = -2

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
  readonly #connection: Connection
  readonly #member: Member
  readonly #clock: Clock
  readonly #slotTtlMs: number
  readonly #mayTakeWithoutRedis: boolean
  /** A third of `slotTtlMs`, milliseconds. */
  readonly renewIntervalMs: number

  /** @throws {@link InvalidArgumentError} which names the wrong option */
  constructor(options: RedisStoreOptions) {
    expectOptions(options, OPTION_NAMES)
    const { name, timeoutMs = DEFAULTS.timeoutMs, slotTtlMs = DEFAULTS.slotTtlMs } = options
    const { onStoreFailure = 'refuse', clock: hostClock = systemClock, logger } = options
    this.#connection = connectionOf(options.client)
    if (logger !== undefined) expectMethods('logger', logger, ['debug', 'info', 'warn', 'error'])
    expectMethods('clock', hostClock, ['now', 'setTimeout'])
    expectOneOf('onStoreFailure', onStoreFailure, ['refuse', 'local'])
    this.#clock = SteadyClock.of(hostClock)
    this.#slotTtlMs = expectPositiveDuration('slotTtlMs', slotTtlMs)
    this.#mayTakeWithoutRedis = onStoreFailure === 'local'
    this.renewIntervalMs = Math.max(1, Math.floor(this.#slotTtlMs / 3))
    this.#member = new Member({
      connection: this.#connection,
      clock: this.#clock,
      isSystemTime: hostClock === systemClock,
      logger: logger && guardLogger(logger),
      name: name === undefined ? undefined : expectText('name', name, MAX_NAME_LENGTH),
      timeoutMs: expectPositiveDuration('timeoutMs', timeoutMs),
      slotTtlMs: this.#slotTtlMs,
      renewIntervalMs: this.renewIntervalMs,
    })
  }

  /** Takes the name of the fleet and the logger from the client, unless the options set them. The client calls this. */
  attach(user: StoreUser): void {
    this.#member.attach(user)
  }

  async take(request: SlotRequest): Promise<string | undefined> {
    const { slots } = this.#member
    const candidates = Array.from(request.candidates, ({ containerId, reportedStreamIds }) => ({ containerId, reportedStreamIds }))
    const since = this.#clock.now()
    for (const asked of chunksOf(candidates, MAX_CANDIDATES)) {
      let wasSent = false
      const onSent = (): void => {
        wasSent = true
      }
      let answer: number
      try {
        answer = Number(await this.#member.ask(['takeSlot', ...this.#slotArguments(request, asked)], { since, onSent }))
      } catch (error) {
        return this.#takeWithoutAnswer(request, candidates, wasSent ? asked : [], error)
      }
      const containerId = asked[answer]?.containerId
      if (containerId !== undefined) {
        slots.addGranted(request, containerId)
        return containerId
      }
      if (answer === ON_HOLD) {
        const hold = `grants no slot for ${this.#slotTtlMs} ms (slotTtlMs), in which every proxy reports the slots that it holds`
        const message = `Redis at ${this.#connection.address()} was restarted, lost data or is new: it ${hold}`
        throw new StoreError(message, { reason: 'unavailable' })
      }
    }
    return undefined
  }

  #slotArguments({ leaseId, limit }: SlotRequest, asked: readonly SlotCandidate[]): string[] {
    const engines = asked.flatMap(({ containerId, reportedStreamIds: ids }) => [containerId, String(ids.length), ...ids])
    return [leaseSlot(leaseId), this.#mayTakeWithoutRedis ? '0' : '1', String(limit), String(asked.length), ...engines]
  }

  /** @param sent candidates of a script that Redis may have run: if the lease has a slot on one of them, that slot is released */
  #takeWithoutAnswer(
    request: SlotRequest,
    candidates: readonly SlotCandidate[],
    sent: readonly SlotCandidate[],
    error: unknown,
  ): string | undefined {
    const { slots } = this.#member
    const slot = leaseSlot(request.leaseId)
    const taken = this.#mayTakeWithoutRedis ? slots.takeWithoutRedis(request, candidates) : undefined
    if (sent.length > 0) {
      const engines = sent.map(({ containerId }) => containerId)
      slots.addPossibleEngines(slot, engines)
    }
    if (sent.length > 0 || taken !== undefined) void this.#member.reportSlots(slot)
    if (!this.#mayTakeWithoutRedis) throw error
    return taken
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

  /** Returns the slots of this process alone. */
  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#member.slots.usage()
  }

  async claimEnd(streamId: string, retention: Retention, life = ''): Promise<boolean> {
    const { ends } = this.#member
    if (ends.isUnreported(streamId, retention, life)) return false
    const { retentionMs, max, now } = retention
    const since = ends.unclaimCount
    try {
      const time = this.#member.timeArgument(now)
      const answer = await this.#member.ask(['claimEnd', time, streamId, life, String(retentionMs), String(max)])
      const [isFirst, generation] = answer as [isFirst: unknown, generation: unknown]
      this.#member.noteGeneration(String(generation))
      // Redis may have lost a claim of this process, which is reported again now.
      const isClaimed = Number(isFirst) === 1 && !ends.isUnreported(streamId, retention, life)
      if (isClaimed) ends.addAccepted(streamId, retention, life, { now: this.#clock.now(), since })
      return isClaimed
    } catch {
      const isClaimed = ends.claimWithoutRedis(streamId, retention, life, this.#clock.now())
      if (isClaimed) void this.#member.reportEnds()
      return isClaimed
    }
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

function chunksOf<Item>(items: readonly Item[], size: number): (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size))
}
