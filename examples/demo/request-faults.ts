import type { Random } from 'acestream-orchestrator-client'
import type { Fault } from 'acestream-orchestrator-client/testing'

/** Between two requests that something is wrong with there are up to so many others. */
const MOST_BETWEEN = 3

/** What goes wrong with requests: two in five fail, in each way as often as in the others. */
export class RequestFaults {
  /** How many requests were hit, by what was wrong with them. */
  readonly hits: ReadonlyMap<string, number>
  readonly #hits: Map<string, number>
  readonly #faults: readonly Fault[]
  readonly #random: Random
  #deck: Fault[] = []
  #untilNext = 0

  constructor(faults: readonly Fault[], random: Random) {
    this.#faults = faults
    this.#random = random
    this.#hits = new Map(faults.map(({ kind }) => [kind, 0]))
    this.hits = this.#hits
  }

  /** What is wrong with the next request, if anything. */
  next(): Fault | undefined {
    if (this.#untilNext-- > 0) return undefined
    this.#untilNext = Math.floor(this.#random() * (MOST_BETWEEN + 1))
    if (this.#deck.length === 0) this.#deck = [...this.#faults]
    const [fault] = this.#deck.splice(Math.floor(this.#random() * this.#deck.length), 1)
    if (fault !== undefined) this.#hits.set(fault.kind, (this.#hits.get(fault.kind) ?? 0) + 1)
    return fault
  }
}
