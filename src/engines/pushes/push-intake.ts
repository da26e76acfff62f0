import type { PushedLists } from '../../orchestrator/schemas.ts'
import { toMilliseconds } from '../../orchestrator/timestamps.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { EngineList } from '../list/engine-list.ts'
import { PUSH_FRESH_MS } from '../list/freshness.ts'
import type { PushOrder } from './push-order.ts'

/** What the intake is built from. */
export interface PushIntakeParts {
  clock: Clock
  sequence: Sequence
  order: PushOrder
  engineList: Pick<EngineList, 'offer'>
  /** Called with each list that is up to date. */
  onCurrent: () => void
  /** Called with each list that may lack something that was acknowledged before it came. */
  onDoubtful: () => void
}

/** Takes in what one connection pushes. */
export class PushIntake {
  readonly #parts: PushIntakeParts
  /** The least that local time was ahead of the orchestrator's when a push came: that of the push that was on its way for the shortest. */
  #leastAheadMs = Number.POSITIVE_INFINITY
  #number = 0
  #currentAt = Number.NEGATIVE_INFINITY

  constructor(parts: PushIntakeParts) {
    this.#parts = parts
  }

  take(lists: PushedLists): void {
    const { clock, sequence, order, engineList, onCurrent, onDoubtful } = this.#parts
    const { engines, unreadable, takenAtNs } = lists
    const number = order.place(lists)
    if (number === undefined || takenAtNs === undefined) return
    const now = clock.now()
    const aheadMs = now - toMilliseconds(takenAtNs)
    this.#leastAheadMs = Math.min(this.#leastAheadMs, aheadMs)
    // Held up on its way, behind others that nobody read or in a proxy: it is as old as it is.
    const takenAt = now - (aheadMs - this.#leastAheadMs)
    // Up to date, if it holds more than the one before of what was acknowledged, or nothing was acknowledged that it could lack. Any other
    // may be out of date for as long as the last that was.
    const holdsAll = number > this.#number || number >= sequence.current
    const receivedAt = holdsAll ? takenAt : Math.min(takenAt, this.#currentAt)
    this.#number = number
    if (holdsAll) this.#currentAt = takenAt
    const leftOut = unreadable === undefined ? {} : { unreadable }
    engineList.offer({ engines: Object.freeze([...engines]), ...leftOut, sequence: number, receivedAt, takenAtNs })
    if (!holdsAll) onDoubtful()
    else if (now - takenAt < PUSH_FRESH_MS) onCurrent()
  }
}
