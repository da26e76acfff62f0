import type { Random } from 'acestream-orchestrator-client'
import type { Fault } from 'acestream-orchestrator-client/testing'

/** Maximum number of good requests between two faults. */
const MAX_BETWEEN = 3

/** Chooses faults for requests: two in five requests fail, and each kind of fault is equally frequent. */
export class RequestFaults {
  /** Number of requests that were hit, by kind of fault. */
  readonly hits: ReadonlyMap<string, number>
  readonly #hits: Map<string, number>
  readonly #faults: readonly Fault[]
  readonly #random: Random
  #remaining: Fault[] = []
  #untilNext = 0

  constructor(faults: readonly Fault[], random: Random) {
    this.#faults = faults
    this.#random = random
    this.#hits = new Map(faults.map(({ kind }) => [kind, 0]))
    this.hits = this.#hits
  }

  /** Returns the fault for the next request, if it gets one. */
  next(): Fault | undefined {
    if (this.#untilNext-- > 0) return undefined
    this.#untilNext = Math.floor(this.#random() * (MAX_BETWEEN + 1))
    if (this.#remaining.length === 0) this.#remaining = [...this.#faults]
    const [fault] = this.#remaining.splice(Math.floor(this.#random() * this.#remaining.length), 1)
    if (fault !== undefined) this.#hits.set(fault.kind, (this.#hits.get(fault.kind) ?? 0) + 1)
    return fault
  }
}
