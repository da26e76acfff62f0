import { StoreError } from '../../errors.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { harmless, type Logger } from '../../runtime/logger.ts'
import { SteadyClock } from '../../runtime/steady-clock.ts'
import { expectMethods, expectOptions, expectPositiveDuration, expectText, type NamesOf } from '../../runtime/validate.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore, StoreUser } from '../store.ts'
import { connectionOf } from './connection.ts'
import { leaseSlot, SlotNews, streamSlot } from './local-slots.ts'
import { Member } from './member.ts'
import type { RedisClient } from './redis-client.ts'
import { expectOneOf } from './redis-client.ts'
import type { Trace } from './write-queue.ts'

/** What a {@link RedisStore} may be told. */
export interface RedisStoreOptions {
  /**
   * A connection of `ioredis` 5 or 6, or of `redis` (node-redis) 5 or 6, also to a cluster. It stays the host's, which connects and closes it.
   * The store listens to its `error` event, to say why Redis does not answer.
   */
  client: RedisClient
  /**
   * Which fleet this store belongs to: proxies whose stores have the same name share one orchestrator's engines. Needed where proxies reach the
   * same orchestrator under different addresses. @default the address of the client's `baseUrl` without its scheme and a final `/v1`, like `orchestrator:8000`
   */
  name?: string | undefined
  /** How long a call may take, milliseconds. @default 1_000 */
  timeoutMs?: number | undefined
  /**
   * How long a process may be silent, milliseconds, while Redis answers the others: after that these free its slots and end its streams. A
   * process reports three times as often. After a restart, a failover or a loss of Redis's data no new slot is given out for as long. The same for
   * all proxies of a fleet. @default 15_000
   */
  slotTtlMs?: number | undefined
  /**
   * What to do when a slot is wanted while Redis is away. `refuse`: nobody gets one, so that no engine ever holds too many. `local`: go by the
   * slots of this proxy and the orchestrator's list alone. @default 'refuse'
   */
  onStoreFailure?: 'refuse' | 'local' | undefined
  /** For all times: the client's clock, if that has one of its own. @default the system's */
  clock?: Clock | undefined
  /** Gets one `error` line when Redis does not answer, and one `info` line when it has not failed for 5 s. @default the client's logger */
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

/** Candidates asked for by one script. */
const MOST_CANDIDATES = 64
const OPENING =
  'Redis was started anew, or lost data: no slot is given out until all proxies have had the time to report theirs (slotTtlMs)'
/** Ids that one script looks up. */
const MOST_IDS = 1_000
const DEFAULTS = { timeoutMs: 1_000, slotTtlMs: 15_000 }
const LONGEST_NAME = 200

/**
 * One allocation state for a fleet of proxies, in Redis 7 or Valkey: no engine holds more than its limit of the whole fleet's streams, an end
 * is sent once however many proxies say so, and what a proxy leaves behind when it dies is ended by the others.
 *
 * Each instance is one member of the fleet. Looking and taking are one script, one round trip. No call takes longer than `timeoutMs`, or
 * fails because Redis is away, but `take`, by default. What was done meanwhile is reported when Redis answers again.
 *
 * No outage of Redis ends a stream or takes a slot from a proxy that lives: a proxy counts as dead only when it was silent for `slotTtlMs` while
 * Redis answered. A Redis that was restarted, failed over, or lost its data gives out no slot for `slotTtlMs`, since proxies may hold slots that it
 * does not know of; so does one that is used for the first time, unless it can show that it lost nothing.
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
  readonly #news: SlotNews
  readonly #clock: Clock
  readonly #isLocalAllowed: boolean
  /** A third of `slotTtlMs`. */
  readonly renewIntervalMs: number

