import type { Content } from '../../model/content.ts'
import type { Candidate, CandidateComparator, Engine } from '../../model/engine.ts'
import { namedEngines } from '../../orchestrator/listed-engines.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { isPromiseLike, type MaybePromise } from '../../runtime/maybe-promise.ts'
import { makeRandomId, type Random } from '../../runtime/random.ts'
import { loadOf } from '../../state/load.ts'
import type { SlotCandidate, StateStore } from '../../state/store.ts'
import type { EndedIds, EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'
import { PeerSpread, pickByWaterLevel } from './peer-spread.ts'
import { bestFirst, candidatesAmong, compareCandidates, compareForContent, pickBest, preferWithoutContent } from './ranking.ts'
import { type LiveContents, markContent } from './same-content.ts'

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

/** Chooses an engine with room and takes a slot there, in one step. */
export class SlotTaker {
  readonly #parts: SlotTakerParts
  /** When this client last took a slot on an engine. */
  readonly #usedAt = new Map<string, number>()
  readonly #peers = new PeerSpread()
  /** Part of each lease id: a proxy that restarts under the same `proxyId` must not reuse the ids of its last run. */
  readonly #runId = makeRandomId().slice(0, 8)
  /** Stands for streams that are listed without a readable id. It is random, so that no real stream has it. */
  readonly #unnamedId = makeRandomId()
  #takeCount = 0
  /** The load of each engine at the time when a caller last found no engine with room. */
  #loads: ReadonlyMap<string, number> = new Map()

  constructor(parts: SlotTakerParts) {
    this.#parts = parts
  }

  /**
   * Takes a slot on the best engine of this list, or on the next best engine if another process has filled the best. `undefined`: no engine
   * that the caller can use has room.
   *
   * @param leaseTtlMs how long the lease lasts. @default the option `leaseTtlMs`
   * @throws the error of the store or of the host's `rankEngines`
   */
  async take(snapshot: EngineSnapshot, filter: EngineFilter, leaseTtlMs?: number): Promise<TakenSlot | undefined> {
    const { content } = filter
    const { store, endedIds, clock, random, maxStreamsPerEngine: limit, rankEngines } = this.#parts
    const { engines } = snapshot
    const isAcceptable = this.#acceptable(engines, filter)
    // A synchronous store: nothing is awaited between reading the load and taking the slot. An asynchronous store checks the load again.
    const found = store.usage()
    const usage = isPromiseLike(found) ? await found : found
    const loads = new Map(engines.map((engine) => [engine.containerId, loadOf(this.#toSlotCandidate(engine, snapshot), usage)]))
    const settled = this.#preferSettled(candidatesAmong(engines, { loads, limit, usedAt: this.#usedAt, isAcceptable }))
    if (settled.length === 0) this.#loads = loads
    const candidates = content === undefined ? settled : markContent(settled, content, snapshot, this.#parts)
    const isOver = (id: string): boolean => endedIds.isOver(id, snapshot.sequence)
    // A host's own ranking is used without regard to other proxies.
    const unseenCount = rankEngines === undefined ? this.#peers.unseenCount(clock.now(), usage, isOver) : 0
    const compare = rankEngines ?? (content === undefined ? compareCandidates : compareForContent)
    const preferred = content === undefined ? candidates : preferWithoutContent(candidates)
    const best = pickByWaterLevel(preferred, unseenCount, random) ?? pickBest(candidates, compare, random)
    return best === undefined ? undefined : this.#takeFirst(bestFirst(best, candidates, compare, random), snapshot, leaseTtlMs)
  }

  /**
   * Takes a slot on this engine. `undefined`: it has no room.
   *
   * @param leaseTtlMs how long the lease lasts. @default the option `leaseTtlMs`
   */
  takeOn(engine: Engine, snapshot: EngineSnapshot, leaseTtlMs?: number): MaybePromise<TakenSlot | undefined> {
    return this.#takeFirst([engine], snapshot, leaseTtlMs)
  }

  /** Tests whether one caller can use an engine of this list, by its id and apart from its load. */
  acceptsIn({ engines }: EngineSnapshot, filter: EngineFilter): (containerId: string) => boolean {
    const isAcceptable = this.#acceptable(engines, filter)
    return (containerId) => engines.some((engine) => engine.containerId === containerId && isAcceptable(engine))
  }

  /** Counts why one caller cannot use the engines of this list, with the loads at the time when a caller last found no engine. */
  occupancy({ engines }: EngineSnapshot, exclude: ReadonlySet<string>): Occupancy {
    const ejected = this.#ejectedAmong(engines)
    const counts = { full: 0, draining: 0, unhealthy: 0, ejected: 0, excluded: 0, free: 0 }
    for (const { containerId, draining, healthStatus } of engines) {
      const isFull = (this.#loads.get(containerId) ?? 0) >= this.#parts.maxStreamsPerEngine
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

  /** Tests whether one caller can use an engine, apart from its load. */
  #acceptable(engines: readonly Engine[], { exclude, allowUnhealthy }: EngineFilter): (engine: Engine) => boolean {
    const ejected = this.#ejectedAmong(engines)
    return ({ containerId, draining, healthStatus }) =>
      !(draining || exclude.has(containerId) || ejected.has(containerId) || (healthStatus === 'unhealthy' && !allowUnhealthy))
  }

  #ejectedAmong(engines: readonly Engine[]): ReadonlySet<string> {
    return this.#parts.ejectionPolicy.ejectedAmong(engines.map(({ containerId }) => containerId))
  }

  /** Leaves out engines on which a slot was taken within the last `settleMs`, unless no engine or only unhealthy ones would remain. */
  #preferSettled(candidates: readonly Candidate[]): readonly Candidate[] {
    const { clock, settleMs } = this.#parts
    if (settleMs === 0) return candidates
    const settledBefore = clock.now() - settleMs
    const settled = candidates.filter(({ engine }) => (this.#usedAt.get(engine.containerId) ?? Number.NEGATIVE_INFINITY) <= settledBefore)
    const isUnhealthy = ({ engine }: Candidate): boolean => engine.healthStatus === 'unhealthy'
    const isEnough = settled.some((candidate) => !isUnhealthy(candidate)) || (settled.length > 0 && candidates.every(isUnhealthy))
    return isEnough ? settled : candidates
  }

  /**
   * The engine for the store, with the streams that the list reports there. Streams that are over are left out. A stream whose entry could
   * not be read is counted: otherwise the engine would get one stream too many.
   */
  #toSlotCandidate({ containerId, streamIds }: Engine, { sequence, unreadable }: EngineSnapshot): SlotCandidate {
    const { endedIds } = this.#parts
    const reportedStreamIds = streamIds.filter((streamId) => !endedIds.isOver(streamId, sequence))
    unreadable?.streams.forEach((entry, index) => {
      if (entry.containerId === containerId) reportedStreamIds.push(entry.id ?? `${this.#unnamedId}/${index}`)
    })
    return { containerId, reportedStreamIds }
  }

  /** Yields the slots one by one: a store reads only as many as it needs. */
  *#eachSlotCandidate(engines: Iterable<Engine>, snapshot: EngineSnapshot): Generator<SlotCandidate> {
    for (const engine of engines) yield this.#toSlotCandidate(engine, snapshot)
  }

  /** Takes a slot on the first of these engines that has room. */
  #takeFirst(
    engines: Iterable<Engine>,
    snapshot: EngineSnapshot,
    leaseTtlMs = this.#parts.leaseTtlMs,
  ): MaybePromise<TakenSlot | undefined> {
    const { store, clock, proxyId, maxStreamsPerEngine } = this.#parts
    this.#takeCount += 1
    const leaseId = `${proxyId}/${this.#runId}/${this.#takeCount}`
    const now = clock.now()
    const expiresAt = now + leaseTtlMs
    const done = (containerId: string | undefined): TakenSlot | undefined => {
      const engine = snapshot.engines.find((listed) => listed.containerId === containerId)
      if (engine === undefined) return undefined
      this.#usedAt.set(engine.containerId, clock.now())
      return { leaseId, engine, expiresAt }
    }
    const taken = store.take({
      leaseId,
      candidates: this.#eachSlotCandidate(engines, snapshot),
      limit: maxStreamsPerEngine,
      now,
      expiresAt,
    })
    return isPromiseLike(taken) ? Promise.resolve(taken).then(done) : done(taken)
  }
}
