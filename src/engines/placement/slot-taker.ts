import type { Candidate, CandidateComparator, Engine } from '../../model/engine.ts'
import { namedEngines } from '../../orchestrator/listed-engines.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { isPromiseLike, type MaybePromise } from '../../runtime/maybe-promise.ts'
import { type Random, randomId } from '../../runtime/random.ts'
import type { EndedHere } from '../../state/ended-here.ts'
import type { StateStore } from '../../state/store.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { Occupancy } from '../provisioning/capacity-error.ts'
import type { EjectionPolicy } from './ejection.ts'
import { candidatesOf, loadsOf, slotCandidates } from './load.ts'
import { PeerSpread, pickByWaterLevel } from './peer-spread.ts'
import { bestFirst, compareCandidates, pickBest } from './ranking.ts'

/** What the slot taker is built from. */
export interface SlotTakerParts {
  store: StateStore
  endedHere: EndedHere
  ejectionPolicy: EjectionPolicy
  clock: Clock
  random: Random
  proxyId: string
  maxStreamsPerEngine: number
  leaseTtlMs: number
  settleMs: number
  rankEngines: CandidateComparator | undefined
}

/** What makes an engine unacceptable to one caller. */
export interface Terms {
  readonly exclude: ReadonlySet<string>
  readonly allowUnhealthy: boolean
}

/** A slot that was taken. */
export interface TakenSlot {
  readonly leaseId: string
  readonly engine: Engine
  readonly expiresAt: number
}

/** Finds the best engine with room and takes a slot there, in one step. */
export class SlotTaker {
  readonly #parts: SlotTakerParts
  /** When an engine was last given out here: the orchestrator's own figure lags behind. */
  readonly #usedAt = new Map<string, number>()
  readonly #herd = new PeerSpread()
  /** A proxy that is restarted under its name must not find its predecessor's leases under its own ids. */
  readonly #life = randomId().slice(0, 8)
  readonly #unnamedId = randomId()
  #taken = 0
  /** Slots taken on each engine, by its id, when a caller last found none. */
  #loads: ReadonlyMap<string, number> = new Map()

  constructor(parts: SlotTakerParts) {
    this.#parts = parts
  }

  /** Takes a slot on the best engine, or on the next best where another process was faster. */
  async take(snapshot: EngineSnapshot, terms: Terms): Promise<TakenSlot | undefined> {
    const { store, endedHere, clock, random, maxStreamsPerEngine, rankEngines } = this.#parts
    const ejected = this.#ejected(snapshot)
    const isOut = ({ containerId, healthStatus }: Engine): boolean =>
      terms.exclude.has(containerId) || ejected.has(containerId) || (healthStatus === 'unhealthy' && !terms.allowUnhealthy)
    // Nothing is awaited between reading the load and taking the slot, unless the store answers later. Then its own look decides.
    const found = store.usage()
    const usage = isPromiseLike(found) ? await found : found
    const view = { snapshot, usage, endedHere, unnamedId: this.#unnamedId, usedAt: this.#usedAt }
    const loads = loadsOf(view)
    const candidates = this.#settled(candidatesOf(view, loads, maxStreamsPerEngine, isOut))
    if (candidates.length === 0) this.#loads = new Map(snapshot.engines.map(({ containerId }, index) => [containerId, loads[index] ?? 0]))
    // A host's own order is followed whatever others do.
    const isOver = (id: string): boolean => endedHere.isOver(id, snapshot.sequence)
    const unseen = rankEngines === undefined ? this.#herd.unseenCount(clock.now(), usage, isOver) : 0
    const compare = rankEngines ?? compareCandidates
    const best = pickByWaterLevel(candidates, unseen, random) ?? pickBest(candidates, compare, random)
    return best === undefined ? undefined : this.#takeFirst(bestFirst(best, candidates, compare, random), snapshot)
  }

  /** Why the engines of this list will not do for one caller, by what was known when a caller last found none. */
  occupancy({ engines }: EngineSnapshot, exclude: ReadonlySet<string>): Occupancy {
    const ejected = this.#ejected({ engines })
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

  #ejected({ engines }: Pick<EngineSnapshot, 'engines'>): ReadonlySet<string> {
    return this.#parts.ejectionPolicy.ejectedAmong(engines.map((engine) => engine.containerId))
  }

  /** Without those given out within `settleMs`, unless only sick ones or none are left then. */
  #settled(candidates: readonly Candidate[]): readonly Candidate[] {
    const { clock, settleMs } = this.#parts
    if (settleMs === 0) return candidates
    const restingSince = clock.now() - settleMs
    const settled = candidates.filter(({ engine }) => (this.#usedAt.get(engine.containerId) ?? Number.NEGATIVE_INFINITY) <= restingSince)
    const isSick = ({ engine }: Candidate): boolean => engine.healthStatus === 'unhealthy'
    const isOfUse = settled.some((candidate) => !isSick(candidate)) || (settled.length > 0 && candidates.every(isSick))
    return isOfUse ? settled : candidates
  }

  /** Takes a newer list into account: forgets engines that are listed no more, and sees what others have started. */
  retain(snapshot: EngineSnapshot): void {
    this.#herd.note(snapshot)
    const listed = namedEngines(snapshot)
    for (const containerId of this.#usedAt.keys()) if (!listed.has(containerId)) this.#usedAt.delete(containerId)
    this.#parts.ejectionPolicy.retain(listed)
  }

  /** Takes a slot on one engine, if it has room. */
  takeOn(engine: Engine, snapshot: EngineSnapshot): MaybePromise<TakenSlot | undefined> {
    return this.#takeFirst([engine], snapshot)
  }

  /** Takes a slot on the first of these engines that has room. */
  #takeFirst(engines: Iterable<Engine>, snapshot: EngineSnapshot): MaybePromise<TakenSlot | undefined> {
    const { store, endedHere, clock, proxyId, maxStreamsPerEngine, leaseTtlMs } = this.#parts
    this.#taken += 1
    const leaseId = `${proxyId}/${this.#life}/${this.#taken}`
    const now = clock.now()
    const expiresAt = now + leaseTtlMs
    const done = (containerId: string | undefined): TakenSlot | undefined => {
      const engine = snapshot.engines.find((listed) => listed.containerId === containerId)
      if (engine === undefined) return undefined
      this.#usedAt.set(engine.containerId, clock.now())
      return { leaseId, engine, expiresAt }
    }
    const candidates = slotCandidates(engines, { snapshot, endedHere, unnamedId: this.#unnamedId })
    const taken = store.take({ leaseId, candidates, limit: maxStreamsPerEngine, now, expiresAt })
    return isPromiseLike(taken) ? Promise.resolve(taken).then(done) : done(taken)
  }
}

/** Calls `onFreed` for each slot that another process frees, if the store reports that. Answers how to unsubscribe. */
export function onSlotFreedByOthers(
  { store, endedHere, logger }: { store: StateStore; endedHere: EndedHere; logger: Logger },
  onFreed: () => void,
): (() => void) | undefined {
  try {
    return store.onSlotFreed?.((settledStreamId) => {
      // The other process ended this stream: the list from before still shows it.
      if (settledStreamId !== undefined) {
        endedHere.end(settledStreamId)
        endedHere.acknowledge(settledStreamId)
      }
      onFreed()
    })
  } catch (error) {
    logger.warn('The store does not report slots that other proxies free; callers notice them with the next list', { error })
    return () => {}
  }
}
