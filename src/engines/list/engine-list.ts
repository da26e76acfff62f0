import { AuthenticationError, CircuitOpenError, classifyFailure, OrchestratorError } from '../../errors.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import { pause, waitUnlessAborted } from '../../runtime/abort.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { RetryParts } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import { Freshness } from './freshness.ts'
import type { CallerOptions, GetListOptions } from './get-options.ts'
import type { ListCache } from './list-cache.ts'
import { Refresh, slowSignal } from './refresh.ts'
import type { EndedIds } from './snapshot.ts'
import { type EngineSnapshot, supersedes } from './snapshot.ts'

/** Dependencies and options of {@link EngineList}. */
export interface EngineListParts extends RetryParts {
  api: Pick<OrchestratorApi, 'listEngines'>
  cache: ListCache
  sequence: Sequence
  endedIds: EndedIds
  counters: Counters
  emitter: Emitter
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Milliseconds. */
  cacheTtlMs: number
  /** Milliseconds. */
  staleIfErrorMs: number
  /** Milliseconds. */
  refreshWaitMs: number
}

const READING = 'Reading the engine list'
const READING_IN_TIME = 'Reading the engine list in time'

/** The refresh after the one that is under way, for callers that need a list requested after their call. */
interface NextRefresh {
  /** The sequence number at the last of these calls. */
  lastCallAt: number
  readonly started: Promise<Refresh | EngineSnapshot>
}

/**
 * The engine list, which all parts of the client share. Callers that need a list at the same time share one request. A list is kept while
 * it is fresh, and served old while the orchestrator fails or is slow. The Go client requested a list for each viewer and each engine: 200
 * viewers made 20,400 requests.
 */
export class EngineList {
  readonly #parts: EngineListParts
  readonly #freshness: Freshness
  #last: EngineSnapshot | undefined
  #failure: unknown
  #refresh: Refresh | undefined
  #nextRefresh: NextRefresh | undefined
  /** A read of a cache that answers with a promise. All callers share it. */
  #cacheRead: { readonly list: Promise<EngineSnapshot | undefined>; readonly slow: () => Promise<void> } | undefined
  readonly #listeners = new Set<(snapshot: EngineSnapshot) => void>()

  constructor(parts: EngineListParts) {
    this.#parts = parts
    this.#freshness = new Freshness(parts)
  }

  /** The newest list, however old. */
  get last(): EngineSnapshot | undefined {
    return this.#last
  }

  /** The error of the last request for a list; `undefined` if a list has arrived since. */
  get failure(): unknown {
    return this.#failure
  }

  /** Whether a caller waits for a list now. */
  get isBusy(): boolean {
    return this.#refresh !== undefined || this.#cacheRead !== undefined || this.#nextRefresh !== undefined
  }

  /** Whether this list would be served without a request. */
  isFresh(snapshot: EngineSnapshot): boolean {
    return this.#freshness.isFresh(snapshot)
  }

