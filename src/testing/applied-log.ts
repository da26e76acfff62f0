/** A start or an end of a stream that the fake has applied. */
export interface AppliedEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly kind: 'started' | 'ended'
  /** Id of the stream that started or ended. */
  readonly streamId: string
  readonly containerId: string
  /**
   * The id that the request named. It differs from `streamId` if the end hit another stream (H1, H6). Absent if no request caused the
   * event.
   */
  readonly requestedId?: string
  /** The cause: a request, another proxy (`startElsewhere`, `endElsewhere`), or the orchestrator itself (an engine vanished). */
  readonly by: 'request' | 'elsewhere' | 'orchestrator'
}

/** Keeps the newest `capacity` events, so that a long simulation does not fill the memory. */
export class AppliedLog {
  readonly #capacity: number
  #events: AppliedEvent[] = []

  constructor(capacity = 10_000) {
    this.#capacity = capacity
  }

  /** Adds an event. */
  add(event: AppliedEvent): void {
    this.#events.push(event)
    // Drop half of the array at a time: dropping one event each time would copy the array for every event.
    if (this.#events.length >= 2 * this.#capacity) this.#events = this.#events.slice(-this.#capacity)
  }

  /** The newest events, in the order in which they were applied. */
  get events(): readonly AppliedEvent[] {
    return this.#events.slice(-this.#capacity)
  }
}