  /** @throws {@link InvalidArgumentError} naming the option that is wrong */
  constructor(options: RedisStoreOptions) {
    expectOptions(options, OPTION_NAMES)
    const { name, timeoutMs = DEFAULTS.timeoutMs, slotTtlMs = DEFAULTS.slotTtlMs } = options
    const { onStoreFailure = 'refuse', clock: hostClock = systemClock, logger } = options
    const connection = connectionOf(options.client)
    if (logger !== undefined) expectMethods('logger', logger, ['debug', 'info', 'warn', 'error'])
    expectMethods('clock', hostClock, ['now', 'setTimeout'])
    const clock = SteadyClock.of(hostClock)
    this.#clock = clock
    this.#isLocalAllowed = expectOneOf('onStoreFailure', onStoreFailure, ['refuse', 'local']) === 'local'
    const ttlMs = expectPositiveDuration('slotTtlMs', slotTtlMs)
    this.renewIntervalMs = Math.max(1, Math.floor(ttlMs / 3))
    this.#member = new Member({
      connection,
      clock,
      isSystemTime: hostClock === systemClock,
      logger: logger && harmless(logger),
      name: name === undefined ? undefined : expectText('name', name, LONGEST_NAME),
      timeoutMs: expectPositiveDuration('timeoutMs', timeoutMs),
      slotTtlMs: ttlMs,
      renewIntervalMs: this.renewIntervalMs,
      onChannel: (channel) => this.#news.use(channel),
    })
    this.#news = new SlotNews({ connection, logger: () => this.#member.logger, isOwn: (id) => id === this.#member.id })
  }

  /** Takes the fleet's name and the logger from the client, where the options give none. Called by the client. */
  attach(user: StoreUser): void {
    this.#member.attach(user)
  }

  async take(request: SlotRequest): Promise<string | undefined> {
    const { slots } = this.#member
    const candidates = Array.from(request.candidates, ({ containerId, reportedStreamIds }) => ({ containerId, reportedStreamIds }))
    const trace: Trace = { hasLeft: false }
    let asked: typeof candidates = []
    const ask = async (): Promise<number> => {
      const listed = asked.flatMap(({ containerId, reportedStreamIds: ids }) => [containerId, String(ids.length), ...ids])
      const mustWait = this.#isLocalAllowed ? '0' : '1'
      const args = ['K', leaseSlot(request.leaseId), mustWait, String(request.limit), String(asked.length), ...listed]
      trace.hasLeft = false
      const answer = Number(await this.#member.ask(args, { since, trace }))
      trace.hasLeft = false
      return answer
    }
    const since = this.#clock.now()
    try {
      for (let from = 0; from < candidates.length; from += MOST_CANDIDATES) {
        asked = candidates.slice(from, from + MOST_CANDIDATES)
        const answer = await ask()
        const containerId = asked[answer]?.containerId
        if (containerId !== undefined) {
          slots.hold(request, containerId)
          return containerId
        }
        if (answer === -2) throw new StoreError(OPENING, { reason: 'unavailable' })
      }
      return undefined
    } catch (error) {
      const taken = this.#isLocalAllowed ? slots.takeAlone(request, candidates) : undefined
      if (trace.hasLeft) {
        // It may have been taken, or may yet be.
        const engines = asked.map(({ containerId }) => containerId)
        slots.mayBeOn(leaseSlot(request.leaseId), engines)
      }
      if (trace.hasLeft || taken !== undefined) void this.#member.moved(leaseSlot(request.leaseId))
      if (!this.#isLocalAllowed) throw error
      return taken
    }
  }

  async promote(leaseId: string, streamId: string): Promise<boolean> {
    const { slots } = this.#member
    const before = slots.engineOf(streamId)
    const lease = slots.dropLease(leaseId)
    if (lease === undefined) return false
    slots.putStream(lease.containerId, streamId)
    // In one batch, and in this order: the slot is never free in between.
    const outcome = await this.#member.moved(streamSlot(streamId), leaseSlot(leaseId))
    if (outcome === 'done' || (outcome === 'away' && lease.expiresAt > this.#clock.now())) return true
    // This process was taken for dead, or may have been, and the slot may be another's by now.
    if (slots.engineOf(streamId) === lease.containerId && before !== lease.containerId) {
      slots.dropStream(streamId)
      if (before !== undefined) slots.putStream(before, streamId)
      void this.#member.moved(streamSlot(streamId))
    }
    return false
  }

  async occupy(containerId: string, streamId: string): Promise<void> {
    const { slots } = this.#member
    const before = slots.engineOf(streamId)
    if (before !== undefined) slots.mayBeOn(streamSlot(streamId), [before])
    slots.putStream(containerId, streamId)
    await this.#member.moved(streamSlot(streamId))
  }

  async releaseLease(leaseId: string): Promise<string | undefined> {
    const containerId = this.#member.slots.dropLease(leaseId)?.containerId
    if (containerId !== undefined) await this.#member.moved(leaseSlot(leaseId))
    return containerId
  }

  async releaseStream(streamId: string): Promise<string | undefined> {
    const containerId = this.#member.slots.dropStream(streamId)
    if (containerId !== undefined) await this.#member.moved(streamSlot(streamId))
    return containerId
  }

  async expire(now: number): Promise<readonly LeaseRecord[]> {
    const due = this.#member.slots.dropDue(now)
    await this.#member.moved(...due.map(({ leaseId }) => leaseSlot(leaseId)))
    return due
  }

  /** Of this process alone. */
  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#member.slots.memory.usage()
  }

  async claimEnd(streamId: string, retention: Retention, life = ''): Promise<boolean> {
    const { ends } = this.#member
    if (ends.isUntold(streamId, retention, life)) return false
    const { retentionMs, max, now } = retention
    const since = ends.changeCount
    try {
      const answer = await this.#member.ask(['C', this.#member.timeOf(now), streamId, life, String(retentionMs), String(max)])
      const [isFirst, generation] = answer as [isFirst: unknown, generation: unknown]
      this.#member.sawEnds(String(generation))
      // Redis lost it, and has still to be told.
      const isKnown = ends.isUntold(streamId, retention, life)
      const isClaimed = Number(isFirst) === 1 && !isKnown
      if (isClaimed) ends.claimed(streamId, retention, life, { now: this.#clock.now(), since })
      return isClaimed
    } catch {
      const isClaimed = ends.claimAlone(streamId, retention, life, this.#clock.now())
      if (isClaimed) void this.#member.told()
      return isClaimed
    }
  }

  async unclaimEnd(streamId: string): Promise<void> {
    this.#member.ends.unclaim(streamId)
    await this.#member.told()
  }

  async endedAmong(streamIds: readonly string[], retention: Retention): Promise<ReadonlyMap<string, string>> {
    const { ends } = this.#member
    const lives = new Map<string, string>()
    const time = this.#member.timeOf(retention.now)
    const ask = async (ids: readonly string[]): Promise<void> => {
      const found = (await this.#member.ask(['E', time, String(retention.retentionMs), String(ids.length), ...ids])) as unknown[]
      for (const [place, streamId] of ids.entries()) {
        const text = String(found[place])
        if (text !== '') lives.set(streamId, text.slice(1))
      }
    }
    const parts = Array.from({ length: Math.ceil(streamIds.length / MOST_IDS) }, (_, part) => streamIds.slice(part * MOST_IDS))
    try {
      await Promise.all(parts.map((ids) => ask(ids.slice(0, MOST_IDS))))
    } catch {
      return ends.among(streamIds, retention)
    }
    // What Redis has not been told yet is newer.
    return new Map([...lives, ...ends.untoldAmong(streamIds, retention)])
  }

  async forgetEnded(retention: Retention): Promise<number> {
    const forgottenHere = this.#member.ends.forget(retention)
    const args = [this.#member.timeOf(retention.now), String(retention.retentionMs), String(retention.max)]
    try {
      return Number(await this.#member.ask(['F', ...args]))
    } catch {
      return forgottenHere
    }
  }

  async append(entry: JournalEntry): Promise<void> {
    this.#member.journal.append(entry)
    await this.#member.written(entry.streamId)
  }

  async settle(streamId: string, life = ''): Promise<void> {
    this.#member.journal.settle(streamId, life)
    this.#member.ends.delivered(streamId)
    await this.#member.written(streamId)
  }

  async recover(): Promise<readonly JournalEntry[]> {
    return this.#member.recover()
  }

  /** Says that this process lives, looks whether the others do, and frees the slots of those that died. */
  async renew(): Promise<void> {
    await this.#member.renew()
  }

  /** Listens on a connection of its own, made for the first listener and closed with the last. Where that fails, nothing is told. */
  onSlotFreed(listener: (settledStreamId?: string) => void): () => void {
    const undo = this.#news.listen(listener)
    // The channel is known from the first answer on.
    void this.#member.join()
    return undo
  }

  /**
   * Leaves the fleet: slots go back at once, and entries of the journal that are left are open to the others at once. Closes nothing of the
   * host's. What is asked of the store later is remembered here alone.
   */
  async close(): Promise<void> {
    this.#news.close()
    await this.#member.leave()
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
