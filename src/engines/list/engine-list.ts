import { AuthenticationError, CircuitOpenError, classifyFailure, OrchestratorError } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import { pause, waitUnlessAborted } from '../../runtime/abort.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { RetryParts } from '../../runtime/retry.ts'
import { retrying } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { EndedHere } from '../../state/ended-here.ts'
import type { Emitter } from '../../telemetry/emitter.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import type { ListCache } from './list-cache.ts'
import { Freshness, Refresh, Slowness } from './refresh.ts'
import { type EngineSnapshot, supersedes } from './snapshot.ts'

/** What the directory is built from. */
export interface EngineListParts extends RetryParts {
  api: OrchestratorApi
  cache: ListCache
  sequence: Sequence
  endedHere: EndedHere
  counters: Counters
  emitter: Emitter
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  cacheTtlMs: number
  staleIfErrorMs: number
  refreshWaitMs: number
}

const READING = 'Reading the engine list'
const READING_IN_TIME = 'Reading the engine list in time'

/** How a list is asked for. */
export interface LookupOptions {
  signal?: AbortSignal | undefined
  /** Only a list that is requested after this call will do. Callers that wait for a request to end share the next one. */
  fresh?: boolean | undefined
  /** Only a list that was requested after this sequence number will do. */
  newerThan?: number | undefined
  /**
   * With `newerThan`: a pushed list that holds everything acknowledged up to that number will do as well. While pushes arrive it is waited
   * for, instead of asking for a list.
   */
  orPushed?: boolean | undefined
  /** How long this caller waits while requests fail, milliseconds; default as long as they are retried. */
  patienceMs?: number | undefined
  /** Whether an old list will do as soon as a refresh takes longer than `refreshWaitMs`. @default true */
  mayBeOld?: boolean | undefined
}

/** A caller's own terms for a refresh that it shares with others. */
type Terms = Pick<LookupOptions, 'patienceMs' | 'mayBeOld'>

/** The request that follows the one under way, for callers that need a list requested after their call. */
interface NextRefresh {
  /** The sequence number at the last of these calls. */
  since: number
  readonly started: Promise<Refresh | EngineSnapshot>
}

/**
 * The engine list: asked for once however many want it, kept while it is fresh, and served old while the orchestrator fails. The
 * Go client asked for every viewer and every engine: 200 viewers made 20,400 requests.
 */
export class EngineList {
  readonly #parts: EngineListParts
  readonly #freshness: Freshness
  #last: EngineSnapshot | undefined
  #failure: unknown
  #flight: Refresh | undefined
  #next: NextRefresh | undefined
  /** Resolves with the next list, for callers that wait for a push. */
  #arrival: PromiseWithResolvers<void> | undefined
  /** Callers share one read of a cache that answers later. */
  #look: { readonly found: Promise<EngineSnapshot | undefined>; readonly slowness: Slowness } | undefined
  readonly #listeners: ((snapshot: EngineSnapshot) => void)[] = []

  constructor(parts: EngineListParts) {
    this.#parts = parts
    this.#freshness = new Freshness(parts.clock, parts.cacheTtlMs)
  }

  /** The newest list known, however old. */
  get last(): EngineSnapshot | undefined {
    return this.#last
  }

  /** What the last attempt to read a list failed with, unless a list has arrived since. */
  get failure(): unknown {
    return this.#failure
  }

  /** Whether somebody waits for a list at this moment. */
  get isBusy(): boolean {
    return this.#flight !== undefined || this.#look !== undefined || this.#next !== undefined
  }

  /** Whether a list would be served without a refresh. */
  isFresh(snapshot: EngineSnapshot): boolean {
    return this.#freshness.isHeld(snapshot) || this.#freshness.isFresh(snapshot)
  }

