import { OrchestratorError } from '../errors.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { Engine } from '../orchestrator/domain.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { RetryParts } from '../runtime/backoff.ts'
import type { Logger } from '../runtime/logger.ts'
import { retrying } from '../runtime/retry.ts'
import type { EndedHere } from '../state/ended-here.ts'
import type { Sequence } from '../state/sequence.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { Counters } from '../telemetry/metrics.ts'
import { Freshness } from './freshness.ts'
import type { ListCache } from './list-cache.ts'
import { Refresh } from './refresh.ts'
import { type EngineSnapshot, supersedes } from './snapshot.ts'

/** What the directory is built from. */
export interface DirectoryParts extends RetryParts {
  api: OrchestratorApi
  cache: ListCache
  sequence: Sequence
  endedHere: EndedHere
  counters: Counters
  emitter: Emitter
  logger: Logger
  /** Aborts with the client. */
  lifetime: AbortSignal
  cacheTtlMs: number
  staleIfErrorMs: number
}

/** How a list is asked for. */
export interface LookupOptions {
  signal?: AbortSignal | undefined
  /** Ask the orchestrator, or join those who are asking. */
  fresh?: boolean | undefined
  /** Only a list that was requested after this sequence number will do. */
  newerThan?: number | undefined
  /** How long a refresh that failed may be repeated for this caller, milliseconds; default as long as it is. */
  patienceMs?: number | undefined
}

/**
 * The engine list: asked for once however many want it, kept while it is fresh, and served old while the orchestrator fails. The
 * Go client asked for every viewer and every engine: 200 viewers made 20,400 requests.
 */
export class Directory {
  readonly #parts: DirectoryParts
  readonly #freshness: Freshness
  #last: EngineSnapshot | undefined
  #flight: Refresh | undefined
  /** Callers that are looking into a cache that answers later share that look too. */
  #look: Promise<EngineSnapshot> | undefined
  readonly #listeners: ((snapshot: EngineSnapshot) => void)[] = []

  constructor(parts: DirectoryParts) {
    this.#parts = parts
    this.#freshness = new Freshness(parts.clock, parts.cacheTtlMs)
  }

  /** The newest list known, however old. */
  get last(): EngineSnapshot | undefined {
    return this.#last
  }

  /** Whether somebody waits for a list at this moment. */
  get isBusy(): boolean {
    return this.#flight !== undefined || this.#look !== undefined
  }

  /** Takes a list that was pushed, unless the last is newer. */
  offer(snapshot: EngineSnapshot): void {
    if (!this.#accept(snapshot)) return
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
    const { signal, fresh = false, newerThan, patienceMs } = options
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (newerThan !== undefined) return waitUnlessAborted(this.#refreshAfter(newerThan), signal)
    const underWay = this.#flight?.within(patienceMs) ?? (fresh ? undefined : this.#look)
    if (underWay !== undefined) {
      this.#parts.counters.cacheCoalesced += 1
      return waitUnlessAborted(this.#orStale(underWay), signal)
    }
    if (fresh) return waitUnlessAborted(this.#orStale(this.#miss().within(patienceMs)), signal)
    if (this.#last !== undefined && this.#freshness.isHeld(this.#last)) {
      this.#parts.counters.cacheHits += 1
      return Promise.resolve(this.#last)
    }
    const cached = this.#parts.cache.get()
    if (!(cached instanceof Promise)) return waitUnlessAborted(this.#serve(cached, patienceMs), signal)
    const look = cached.then((found) => this.#serve(found, patienceMs)).finally(() => (this.#look = undefined))
    this.#look = look
    return waitUnlessAborted(look, signal)
  }

  #serve(cached: EngineSnapshot | undefined, patienceMs: number | undefined): Promise<EngineSnapshot> {
    const { counters } = this.#parts
    if (cached !== undefined && cached.receivedAt >= (this.#last?.receivedAt ?? Number.NEGATIVE_INFINITY)) this.#accept(cached)
    const candidate = cached === undefined ? undefined : this.#last
    if (candidate !== undefined && this.#freshness.isFresh(candidate)) {
      counters.cacheHits += 1
      return Promise.resolve(candidate)
    }
    return this.#orStale((this.#flight ?? this.#miss()).within(patienceMs))
  }

  #miss(): Refresh {
    this.#parts.counters.cacheMisses += 1
    return this.#request()
  }

  /** Those who need to see what happened since `sequence` cannot use a list that was requested before. */
  #refreshAfter(sequence: number): Promise<EngineSnapshot> {
    if (this.#last !== undefined && this.#last.sequence > sequence) return Promise.resolve(this.#last)
    if (this.#flight !== undefined && this.#flight.sequence > sequence) return this.#flight.result
    return this.#miss().result
  }

  #request(): Refresh {
    const number = this.#parts.sequence.next()
    const refresh = new Refresh(number, this.#parts.clock, (failed) => this.#load(number, failed))
    this.#flight = refresh
    const over = (): void => {
      if (this.#flight === refresh) this.#flight = undefined
    }
    refresh.result.then(over, over)
    return refresh
  }

  /** One refresh. It is repeated while there is nothing else to serve; with a list at hand, the next caller's is soon enough. */
  async #load(firstSequence: number, failed: (error: unknown) => void): Promise<EngineSnapshot> {
    const { api, clock, sequence, lifetime, emitter, cache } = this.#parts
    const requestedAt = clock.now()
    let number = firstSequence
    const attempt = async (): Promise<EngineSnapshot> => {
      const list = await api.listEngines({ signal: lifetime, failsFast: this.#hasSpare() })
      return { ...list, engines: Object.freeze([...list.engines]), sequence: number, receivedAt: clock.now() }
    }
    const snapshot = await retrying(this.#parts, lifetime, attempt, (error) => {
      failed(error)
      number = sequence.next()
      return this.#hasSpare()
    })
    const isAccepted = this.#accept(snapshot)
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
      this.#parts.endedHere.forgetBefore(snapshot.sequence)
      for (const listener of this.#listeners) listener(snapshot)
    }
    return true
  }

  async #orStale(refresh: Promise<EngineSnapshot>): Promise<EngineSnapshot> {
    try {
      return await refresh
    } catch (error) {
      const { clock, counters, logger, lifetime } = this.#parts
      const stale = this.#last
      const mayPass = error instanceof OrchestratorError && error.retryable && !lifetime.aborted
      if (stale === undefined || !mayPass || !this.#hasSpare()) throw error
      counters.cacheStale += 1
      logger.warn('The engine list could not be refreshed; serving the last one', { error, ageMs: clock.now() - stale.receivedAt })
      return stale
    }
  }

  /** The engine as the orchestrator last listed it. */
  find(containerId: string): Engine | undefined {
    return this.#last?.engines.find((engine) => engine.containerId === containerId)
  }
}