  /** Calls `listener` with each newer list, before any caller of {@link get} receives it. Returns a function that unsubscribes. */
  onRefresh(listener: (snapshot: EngineSnapshot) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Accepts a pushed list, unless the newest list is newer. */
  offer(snapshot: EngineSnapshot): void {
    if (!this.#accept(snapshot)) return
    this.#parts.outages.works(READING)
    this.#parts.emitter.to('engines:refreshed')?.({ engineCount: snapshot.engines.length, durationMs: 0 })
  }

  /** See {@link Freshness.expectPush}. */
  expectPush(time: number): void {
    this.#freshness.expectPush(time)
  }

  /**
   * A list that meets the options; from memory or the cache if possible.
   *
   * @throws the refresh's error, if no old list may be served instead; the signal's reason, if it aborts first
   */
  get(options: GetListOptions = {}): Promise<EngineSnapshot> {
    const found = this.getNow(options)
    return found instanceof Promise ? found : Promise.resolve(found)
  }

  /** As {@link get}. Returns the list itself if it need not be waited for. A failure is always a rejection. */
  getNow(options: GetListOptions = {}): MaybePromise<EngineSnapshot> {
    const { signal, fresh, newerThan } = options
    if (signal?.aborted) return Promise.reject(signal.reason)
    const found = fresh === true || newerThan !== undefined ? this.#get(options) : (this.#takeAtHand() ?? this.#get(options))
    return found instanceof Promise ? waitUnlessAborted(found, signal) : found
  }

  /** The last list, if no read is under way and the cache need not be read either, because it can hold no other list. */
  #takeAtHand(): EngineSnapshot | undefined {
    const { cache, counters } = this.#parts
    const last = this.#last
    if (last === undefined || this.#refresh !== undefined || this.#cacheRead !== undefined) return undefined
    if (!(cache.isPrivate ? this.#freshness.isFresh(last) : this.#freshness.isCoveredByPushes(last))) return undefined
    counters.cacheHits += 1
    return last
  }

  /** Serves, in this order: the list that the options require; the refresh or cache read under way; the last list; the cache; a new refresh. */
  #get({ fresh = false, newerThan, orPushed = false, patienceMs, allowStale }: GetListOptions): MaybePromise<EngineSnapshot> {
    const caller: CallerOptions = { patienceMs, allowStale }
    if (newerThan !== undefined) return orPushed ? this.#pushedOrRequestedAfter(newerThan) : this.#requestedAfter(newerThan)
    if (fresh) return this.#requestedAfterThisCall(caller)
    const { clock, counters, cache, refreshWaitMs } = this.#parts
    if (this.#refresh !== undefined) {
      counters.cacheCoalesced += 1
      return this.#resultOrOld(this.#refresh, caller)
    }
    if (this.#cacheRead === undefined) {
      const cached = cache.get()
      if (!(cached instanceof Promise)) return this.#serve(cached, caller)
      const list = cached.finally(() => (this.#cacheRead = undefined))
      this.#cacheRead = { list, slow: slowSignal(clock, list, refreshWaitMs) }
    }
    const { list, slow } = this.#cacheRead
    return this.#unlessSlow(
      list.then((cached) => this.#serve(cached, caller)),
      slow,
      caller,
    )
  }

  /**
   * Serves a caller after the cache was read: the cached list or a newer one if it is fresh, else a refresh.
   *
   * @param cached `undefined`: the cache has no list. A host may have deleted it, so the last list is not served either
   */
  #serve(cached: EngineSnapshot | undefined, caller: CallerOptions): MaybePromise<EngineSnapshot> {
    const { counters } = this.#parts
    if (cached !== undefined && cached.receivedAt >= (this.#last?.receivedAt ?? Number.NEGATIVE_INFINITY)) this.#accept(cached)
    const candidate = cached === undefined ? undefined : this.#last
    if (candidate !== undefined && this.#freshness.isFresh(candidate)) {
      counters.cacheHits += 1
      return candidate
    }
    if (this.#refresh !== undefined) counters.cacheCoalesced += 1
    return this.#resultOrOld(this.#refresh ?? this.#startRefresh(), caller)
  }

  /** A list that was requested after `sequence`: known, under way, or requested now. */
  #requestedAfter(sequence: number): Promise<EngineSnapshot> {
    const known = this.#knownAfter(sequence)
    return known === undefined ? this.#startRefresh().result : known instanceof Refresh ? known.result : Promise.resolve(known)
  }

  /** The newest list or the refresh under way, if it was requested after `sequence`. */
  #knownAfter(sequence: number): Refresh | EngineSnapshot | undefined {
    // The number of another client's list is the time of its read from the cache, not of its request.
    if (this.#last !== undefined && this.#last.sequence > sequence && this.#last.isForeign !== true) return this.#last
    return this.#refresh !== undefined && this.#refresh.sequence > sequence ? this.#refresh : undefined
  }

  /**
   * A list that was requested after `sequence`, or a pushed list that shows all events acknowledged up to `sequence`. Waits for pushes as long
   * as they cover the last list, then requests a list.
   */
  async #pushedOrRequestedAfter(sequence: number): Promise<EngineSnapshot> {
    for (;;) {
      const last = this.#last
      if (last === undefined || !this.#freshness.isCoveredByPushes(last)) return this.#requestedAfter(sequence)
      const isPushed = last.takenAtNs !== undefined
      if (isPushed ? last.sequence >= sequence : last.sequence > sequence && last.isForeign !== true) return last
      await this.#waitForNextList(this.#freshness.coveredForMs(last))
    }
  }

  /** Resolves with the next list, after `maxMs` at the latest. */
  async #waitForNextList(maxMs: number): Promise<void> {
    const { clock, lifetime } = this.#parts
    const arrived = new AbortController()
    const unsubscribe = this.onRefresh(() => arrived.abort())
    try {
      await pause(clock, maxMs, AbortSignal.any([lifetime, arrived.signal]))
    } catch {
      lifetime.throwIfAborted()
    } finally {
      unsubscribe()
    }
  }

  /**
   * A list that is requested after this call. The next refresh starts when the one under way has settled, and all callers that come until then
   * share it. A list with a number after the last of these calls is used too.
   */
  async #requestedAfterThisCall({ patienceMs }: CallerOptions): Promise<EngineSnapshot> {
    const { sequence, counters } = this.#parts
    if (this.#nextRefresh === undefined) {
      // Without a refresh under way, wait one turn: callers of the same turn share the request.
      const before = this.#refresh?.result ?? Promise.resolve()
      const start = (): Refresh | EngineSnapshot => {
        const lastCallAt = this.#nextRefresh?.lastCallAt ?? sequence.current
        this.#nextRefresh = undefined
        const known = this.#knownAfter(lastCallAt) ?? this.#startRefresh(true)
        if (known instanceof Refresh) known.require()
        return known
      }
      this.#nextRefresh = { lastCallAt: sequence.current, started: before.then(start, start) }
    } else counters.cacheCoalesced += 1
    this.#nextRefresh.lastCallAt = sequence.current
    const started = await this.#nextRefresh.started
    return started instanceof Refresh ? started.resultWithin({ patienceMs }) : started
  }

  /** Starts a refresh, even if another one is under way that was requested too early. */
  #startRefresh(isRequired = false): Refresh {
    const { api, retry, clock, random, sequence, counters, lifetime, refreshWaitMs } = this.#parts
    counters.cacheMisses += 1
    const refresh = new Refresh({
      api,
      retry,
      clock,
      random,
      sequence,
      lifetime,
      slowAfterMs: refreshWaitMs,
      isRequired,
      canServeOld: () => this.#servable !== undefined,
      onRequestFailed: (error) => {
        this.#failure = error
      },
      onFailed: (error) => this.#logFailure(error),
      onLoaded: (snapshot, durationMs) => this.#loaded(snapshot, durationMs),
    })
    this.#refresh = refresh
    const over = (): void => {
      if (this.#refresh === refresh) this.#refresh = undefined
    }
    refresh.result.then(over, over)
    return refresh
  }

  async #loaded(snapshot: EngineSnapshot, durationMs: number): Promise<EngineSnapshot> {
    const { emitter, cache, outages, refreshWaitMs } = this.#parts
    const isNewest = this.#accept(snapshot)
    outages.works(READING)
    if (durationMs <= refreshWaitMs) outages.works(READING_IN_TIME)
    emitter.to('engines:refreshed')?.({ engineCount: snapshot.engines.length, durationMs })
    if (isNewest) await cache.set(snapshot)
    return this.#last ?? snapshot
  }

  /** Makes `snapshot` the newest list. `false`: a newer one has arrived before it (H15). */
  #accept(snapshot: EngineSnapshot): boolean {
    if (snapshot === this.#last) return true
    if (this.#last !== undefined && !supersedes(snapshot, this.#last)) return false
    this.#last = snapshot
    this.#failure = undefined
    this.#parts.endedIds.forgetBefore(snapshot.sequence)
    for (const listener of [...this.#listeners]) listener(snapshot)
    return true
  }

  /** The newest list, if it may be served in place of a newer one. */
  get #servable(): EngineSnapshot | undefined {
    return this.#last !== undefined && this.#freshness.isServable(this.#last) ? this.#last : undefined
  }

  /** The result of a refresh; the old list if the refresh fails or is slow. */
  async #resultOrOld(refresh: Refresh, caller: CallerOptions): Promise<EngineSnapshot> {
    try {
      return await this.#unlessSlow(refresh.resultWithin({ ...caller, acceptsOld: true }), refresh.slow, caller)
    } catch (error) {
      const old = this.#servable
      if (old === undefined || !classifyFailure(error).allowsFallback || this.#parts.lifetime.aborted) throw error
      this.#parts.counters.cacheStale += 1
      return old
    }
  }

  /**
   * The result of `work`; the old list once `work` has taken `refreshWaitMs`. Callers that share `work` continue in the order in which they
   * came.
   *
   * @param slow resolves after that time, see {@link slowSignal}
   */
  #unlessSlow(work: Promise<EngineSnapshot>, slow: () => Promise<void>, { allowStale = true }: CallerOptions): Promise<EngineSnapshot> {
    if (!allowStale || this.#servable === undefined) return work
    const { clock, counters, outages } = this.#parts
    return new Promise((resolve, reject) => {
      let isOver = false
      const over = (): void => {
        isOver = true
      }
      work.then(resolve, reject)
      work.then(over, over)
      void slow().then(() => {
        const old = this.#servable
        if (isOver || old === undefined) return
        const fields = { ageMs: clock.now() - old.receivedAt }
        outages.failed(READING_IN_TIME, 'The engine list takes long to refresh; serving the last one meanwhile', fields)
        counters.cacheStale += 1
        resolve(old)
      })
    })
  }

  /** Logs a failed refresh once per outage, as an error if retrying cannot help. A rejected key and an open circuit are logged elsewhere. */
  #logFailure(error: unknown): void {
    const { clock, outages, lifetime } = this.#parts
    if (lifetime.aborted || error instanceof AuthenticationError || error instanceof CircuitOpenError) return
    const level = error instanceof OrchestratorError && !error.retryable ? 'error' : 'warn'
    const old = classifyFailure(error).allowsFallback ? this.#servable : undefined
    if (old === undefined)
      outages.failed(
        READING,
        'The engine list could not be read. To find out why: npx acestream-orchestrator-client doctor',
        { error },
        { level },
      )
    else {
      const fields = { error, ageMs: clock.now() - old.receivedAt }
      outages.failed(READING, 'The engine list could not be refreshed; serving the last one', fields, { level })
    }
  }
}
