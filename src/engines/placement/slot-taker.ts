import type { Content } from '../../model/content.ts'
import type { CandidateComparator, Engine } from '../../model/engine.ts'
import { namedEngines } from '../../orchestrator/listed-engines.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { ignoreRejection, isPromiseLike, type MaybePromise } from '../../runtime/maybe-promise.ts'
import { makeRandomId, type Random } from '../../runtime/random.ts'
import type { EngineUsage, SlotCandidate, StateStore } from '../../state/store.ts'
import type { EndedIds, EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'
import { EngineIndex, type IndexFilter } from './engine-index.ts'
import { LinearRanking } from './linear-ranking.ts'
import { PeerSpread } from './peer-spread.ts'
import { ListedContents, type LiveContents } from './same-content.ts'

/** Dependencies and options of {@link SlotTaker}. */
export interface SlotTakerParts {
  store: StateStore
  endedIds: EndedIds
  liveContents: LiveContents
  ejectionPolicy: EjectionPolicy
  clock: Clock
  random: Random
  logger: Logger
  proxyId: string
  maxStreamsPerEngine: number
  leaseTtlMs: number
  settleMs: number
  rankEngines: CandidateComparator | undefined
}

/** The engine that one caller needs. */
export interface EngineFilter {
  /** Container ids of engines that the caller does not want. */
  readonly exclude: ReadonlySet<string>
  readonly allowUnhealthy: boolean
  /** Prefer engines without this content. No condition: an engine with it is taken if there is no other. */
  readonly content?: Content | undefined
}

/** A slot that was taken, under a lease. */
export interface TakenSlot {
  readonly leaseId: string
  readonly engine: Engine
  /** When the lease expires, milliseconds by the client's clock. */
  readonly expiresAt: number
}

/** The engines of the last list, counted by the reason why one caller cannot use them. The counts add up to `total`. */
export interface Occupancy {
  readonly total: number
  readonly full: number
  readonly draining: number
  readonly unhealthy: number
  /** Ejected after failures. */
  readonly ejected: number
  /** In the caller's `exclude`. */
  readonly excluded: number
  /** With room, as far as this client knows. */
  readonly free: number
}

/**
 * Chooses an engine with room and takes a slot there, in one step.
 *
 * The best engine comes from an {@link EngineIndex}, which each list gets once. A {@link LinearRanking} replaces it if the host has its own
 * `rankEngines`, or if the store does not report changes of its slots.
 */
export class SlotTaker {
  readonly #parts: SlotTakerParts
  /** When this client last took a slot on an engine. While there is an index, it has the times since it was made. */
  readonly #usedAt = new Map<string, number>()
  readonly #peers = new PeerSpread()
  readonly #linear: LinearRanking
  /** Of the list from which a slot was taken last. */
  #index: EngineIndex | undefined
  /** Whether the index misses changes, so that the next caller makes a new one. */
  #isIndexOutdated = false
  #contents: ListedContents | undefined
  /** Whether lists get an index. */
  #canIndex: boolean
  #stopListening: (() => void) | undefined
  /** Whether the store answered at once when a slot was taken last. */
  #isSynchronous = false
  /** Of each lease id. A part of it is random: a proxy that restarts under the same `proxyId` must not reuse the ids of its last run. */
  readonly #leaseIdPrefix: string
  #takeCount = 0
  /** Without an index: the load of each engine at the time when a caller last found no engine with room. */
  #loads: ReadonlyMap<string, number> = new Map()
  /** The last result of {@link occupancy} without `exclude`, and all that it depends on. */
  #lastOccupancy: { readonly key: readonly unknown[]; readonly occupancy: Occupancy } | undefined

  constructor(parts: SlotTakerParts) {
    this.#parts = parts
    this.#leaseIdPrefix = `${parts.proxyId}/${makeRandomId().slice(0, 8)}/`
    this.#linear = new LinearRanking({ ...parts, usedAt: this.#usedAt, peers: this.#peers })
    this.#canIndex = parts.rankEngines === undefined && parts.store.onUsageChanged !== undefined
    parts.endedIds.onChange((streamId) => this.#index?.noteStream(streamId))
  }

  /**
   * Takes a slot on the best engine of this list, or on the next best engine if another process has filled the best. `undefined`: no engine
   * that the caller can use has room.
   *
   * @param leaseTtlMs how long the lease lasts. @default the option `leaseTtlMs`
   * @throws the error of the store or of the host's `rankEngines`; with a store that answers later, the promise rejects
   */
  take(snapshot: EngineSnapshot, filter: EngineFilter, leaseTtlMs?: number): MaybePromise<TakenSlot | undefined> {
    const index = this.#current(snapshot) ?? (this.#canIndex ? this.#makeIndex(snapshot) : undefined)
    return index === undefined ? this.#takeByReadingAll(snapshot, filter, leaseTtlMs) : this.#takeByIndex(index, filter, leaseTtlMs)
  }

  /** Whether lists have an index: {@link take} then calls no function of the host but its store. */
  get isIndexed(): boolean {
    return this.#canIndex
  }

  /**
   * Takes a slot on this engine. `undefined`: it has no room.
   *
   * @param leaseTtlMs how long the lease lasts. @default the option `leaseTtlMs`
   */
  takeOn(engine: Engine, snapshot: EngineSnapshot, leaseTtlMs?: number): MaybePromise<TakenSlot | undefined> {
    return this.#takeFirst([this.#linear.toSlotCandidate(snapshot)(engine)], snapshot, leaseTtlMs)
  }

  /** Tests whether one caller can use an engine of this list, by its id and apart from its load. */
  acceptsIn(snapshot: EngineSnapshot, filter: EngineFilter): (containerId: string) => boolean {
    const index = this.#current(snapshot)
    if (index !== undefined) return (containerId) => index.accepts(containerId, filter, this.#parts.clock.now())
    const { engines } = snapshot
    const isAcceptable = this.#linear.acceptable(engines, filter)
    return (containerId) => engines.some((engine) => engine.containerId === containerId && isAcceptable(engine))
  }

  /**
   * Counts why one caller cannot use the engines of this list. Callers without `exclude` that are rejected in the same moment share the
   * result.
   */
  occupancy(snapshot: EngineSnapshot, exclude: ReadonlySet<string>): Occupancy {
    const index = this.#index
    const { clock, ejectionPolicy } = this.#parts
    const key = [snapshot, index, index?.changeCount, this.#loads, ejectionPolicy.changeCount, clock.now()]
    const known = this.#lastOccupancy
    if (exclude.size === 0 && known !== undefined && key.every((part, place) => part === known.key[place])) return known.occupancy
    const occupancy = this.#countOccupancy(snapshot, exclude, index === undefined ? this.#loads : new Map(index.loads()))
    if (exclude.size === 0) this.#lastOccupancy = { key, occupancy }
    return occupancy
  }

  #countOccupancy({ engines }: EngineSnapshot, exclude: ReadonlySet<string>, loads: ReadonlyMap<string, number>): Occupancy {
    const ejected = this.#parts.ejectionPolicy.ejectedAmong(engines.map(({ containerId }) => containerId))
    const counts = { full: 0, draining: 0, unhealthy: 0, ejected: 0, excluded: 0, free: 0 }
    for (const { containerId, draining, healthStatus } of engines) {
      const isFull = (loads.get(containerId) ?? 0) >= this.#parts.maxStreamsPerEngine
      if (exclude.has(containerId)) counts.excluded += 1
      else if (draining) counts.draining += 1
      else if (isFull) counts.full += 1
      else if (healthStatus === 'unhealthy') counts.unhealthy += 1
      else if (ejected.has(containerId)) counts.ejected += 1
      else counts.free += 1
    }
    return { ...counts, total: engines.length }
  }

  /** Takes a newer list into account: notes the streams that other proxies started, and forgets engines that are no longer listed. */
  noteList(snapshot: EngineSnapshot): void {
    this.#outdateIndex()
    this.#peers.noteList(snapshot)
    const listed = namedEngines(snapshot)
    for (const containerId of this.#usedAt.keys()) if (!listed.has(containerId)) this.#usedAt.delete(containerId)
    this.#parts.ejectionPolicy.retain(listed)
  }

  /**
   * Calls `onFreed` for each slot that another process releases, if the store reports that.
   *
   * @returns a function that unsubscribes; `undefined` if the store reports nothing
   */
  onFreedByOthers(onFreed: () => void): (() => void) | undefined {
    const { store, endedIds, logger } = this.#parts
    try {
      return store.onSlotFreed?.((settledStreamId) => {
        // The other process ended this stream. A list from before the end still shows it.
        if (settledStreamId !== undefined) endedIds.markEnded(settledStreamId)
        onFreed()
      })
    } catch (error) {
      logger.warn('The store does not report the slots that other proxies release. Waiting callers notice them in the next engine list.', {
        error,
      })
      return () => {}
    }
  }

  /** Removes the listener of the store. */
  close(): void {
    this.#withoutIndex()
  }

  /** The index of this list, if it was made and has missed no change. */
  #current(snapshot: EngineSnapshot): EngineIndex | undefined {
    return this.#index?.snapshot === snapshot && !this.#isIndexOutdated ? this.#index : undefined
  }

  /** Makes the index of a list. `undefined`: the store cannot keep it up to date. */
  #makeIndex(snapshot: EngineSnapshot): EngineIndex | undefined {
    const { store, maxStreamsPerEngine: limit } = this.#parts
    try {
      this.#stopListening ??= store.onUsageChanged?.((containerId, usage) => {
        if (containerId === undefined) this.#outdateIndex()
        else this.#index?.noteUsage(containerId, usage)
      })
    } catch {
      this.#withoutIndex()
      return undefined
    }
    const usage = store.usage()
    if (isPromiseLike(usage)) {
      ignoreRejection(usage)
      this.#withoutIndex()
      return undefined
    }
    if (!this.#isIndexOutdated) this.#keepTimes()
    this.#isIndexOutdated = false
    this.#index = new EngineIndex({ ...this.#parts, snapshot, usage, usedAt: this.#usedAt, peers: this.#peers, limit })
    return this.#index
  }

  #outdateIndex(): void {
    if (!this.#isIndexOutdated) this.#keepTimes()
    this.#isIndexOutdated = true
  }

  /** Takes the times of the last uses from the index. */
  #keepTimes(): void {
    for (const [containerId, usedAt] of this.#index?.used() ?? []) this.#usedAt.set(containerId, usedAt)
  }

  #withoutIndex(): void {
    this.#keepTimes()
    this.#canIndex = false
    this.#index = undefined
    this.#stopListening?.()
  }

  #takeByIndex(index: EngineIndex, filter: EngineFilter, leaseTtlMs: number | undefined): MaybePromise<TakenSlot | undefined> {
    const { snapshot } = index
    const indexFilter = this.#withContent(snapshot, filter)
    const now = this.#parts.clock.now()
    const found = index.find(indexFilter, now)
    if (found === undefined) return undefined
    const best = found.candidate
    // A store that answers at once can be asked again if another process has filled the best engine.
    const candidates = this.#isSynchronous ? [best] : this.#bestFirst(best, snapshot, indexFilter)
    const slot = this.#takeFirst(candidates, snapshot, leaseTtlMs, now)
    this.#isSynchronous = !(slot instanceof Promise)
    return slot ?? this.#takeFirst(this.#bestFirst(best, snapshot, indexFilter), snapshot, leaseTtlMs)
  }

  /** The best engine, then the others by rank. A store reads a second one only if another process has filled the best. */
  *#bestFirst(best: SlotCandidate, snapshot: EngineSnapshot, filter: IndexFilter): Generator<SlotCandidate> {
    yield best
    const usage = this.#parts.store.usage()
    if (isPromiseLike(usage)) return
    const toSlotCandidate = this.#linear.toSlotCandidate(snapshot)
    this.#keepTimes()
    for (const engine of this.#linear.rank(snapshot, usage, filter).engines) {
      if (engine.containerId !== best.containerId) yield toSlotCandidate(engine)
    }
  }

  #takeByReadingAll(snapshot: EngineSnapshot, filter: EngineFilter, leaseTtlMs: number | undefined): MaybePromise<TakenSlot | undefined> {
    // A synchronous store: nothing is awaited between reading the load and taking the slot. An asynchronous store checks the load again.
    const usage = this.#parts.store.usage()
    const take = (found: ReadonlyMap<string, EngineUsage>): MaybePromise<TakenSlot | undefined> => {
      const { best, engines, loads } = this.#linear.rank(snapshot, found, this.#withContent(snapshot, filter))
      if (best === undefined) {
        this.#loads = loads
        return undefined
      }
      return this.#takeFirst(this.#eachSlotCandidate(engines, snapshot), snapshot, leaseTtlMs)
    }
    return isPromiseLike(usage) ? Promise.resolve(usage).then(take) : take(usage)
  }

  /** Yields the slots one by one: a store reads only as many as it needs. */
  *#eachSlotCandidate(engines: Iterable<Engine>, snapshot: EngineSnapshot): Generator<SlotCandidate> {
    const toSlotCandidate = this.#linear.toSlotCandidate(snapshot)
    for (const engine of engines) yield toSlotCandidate(engine)
  }

  /** The same conditions, with the engines that have the caller's content. */
  #withContent(snapshot: EngineSnapshot, filter: EngineFilter): IndexFilter {
    const { content, exclude, allowUnhealthy } = filter
    if (content === undefined) return filter
    if (this.#contents?.snapshot !== snapshot) this.#contents = new ListedContents(snapshot, this.#parts)
    return { exclude, allowUnhealthy, withContent: this.#contents.enginesWith(content) }
  }

  /** Takes a slot on the first of these engines that has room. */
  #takeFirst(
    candidates: Iterable<SlotCandidate>,
    snapshot: EngineSnapshot,
    leaseTtlMs = this.#parts.leaseTtlMs,
    now = this.#parts.clock.now(),
  ): MaybePromise<TakenSlot | undefined> {
    const { store, clock, maxStreamsPerEngine: limit } = this.#parts
    this.#takeCount += 1
    const leaseId = this.#leaseIdPrefix + this.#takeCount
    const expiresAt = now + leaseTtlMs
    const taken = store.take({ leaseId, candidates, limit, now, expiresAt })
    if (!isPromiseLike(taken)) return this.#taken(snapshot, taken, leaseId, expiresAt, now)
    return Promise.resolve(taken).then((containerId) => this.#taken(snapshot, containerId, leaseId, expiresAt, clock.now()))
  }

  #taken(
    snapshot: EngineSnapshot,
    containerId: string | undefined,
    leaseId: string,
    expiresAt: number,
    takenAt: number,
  ): TakenSlot | undefined {
    if (containerId === undefined) return undefined
    const index = this.#current(snapshot)
    const indexed = index?.get(containerId)
    if (indexed === undefined) this.#usedAt.set(containerId, takenAt)
    else index?.noteUse(indexed, takenAt)
    const engine = indexed?.engine ?? snapshot.engines.find((listed) => listed.containerId === containerId)
    if (engine === undefined) return undefined
    return { leaseId, engine, expiresAt }
  }
}
