import type { Clock } from '../../runtime/clock.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'
import { EngineIndex } from './engine-index.ts'

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

/** Counts why one caller cannot use the engines of a list. Callers without `exclude` that are rejected in the same moment share the result. */
export class OccupancyCounter {
  readonly #parts: { readonly ejectionPolicy: EjectionPolicy; readonly clock: Clock; readonly maxStreamsPerEngine: number }
  /** The last result without `exclude`, and all that it depends on. */
  #last: { readonly key: readonly unknown[]; readonly occupancy: Occupancy } | undefined

  constructor(parts: { readonly ejectionPolicy: EjectionPolicy; readonly clock: Clock; readonly maxStreamsPerEngine: number }) {
    this.#parts = parts
  }

  /** @param loads the load of each engine, or the index that has them */
  count(snapshot: EngineSnapshot, exclude: ReadonlySet<string>, loads: EngineIndex | ReadonlyMap<string, number>): Occupancy {
    const { clock, ejectionPolicy } = this.#parts
    const isIndex = loads instanceof EngineIndex
    const key = [snapshot, loads, isIndex ? loads.changeCount : 0, ejectionPolicy.changeCount, clock.now()]
    const known = this.#last
    if (exclude.size === 0 && known !== undefined && key.every((part, place) => part === known.key[place])) return known.occupancy
    const occupancy = this.#count(snapshot, exclude, isIndex ? new Map(loads.loads()) : loads)
    if (exclude.size === 0) this.#last = { key, occupancy }
    return occupancy
  }

  #count({ engines }: EngineSnapshot, exclude: ReadonlySet<string>, loads: ReadonlyMap<string, number>): Occupancy {
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
}
