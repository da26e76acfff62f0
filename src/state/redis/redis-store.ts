import { StoreError } from '../../errors.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { harmless, type Logger, silentLogger } from '../../runtime/logger.ts'
import { SteadyClock } from '../../runtime/steady-clock.ts'
import { expectMethods, expectOptions, expectPositiveDuration, expectText, type NamesOf } from '../../validate.ts'
import type { EngineUsage, JournalEntry, LeaseRecord, Retention, SlotRequest, StateStore } from '../store.ts'
import { connectionOf } from './connection.ts'
import { Member } from './member.ts'
import { expectOneOf } from './one-of.ts'
import { APPEND, CLAIM_END, ENDED_AMONG, FORGET_ENDED, SETTLE, UNCLAIM_END } from './record-scripts.ts'
import { Recovery } from './recovery.ts'
import type { RedisClient } from './redis-client.ts'
import { SlotNews } from './slot-news.ts'
import { PUT_STREAM, RELEASE, TAKE } from './slot-scripts.ts'

/** What a {@link RedisStore} may be told. */
export interface RedisStoreOptions {
  /**
   * A connection of `ioredis` 5 or 6, or of `redis` (node-redis) 5 or 6, also to a cluster. It stays the host's, which connects and closes it.
   */
  client: RedisClient
  /** Which orchestrator this is about: proxies that go by the same name share its engines. @default 'default' */
  name?: string | undefined
  /** How long a call may take, milliseconds. @default 1_000 */
  timeoutMs?: number | undefined
  /**
   * How long a process that says nothing more is taken to live, milliseconds: after that its streams' slots are free, and others end its
   * streams. A process says so three times as often. @default 15_000
   */
  slotTtlMs?: number | undefined
  /**
   * What to do when a slot is wanted while Redis is away. `refuse`: nobody gets one, so that no engine ever holds too many. `local`: go by the
   * slots of this proxy and the orchestrator's list alone. @default 'refuse'
   */
  onStoreFailure?: 'refuse' | 'local' | undefined
  /** For time-outs, and for all times with `time: 'proxy'`: the client's clock, if that has one of its own. @default the system's */
  clock?: Clock | undefined
  /**
   * By whose clock leases expire and processes die: the Redis server's, which is one for all, or each proxy's own, for tests on virtual time.
   * @default 'redis'
   */
  time?: 'redis' | 'proxy' | undefined
  /** Told once when Redis goes away, and once when it is back. @default none */
  logger?: Logger | undefined
}

const OPTION_NAMES: NamesOf<RedisStoreOptions> = {
  client: true,
  name: true,
  timeoutMs: true,
  slotTtlMs: true,
  onStoreFailure: true,
  clock: true,
  time: true,
  logger: true,
}

/** Candidates asked for by one script. */
const MOST_CANDIDATES = 64
const DEFAULTS = { name: 'default', timeoutMs: 1_000, slotTtlMs: 15_000 }
const LONGEST_NAME = 200
/** A caller whose time is further from the time here has another clock, like that of a test. */
const SAME_TIME_MS = 1_000

