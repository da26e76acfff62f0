import type { EngineSnapshot } from '../list/snapshot.ts'
import type { SlotTaker } from '../placement/slot-taker.ts'
import type { EngineFilter } from '../placement/slot-terms.ts'
import type { CallerFilters } from './caller-filters.ts'
import type { Waiter, WaitQueue } from './wait-queue.ts'

/**
 * Ends the stream that has lingered without viewers for the longest time, among those on engines that `accepts`. Resolves when the slot of
 * that stream was released, or could not be. Returns `undefined` if no such stream lingers. A stream that ends already does not linger.
 */
export type YieldSlot = (accepts: (containerId: string) => boolean) => Promise<void> | undefined

/** Dependencies of {@link SlotYielding}. */
export interface SlotYieldingParts {
  queue: WaitQueue
  taker: SlotTaker
  yieldSlot: YieldSlot | undefined
  filters: CallerFilters
  /** Called when a slot was yielded, or could not be: the waiting callers can be served, or may cause another yield. */
  onSettled: () => void
}

/** A stream is ending to free a slot for this caller. */
interface Yield {
  waiter: Waiter
  /** Whether its engine may be unhealthy. */
  readonly allowUnhealthy: boolean
}

/** Ends lingering streams for callers that wait, one for each caller at a time, before a new engine is requested for them. */
export class SlotYielding {
  readonly #parts: SlotYieldingParts
  readonly #underWay = new Set<Yield>()

  constructor(parts: SlotYieldingParts) {
    this.#parts = parts
  }

  /** Begins a yield for each waiting caller that got no slot from this list, in order of arrival. A caller with `waitMs` 0 causes none. */
  begin(snapshot: EngineSnapshot): void {
    const { queue, taker, yieldSlot, filters } = this.#parts
    if (yieldSlot === undefined) return
    let onlyUnhealthyLeft = false
    let noneLeft = false
    for (const waiter of queue) {
      if (waiter.waitMs === 0 || queue.hasYield(waiter)) continue
      const filter = filters.filterFor(waiter)
      const acceptsAny = filter.exclude.size === 0
      if (acceptsAny && this.#takeOver(waiter, filter)) continue
      if (!(filter.allowUnhealthy ? noneLeft : onlyUnhealthyLeft)) {
        const yielding = yieldSlot(taker.acceptsIn(snapshot, filter))
        if (yielding !== undefined) {
          this.#awaitYield({ waiter, allowUnhealthy: filter.allowUnhealthy }, yielding)
          continue
        }
        // If this waiter accepts any engine, no stream lingers for a later waiter either.
        onlyUnhealthyLeft ||= acceptsAny
        noneLeft ||= acceptsAny && filter.allowUnhealthy
      }
      const noneLeftForOthers = noneLeft || (onlyUnhealthyLeft && !filter.allowUnhealthy && queue.allMayProvision)
      if (noneLeftForOthers) return
    }
  }

  #awaitYield(entry: Yield, yielding: Promise<void>): void {
    const { queue, onSettled } = this.#parts
    this.#underWay.add(entry)
    queue.markYield(entry.waiter, true)
    const onDone = (): void => {
      this.#underWay.delete(entry)
      queue.markYield(entry.waiter, false)
      onSettled()
    }
    yielding.then(onDone, onDone)
  }

  /**
   * A caller may leave before its slot is free: it aborts, or gets another slot. Then the slot is for this waiter.
   *
   * @returns whether there is such a slot
   */
  #takeOver(waiter: Waiter, { allowUnhealthy }: EngineFilter): boolean {
    const { queue } = this.#parts
    for (const entry of this.#underWay) {
      if (queue.has(entry.waiter) || (entry.allowUnhealthy && !allowUnhealthy)) continue
      entry.waiter = waiter
      queue.markYield(waiter, true)
      return true
    }
    return false
  }
}
