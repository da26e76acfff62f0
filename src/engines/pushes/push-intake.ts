import { toMilliseconds } from '../../orchestrator/timestamps.ts'
import type { PushedLists } from '../../orchestrator/wire-lists.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { EngineList } from '../list/engine-list.ts'
import { PUSH_FRESH_MS } from '../list/freshness.ts'
import type { PushOrder } from './push-order.ts'

/** Dependencies of {@link PushIntake}. */
export interface PushIntakeParts {
  clock: Clock
  sequence: Sequence
  order: PushOrder
  engineList: Pick<EngineList, 'offer'>
  /** Called with each list that is complete and fresh. */
  onCurrent: () => void
  /** Called with each list that may lack an event that was acknowledged before the list arrived. */
  onDoubtful: () => void
}

/** Gives the lists of one connection their number and their age, and offers them to the engine list. */
export class PushIntake {
  readonly #parts: PushIntakeParts
  /** The smallest difference between this host's time and a list's stamp so far. The list with the shortest delay has it. */
  #leastAheadMs = Number.POSITIVE_INFINITY
  #lastNumber = 0
  /** When the last complete list was made, milliseconds by the client's clock. */
  #lastCompleteAt = Number.NEGATIVE_INFINITY

  constructor(parts: PushIntakeParts) {
    this.#parts = parts
  }

  /** Accepts or ignores the lists of one push. */
  take(lists: PushedLists): void {
    const { clock, sequence, order, engineList, onCurrent, onDoubtful } = this.#parts
    const { engines, streams, unreadable, takenAtNs } = lists
    const number = order.numberFor(lists)
    if (number === undefined || takenAtNs === undefined) return
    const now = clock.now()
    const aheadMs = now - toMilliseconds(takenAtNs)
    this.#leastAheadMs = Math.min(this.#leastAheadMs, aheadMs)
    // A list that was delayed longer than the fastest list, in a proxy or in this process, is older by the difference.
    const madeAt = now - (aheadMs - this.#leastAheadMs)
    // Complete: it shows acknowledged events that the list before it may lack, or no event was acknowledged that it could lack. Any other list
    // may be as outdated as the last complete one, and counts as equally old.
    const isComplete = number > this.#lastNumber || number >= sequence.current
    const receivedAt = isComplete ? madeAt : Math.min(madeAt, this.#lastCompleteAt)
    this.#lastNumber = number
    if (isComplete) this.#lastCompleteAt = madeAt
    const leftOut = unreadable === undefined ? {} : { unreadable }
    engineList.offer({ engines: Object.freeze([...engines]), streams, ...leftOut, sequence: number, receivedAt, takenAtNs })
    if (!isComplete) onDoubtful()
    else if (now - madeAt < PUSH_FRESH_MS) onCurrent()
  }
}