/**
 * One allocation state for a fleet of proxies, in Redis 7 or Valkey: no engine holds more than its limit of the whole fleet's streams, an end
 * is sent once however many proxies say so, and what a proxy leaves behind when it dies is ended by the others.
 *
 * Each instance is one member of the fleet. Looking and taking are one script, one round trip. No call takes longer than `timeoutMs`, or
 * fails because Redis is away, but `take`, by default. What was done meanwhile is brought up to date when it is back. A Redis that was
 * restarted without its data gives nothing out until all that were there have put back what they hold, or `slotTtlMs` has passed.
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
  readonly #recovery: Recovery
  readonly #news: SlotNews
  readonly #clock: Clock
  readonly #isLocalAllowed: boolean
  /** A third of `slotTtlMs`. */
  readonly renewIntervalMs: number

  /** @throws {@link InvalidArgumentError} naming the option that is wrong */
  constructor(options: RedisStoreOptions) {
    expectOptions(options, OPTION_NAMES)
    const { name = DEFAULTS.name, timeoutMs = DEFAULTS.timeoutMs, slotTtlMs = DEFAULTS.slotTtlMs, time = 'redis' } = options
    const { onStoreFailure = 'refuse', clock: hostClock = systemClock } = options
    const connection = connectionOf(options.client)
    if (options.logger !== undefined) expectMethods('logger', options.logger, ['debug', 'info', 'warn', 'error'])
    expectMethods('clock', hostClock, ['now', 'setTimeout'])
    const clock = SteadyClock.of(hostClock)
    const logger = harmless(options.logger ?? silentLogger)
    this.#clock = clock
    this.#isLocalAllowed = expectOneOf('onStoreFailure', onStoreFailure, ['refuse', 'local']) === 'local'
    this.#member = new Member({
      connection,
      clock,
      logger,
      name: expectText('name', name, LONGEST_NAME),
      timeoutMs: expectPositiveDuration('timeoutMs', timeoutMs),
      slotTtlMs: expectPositiveDuration('slotTtlMs', slotTtlMs),
      isTimeOurs: expectOneOf('time', time, ['redis', 'proxy']) === 'proxy',
    })
    this.renewIntervalMs = Math.max(1, Math.floor(slotTtlMs / 3))
    this.#recovery = new Recovery(this.#member)
    this.#news = new SlotNews({ connection, logger, channel: this.#member.keys.channel, ownId: this.#member.id })
  }

  async take(request: SlotRequest): Promise<string | undefined> {
    const { slots } = this.#member
    const candidates = Array.from(request.candidates, ({ containerId, reportedStreamIds }) => ({ containerId, reportedStreamIds }))
    const { leaseId, limit, now, expiresAt } = request
    const head = [this.#isLocalAllowed ? '0' : '1', leaseId, String(expiresAt - now), String(limit)]
    return slots.during([`l:${leaseId}`], async () => {
      let from = 0
      try {
        for (; from < candidates.length; from += MOST_CANDIDATES) {
          const asked = candidates.slice(from, from + MOST_CANDIDATES)
          const keys = asked.map(({ containerId }) => this.#member.keys.engine(containerId))
          const reported = asked.flatMap(({ reportedStreamIds }) => [String(reportedStreamIds.length), ...reportedStreamIds])
          const place = Number(await this.#member.ask({ script: TAKE, keys, args: [...head, String(from), ...reported], now }))
          const containerId = candidates[place]?.containerId
          if (containerId !== undefined) {
            slots.hold(request, containerId, { isUnwritten: false })
            return containerId
          }
          if (place === -2) throw new StoreError('Redis lost its data, and not all proxies have put back theirs', { reason: 'unavailable' })
        }
        return undefined
      } catch (error) {
        // It may have been taken, or may yet be: the next renewal looks on these engines, and gives back what nobody has.
        for (const { containerId } of candidates.slice(from, from + MOST_CANDIDATES)) slots.touch(containerId)
        if (!this.#isLocalAllowed) throw error
        return slots.takeAlone(request, candidates)
      }
    })
  }

  async promote(leaseId: string, streamId: string): Promise<boolean> {
    const { slots } = this.#member
    const before = slots.engineOf(streamId)
    const isUnwritten = slots.isUnwritten(leaseId)
    const lease = slots.dropLease(leaseId)
    if (lease === undefined) return false
    slots.putStream(lease.containerId, streamId)
    // A lease that Redis never heard of is no lease there; its slot is told like that of a stream that simply runs.
    const answer = await this.#putStream(lease.containerId, streamId, before, isUnwritten ? '' : leaseId)
    if (answer !== 0) return true
    // It expired there, and its slot may be another's by now.
    if (slots.engineOf(streamId) === lease.containerId && before !== lease.containerId) {
      slots.dropStream(streamId)
      if (before !== undefined) slots.putStream(before, streamId)
    }
    return false
  }

  async occupy(containerId: string, streamId: string): Promise<void> {
    const before = this.#member.slots.engineOf(streamId)
    this.#member.slots.putStream(containerId, streamId)
    await this.#putStream(containerId, streamId, before, '')
  }

  async releaseLease(leaseId: string): Promise<string | undefined> {
    const containerId = this.#member.slots.dropLease(leaseId)?.containerId
    if (containerId !== undefined) await this.#release([[containerId, `l:${leaseId}`]])
    return containerId
  }

  async releaseStream(streamId: string): Promise<string | undefined> {
    const containerId = this.#member.slots.dropStream(streamId)
    if (containerId !== undefined) await this.#release([[containerId, `s:${streamId}`]])
    return containerId
  }

  async expire(now: number): Promise<readonly LeaseRecord[]> {
    const due = this.#member.slots.dropDue(now)
    if (due.length > 0) await this.#release(due.map(({ containerId, leaseId }) => [containerId, `l:${leaseId}`]))
    return due
  }

  /** Of this process alone. */
  usage(): ReadonlyMap<string, EngineUsage> {
    return this.#member.slots.memory.usage()
  }

  async claimEnd(streamId: string, retention: Retention, life = ''): Promise<boolean> {
    const { ends, keys } = this.#member
    if (ends.isUntold(streamId, retention, life)) return false
    const { retentionMs, max, now } = retention
    try {
      const args = [this.#timeOf(retention), streamId, life, String(retentionMs), String(max), this.#member.nameCall()]
      const call = { script: CLAIM_END, keys: [keys.ended, keys.lastCall(`s:${streamId}`), keys.lives], args, now }
      const isClaimed = Number(await this.#member.ask(call)) === 1
      if (isClaimed) ends.claimed(streamId, retention, life)
      return isClaimed
    } catch {
      return ends.claimAlone(streamId, retention, life)
    }
  }

  async unclaimEnd(streamId: string): Promise<void> {
    const untold = this.#member.ends.unclaim(streamId)
    const { ended, lives } = this.#member.keys
    const answer = await this.#member.tell({ script: UNCLAIM_END, keys: [ended, lives], args: [streamId] })
    if (answer === undefined) untold()
  }

  async endedAmong(streamIds: readonly string[], retention: Retention): Promise<ReadonlyMap<string, string>> {
    if (streamIds.length === 0) return new Map()
    const { ends, keys } = this.#member
    const args = [this.#timeOf(retention), String(retention.retentionMs), ...streamIds]
    const found = await this.#member.tell({ script: ENDED_AMONG, keys: [keys.ended, keys.lives], args, now: retention.now })
    if (!Array.isArray(found)) return ends.among(streamIds, retention)
    const lives = new Map<string, string>()
    for (const [place, streamId] of streamIds.entries()) {
      const text = String(found[place] ?? '')
      if (text !== '') lives.set(streamId, text.slice(1))
    }
    // What Redis has not been told yet is newer.
    return new Map([...lives, ...ends.untoldAmong(streamIds, retention)])
  }

  async forgetEnded(retention: Retention): Promise<number> {
    const { ends, keys } = this.#member
    const forgottenHere = ends.forget(retention)
    const args = [this.#timeOf(retention), String(retention.retentionMs), String(retention.max)]
    const forgotten = await this.#member.tell({ script: FORGET_ENDED, keys: [keys.ended, keys.lives], args, now: retention.now })
    return forgotten === undefined ? forgottenHere : Number(forgotten)
  }

  async append(entry: JournalEntry): Promise<void> {
    const { journal, keys } = this.#member
    const { text, written } = journal.append(entry)
    journal.attempted(entry.streamId)
    const answer = await this.#member.tell({ script: APPEND, keys: [keys.journal], args: [entry.streamId, text] })
    if (answer !== undefined) written()
  }

  async settle(streamId: string): Promise<void> {
    const settled = this.#member.journal.settle(streamId)
    const { channel } = this.#member.keys
    const answer = await this.#member.tell({ script: SETTLE, keys: [this.#member.keys.journal], args: [channel, streamId] })
    if (answer !== undefined) settled()
  }

  async recover(): Promise<readonly JournalEntry[]> {
    return this.#recovery.recover()
  }

  /** Says that this process lives, and makes what Redis knows of it and what is known here the same. */
  async renew(): Promise<void> {
    await this.#member.renew()
  }

  /** Listens on a connection of its own, made for the first listener and closed with the last. Where that fails, nothing is told. */
  onSlotFreed(listener: (settledStreamId?: string) => void): () => void {
    return this.#news.listen(listener)
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

  /** Nothing where it is the time here: then that of the server counts, which is one for all. Whoever lives in another time goes by that. */
  #timeOf({ now }: Retention): string {
    return Math.abs(now - this.#clock.now()) < SAME_TIME_MS ? '' : String(now)
  }

  /** 1: done; 0: there is no such lease; `undefined`: Redis is away, and hears of it later. */
  async #putStream(containerId: string, streamId: string, before: string | undefined, leaseId: string): Promise<number | undefined> {
    const { keys, slots } = this.#member
    const fields = leaseId === '' ? [`s:${streamId}`] : [`s:${streamId}`, `l:${leaseId}`]
    const call = {
      script: PUT_STREAM,
      keys: [keys.engine(containerId), keys.engine(before ?? containerId)],
      args: [keys.channel, streamId, leaseId],
      now: this.#clock.now(),
    }
    const answer = await slots.during(fields, () => this.#member.tell(call))
    return answer === undefined ? undefined : Number(answer)
  }

  async #release(fields: readonly (readonly [containerId: string, field: string])[]): Promise<void> {
    const { keys, slots } = this.#member
    const args = [keys.channel, ...fields.map(([, field]) => field)]
    const engines = fields.map(([containerId]) => keys.engine(containerId))
    await slots.during(
      fields.map(([, field]) => field),
      () => this.#member.tell({ script: RELEASE, keys: engines, args }),
    )
  }
}