  /** Takes a list that was pushed, unless the last is newer. */
  offer(snapshot: EngineSnapshot): void {
    if (!this.#accept(snapshot)) return
    this.#parts.outages.works(READING)
    this.#parts.emitter.emit('engines:refreshed', { engineCount: snapshot.engines.length, durationMs: 0 })
  }

  /** A push is expected until then, milliseconds since the epoch: the last list serves on that long, for 3 s of its age at most. */
  expectPush(until: number): void {
    this.#freshness.pushDueBy = until
  }

  /** Calls `listener` whenever a newer list has arrived. */
  onRefresh(listener: (snapshot: EngineSnapshot) => void): void {
    this.#listeners.push(listener)
  }

  /**
   * The engine list, from memory while it is fresh.
   *
   * @throws what the refresh failed with, where no list is left that may still be served; the signal's reason when aborted
   */
  get(options: LookupOptions = {}): Promise<EngineSnapshot> {
    const { signal } = options
    if (signal?.aborted) return Promise.reject(signal.reason)
    return waitUnlessAborted(this.#find(options), signal)
  }

  #find({ fresh = false, newerThan, orPushed = false, ...terms }: LookupOptions): Promise<EngineSnapshot> {
    if (newerThan !== undefined) return orPushed ? this.#pushedOrAfter(newerThan) : this.#refreshAfter(newerThan)
    if (fresh) return this.#afterThisCall(terms.patienceMs)
    const { counters } = this.#parts
    if (this.#flight !== undefined) {
      counters.cacheCoalesced += 1
      return this.#orOld(this.#flight, terms)
    }
    if (this.#look === undefined) {
      if (this.#last !== undefined && this.#freshness.isHeld(this.#last)) {
        counters.cacheHits += 1
        return Promise.resolve(this.#last)
      }
      const cached = this.#parts.cache.get()
      if (!(cached instanceof Promise)) return this.#serve(cached, terms)
      const found = cached.finally(() => (this.#look = undefined))
      this.#look = { found, slowness: new Slowness(this.#parts.clock, found) }
    }
    const { found, slowness } = this.#look
    return this.#unlessSlow(
      found.then((list) => this.#serve(list, terms)),
      slowness,
      terms,
    )
  }

  #serve(cached: EngineSnapshot | undefined, terms: Terms): Promise<EngineSnapshot> {
    const { counters } = this.#parts
    if (cached !== undefined && cached.receivedAt >= (this.#last?.receivedAt ?? Number.NEGATIVE_INFINITY)) this.#accept(cached)
    const candidate = cached === undefined ? undefined : this.#last
    if (candidate !== undefined && this.#freshness.isFresh(candidate)) {
      counters.cacheHits += 1
      return Promise.resolve(candidate)
    }
    if (this.#flight !== undefined) counters.cacheCoalesced += 1
    return this.#orOld(this.#flight ?? this.#miss(), terms)
  }

  #miss(isNeeded = false): Refresh {
    this.#parts.counters.cacheMisses += 1
    return this.#request(isNeeded)
  }

  /** A list that was requested after `sequence`: only such a list shows what happened up to that number. */
  #refreshAfter(sequence: number): Promise<EngineSnapshot> {
    const found = this.#requestedAfter(sequence)
    return found === undefined ? this.#miss().result : found instanceof Refresh ? found.result : Promise.resolve(found)
  }

  #requestedAfter(sequence: number): Refresh | EngineSnapshot | undefined {
    // The number of another client's list says when it was read from the cache, not when it was requested.
    if (this.#last !== undefined && this.#last.sequence > sequence && this.#last.isForeign !== true) return this.#last
    return this.#flight !== undefined && this.#flight.sequence > sequence ? this.#flight : undefined
  }

  /** The wait ends with the next list, or when the last one is too old to wait for another push. */
  async #pushedOrAfter(sequence: number): Promise<EngineSnapshot> {
    for (;;) {
      const last = this.#last
      if (last === undefined || !this.#freshness.isHeld(last)) return this.#refreshAfter(sequence)
      if (last.sequence > sequence && last.isForeign !== true) return last
      if (last.takenAtNs !== undefined && last.sequence >= sequence) return last
      await this.#nextList(this.#freshness.heldForMs(last))
    }
  }

  /** Resolves when another list has arrived, after `mostMs` at the latest. */
  async #nextList(mostMs: number): Promise<void> {
    const { clock, lifetime } = this.#parts
    const over = new AbortController()
    this.#arrival ??= Promise.withResolvers<void>()
    try {
      await Promise.race([this.#arrival.promise, pause(clock, mostMs, AbortSignal.any([lifetime, over.signal]))])
    } finally {
      over.abort()
    }
  }

  /** A list that is requested after this call. However many callers come while one is under way, they share the next. */
  async #afterThisCall(patienceMs: number | undefined): Promise<EngineSnapshot> {
    const { sequence, counters } = this.#parts
    if (this.#next === undefined) {
      // Also without one under way not at once: callers of the same moment share it.
      const before = this.#flight?.result ?? Promise.resolve()
      const start = (): Refresh | EngineSnapshot => {
        const since = this.#next?.since ?? sequence.current
        this.#next = undefined
        const found = this.#requestedAfter(since) ?? this.#miss(true)
        if (found instanceof Refresh) found.isNeeded = true
        return found
      }
      this.#next = { since: sequence.current, started: before.then(start, start) }
    } else counters.cacheCoalesced += 1
    this.#next.since = sequence.current
    const found = await this.#next.started
    return found instanceof Refresh ? found.within(patienceMs) : found
  }

  #request(isNeeded: boolean): Refresh {
    const refresh = new Refresh(this.#parts.sequence.next(), this.#parts.clock, isNeeded, (started) => this.#load(started))
    this.#flight = refresh
    const over = (): void => {
      if (this.#flight === refresh) this.#flight = undefined
    }
    refresh.result.then(over, over)
    return refresh
  }

  /** One refresh. It is retried while there is nothing else to serve; with a list at hand, the next caller's is soon enough. */
  async #load(refresh: Refresh): Promise<EngineSnapshot> {
    const { api, clock, sequence, lifetime, emitter, cache, outages, refreshWaitMs } = this.#parts
    const requestedAt = clock.now()
    const isOptional = (): boolean => this.#hasSpare() && !refresh.isNeeded
    const attempt = async (): Promise<EngineSnapshot> => {
      const number = refresh.sequence
      const list = await api.listEngines({ signal: lifetime, failsFast: isOptional() })
      return { ...list, engines: Object.freeze([...list.engines]), sequence: number, receivedAt: clock.now() }
    }
    const snapshot = await retrying(this.#parts, lifetime, attempt, (error) => {
      this.#failure = error
      refresh.failed(error, sequence.next())
      return isOptional()
    }).catch((error: unknown) => {
      this.#report(error)
      throw error
    })
    const isAccepted = this.#accept(snapshot)
    outages.works(READING)
    if (snapshot.receivedAt - requestedAt <= refreshWaitMs) outages.works(READING_IN_TIME)
    emitter.emit('engines:refreshed', { engineCount: snapshot.engines.length, durationMs: snapshot.receivedAt - requestedAt })
    if (isAccepted) await cache.set(snapshot)
    return this.#last ?? snapshot
  }

  /** Whether there is an old list that may be served in place of a new one. */
  #hasSpare(): boolean {
    const { clock, cacheTtlMs, staleIfErrorMs } = this.#parts
    return this.#last !== undefined && clock.now() - this.#last.receivedAt < cacheTtlMs + staleIfErrorMs
  }

  /** An answer that was overtaken never replaces a newer one. */
  #accept(snapshot: EngineSnapshot): boolean {
    if (this.#last !== undefined && snapshot !== this.#last && !supersedes(snapshot, this.#last)) return false
    const isNew = snapshot !== this.#last
    this.#last = snapshot
    if (isNew) {
      this.#failure = undefined
      this.#parts.endedHere.forgetBefore(snapshot.sequence)
      for (const listener of this.#listeners) listener(snapshot)
      this.#arrival?.resolve()
      this.#arrival = undefined
    }
    return true
  }

  /** The result of a refresh; an old list where it fails or is slow, and the old one may still be served. */
  async #orOld(refresh: Refresh, terms: Terms): Promise<EngineSnapshot> {
    const work = refresh.within(terms.patienceMs, () => this.#hasSpare())
    try {
      return await this.#unlessSlow(work, refresh.slowness, terms)
    } catch (error) {
      const mayPass = classifyFailure(error).allowsFallback && !this.#parts.lifetime.aborted
      const old = this.#last
      if (old === undefined || !mayPass || !this.#hasSpare()) throw error
      this.#parts.counters.cacheStale += 1
      return old
    }
  }

  /** `work`; an old list instead once it is slow, if one may be served then. Callers go on in the order in which they came. */
  #unlessSlow(work: Promise<EngineSnapshot>, slowness: Slowness, { mayBeOld = true }: Terms): Promise<EngineSnapshot> {
    if (!mayBeOld || !this.#hasSpare()) return work
    const { clock, counters, outages, refreshWaitMs } = this.#parts
    return new Promise((resolve, reject) => {
      let isOver = false
      const over = (): void => {
        isOver = true
      }
      work.then(resolve, reject)
      work.then(over, over)
      void slowness.after(refreshWaitMs).then(() => {
        if (isOver || !this.#hasSpare()) return
        const old = this.#last
        if (old === undefined) return
        const fields = { ageMs: clock.now() - old.receivedAt }
        outages.failed(READING_IN_TIME, 'The engine list takes long to refresh; serving the last one meanwhile', fields)
        counters.cacheStale += 1
        resolve(old)
      })
    })
  }

  /** Logged once an outage. A rejected key is logged by itself; a failure that will not pass asks for somebody. */
  #report(error: unknown): void {
    const { clock, outages, lifetime } = this.#parts
    // Nor did this read fail where the open circuit stopped it, which has a line of its own.
    if (lifetime.aborted || error instanceof AuthenticationError || error instanceof CircuitOpenError) return
    const level = error instanceof OrchestratorError && !error.retryable ? 'error' : 'warn'
    const last = classifyFailure(error).allowsFallback && this.#hasSpare() ? this.#last : undefined
    if (last === undefined) outages.failed(READING, 'The engine list could not be read', { error }, { level })
    else {
      const fields = { error, ageMs: clock.now() - last.receivedAt }
      outages.failed(READING, 'The engine list could not be refreshed; serving the last one', fields, { level })
    }
  }

  /** The engine as the orchestrator last listed it. */
  find(containerId: string): Engine | undefined {
    return this.#last?.engines.find((engine) => engine.containerId === containerId)
  }
}
