import type { CandidateComparator, Engine } from '../../model/engine.ts'
import { namedEngines } from '../../orchestrator/listed-engines.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { ignoreRejection, isPromiseLike, type MaybePromise } from '../../runtime/maybe-promise.ts'
import { makeRandomId, type Random } from '../../runtime/random.ts'
import type { EngineUsage, SlotCandidate, SlotRequest, StateStore } from '../../state/store.ts'
import type { EndedIds, EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'
import { EngineIndex, type IndexFilter } from './engine-index.ts'
import { type Choice, LinearRanking } from './linear-ranking.ts'
import { type Occupancy, OccupancyCounter } from './occupancy.ts'
import { PeerSpread } from './peer-spread.ts'
import { ListedContents, type LiveContents } from './same-content.ts'
import type { EngineFilter, SlotTerms, TakenSlot } from './slot-terms.ts'

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

/** Engines that a store which answers later gets in its first call, and at least in each further one. */
const FIRST_COUNT = 8
const NEXT_COUNT = 64
/** Calls without candidates for one caller. */
const MAX_EMPTY_CALLS = 3
const NONE: ReadonlySet<string> = new Set()

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
  readonly #occupancy: OccupancyCounter

  constructor(parts: SlotTakerParts) {
    this.#parts = parts
    this.#occupancy = new OccupancyCounter(parts)
    this.#leaseIdPrefix = `${parts.proxyId}/${makeRandomId().slice(0, 8)}/`
    this.#linear = new LinearRanking({ ...parts, usedAt: this.#usedAt, peers: this.#peers })
    this.#canIndex = parts.rankEngines === undefined && parts.store.onUsageChanged !== undefined
    parts.endedIds.onChange((streamId) => this.#index?.noteStream(streamId))
  }

  /**
   * Takes a slot on the best engine of this list, or on the next best engine if another process has filled the best. `undefined`: no engine
   * that the caller can use has room.
   *
   * @throws the error of the store or of the host's `rankEngines`; with a store that answers later, the promise rejects
   */
  take(snapshot: EngineSnapshot, filter: EngineFilter, terms: SlotTerms = {}): MaybePromise<TakenSlot | undefined> {
    const index = this.#indexOf(snapshot)
    return index === undefined ? this.#takeByReadingAll(snapshot, filter, terms) : this.#takeByIndex(index, filter, terms)
  }

  /** Whether the store serves the waiting callers of all processes in the order in which they called. */
  get hasLine(): boolean {
    return this.#parts.store.leaveLine !== undefined
  }

  /** See `CallerPlace.clientId`. */
  get clientId(): string {
    return this.#leaseIdPrefix
  }

  /** No caller waits any more. */
  leaveLine(): void {
    this.#parts.store.leaveLine?.(this.clientId)
  }

  /** The index of this list, up to date. `undefined`: lists have none. */
  #indexOf(snapshot: EngineSnapshot): EngineIndex | undefined {
    return this.#current(snapshot) ?? (this.#canIndex ? this.#makeIndex(snapshot) : undefined)
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
    return this.#takeFirst([this.#linear.toSlotCandidate(snapshot)(engine)], snapshot, { leaseTtlMs })
  }

  /** Returns the engines of this list that one caller can use, with what decides among them. Takes no slot. */
  async choose(snapshot: EngineSnapshot, filter: EngineFilter): Promise<Choice> {
    const usage = await this.#parts.store.usage()
    this.#keepTimes()
    return this.#linear.choose(snapshot, usage, this.#withContent(snapshot, filter))
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
    return this.#occupancy.count(snapshot, exclude, this.#index ?? this.#loads)
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
        // A store with a line calls again when it is the turn of this process.
        if (settledStreamId === undefined || !this.hasLine) onFreed()
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

  #takeByIndex(index: EngineIndex, filter: EngineFilter, terms: SlotTerms): MaybePromise<TakenSlot | undefined> {
    const { snapshot } = index
    const now = this.#parts.clock.now()
    // A store that answers at once can be asked again if another process has filled the best engine.
    const first = this.#someOf(index, filter, this.#isSynchronous ? 1 : FIRST_COUNT, NONE, now)
    if (first.length === 0 && !this.hasLine) return undefined
    const before = index.changeCount
    const slot = this.#takeFirst(first, snapshot, terms, now)
    this.#isSynchronous = !(slot instanceof Promise)
    if (slot !== undefined && !(slot instanceof Promise)) return slot
    const takeNext = (): Promise<TakenSlot | undefined> =>
      this.#takeNext(snapshot, filter, terms, { asked: first, changeCount: first.length === 0 ? before : undefined })
    return slot === undefined ? takeNext() : slot.then((taken) => taken ?? takeNext())
  }

  #someOf(index: EngineIndex, filter: EngineFilter, count: number, except = NONE, now = this.#parts.clock.now()): readonly SlotCandidate[] {
    const indexFilter = this.#withContent(index.snapshot, filter)
    if (count > 1 || except.size > 0) return index.findSome(indexFilter, now, count, except).map(({ candidate }) => candidate)
    const best = index.find(indexFilter, now)
    return best === undefined ? [] : [best.candidate]
  }

  /**
   * Takes a slot on the next best engines after other processes have filled the first. A store with a line gets a last call without candidates:
   * it reports the engines that became free meanwhile, or offers the free slot to another process.
   *
   * @param done `asked`: the candidates of the first call. `changeCount`: that of the index before a call without candidates
   */
  async #takeNext(
    snapshot: EngineSnapshot,
    filter: EngineFilter,
    terms: SlotTerms,
    done: { readonly asked: readonly SlotCandidate[]; readonly changeCount: number | undefined },
  ): Promise<TakenSlot | undefined> {
    const asked = new Set(done.asked.map(({ containerId }) => containerId))
    let { changeCount } = done
    let emptyCount = 0
    for (;;) {
      const index = this.#indexOf(snapshot)
      // As many as it was asked about so far: the index skips those, and must not do that again for each few engines.
      const some = index === undefined ? [] : this.#someOf(index, filter, Math.max(NEXT_COUNT, asked.size), asked)
      if (some.length === 0) {
        if (!this.hasLine || changeCount === index?.changeCount || emptyCount === MAX_EMPTY_CALLS) return undefined
        changeCount = index?.changeCount
        emptyCount += 1
      }
      const slot = await this.#takeFirst(some, snapshot, terms)
      if (slot !== undefined) return slot
      for (const { containerId } of some) asked.add(containerId)
    }
  }

  #takeByReadingAll(
    snapshot: EngineSnapshot,
    filter: EngineFilter,
    terms: SlotTerms,
    isAgain = false,
  ): MaybePromise<TakenSlot | undefined> {
    // A synchronous store: nothing is awaited between reading the load and taking the slot. An asynchronous store checks the load again.
    const usage = this.#parts.store.usage()
    const take = (found: ReadonlyMap<string, EngineUsage>): MaybePromise<TakenSlot | undefined> => {
      const { best, engines, loads } = this.#linear.rank(snapshot, found, this.#withContent(snapshot, filter))
      if (best === undefined) this.#loads = loads
      if (best === undefined && !this.hasLine) return undefined
      const slot = this.#takeFirst(this.#eachSlotCandidate(engines, snapshot), snapshot, terms)
      if (isAgain || !this.hasLine) return slot
      return Promise.resolve(slot).then((taken) => taken ?? this.#takeByReadingAll(snapshot, filter, terms, true))
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
    { leaseTtlMs = this.#parts.leaseTtlMs, place }: SlotTerms,
    now = this.#parts.clock.now(),
  ): MaybePromise<TakenSlot | undefined> {
    const { store, clock, maxStreamsPerEngine: limit } = this.#parts
    this.#takeCount += 1
    const leaseId = this.#leaseIdPrefix + this.#takeCount
    const expiresAt = now + leaseTtlMs
    const request = { leaseId, candidates, limit, now, expiresAt }
    const taken = store.take(place === undefined ? request : { ...request, place })
    if (!isPromiseLike(taken)) return this.#taken(snapshot, taken, request, now)
    return Promise.resolve(taken).then((containerId) => this.#taken(snapshot, containerId, request, clock.now()))
  }

  #taken(snapshot: EngineSnapshot, containerId: string | undefined, request: SlotRequest, takenAt: number): TakenSlot | undefined {
    if (containerId === undefined) return undefined
    const index = this.#current(snapshot)
    const indexed = index?.get(containerId)
    if (indexed === undefined) this.#usedAt.set(containerId, takenAt)
    else index?.noteUse(indexed, takenAt)
    const engine = indexed?.engine ?? snapshot.engines.find((listed) => listed.containerId === containerId)
    if (engine === undefined) return undefined
    return { leaseId: request.leaseId, engine, expiresAt: request.expiresAt }
  }
}
