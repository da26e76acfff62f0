/** Something that happened to a stream, in the order it happened. */
export interface AppliedEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly kind: 'started' | 'ended'
  readonly streamId: string
  readonly containerId: string
  /** The id that the request named: another than `streamId` is hazard 1 or 6. None where no request did it. */
  readonly requestedId?: string
  /** What did it: a request, another proxy, or the orchestrator itself (an engine vanished). */
  readonly by: 'request' | 'elsewhere' | 'orchestrator'
}

/** The last events applied: the newest `capacity`, so that a simulation of hours does not fill the memory. */
export class AppliedLog {
  readonly #capacity: number
  #events: AppliedEvent[] = []

  constructor(capacity = 10_000) {
    this.#capacity = capacity
  }

  /** Notes an event. */
  add(event: AppliedEvent): void {
    this.#events.push(event)
    // Dropping them by the half keeps this cheap.
    if (this.#events.length >= 2 * this.#capacity) this.#events = this.#events.slice(-this.#capacity)
  }

  /** The newest, oldest of them first. */
  get events(): readonly AppliedEvent[] {
    return this.#events.slice(-this.#capacity)
  }
}
