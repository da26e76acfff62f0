/** An event that has not been delivered. */
export interface PendingEvent {
  readonly streamId: string
  readonly event: 'started' | 'ended'
}

/** The events under way, from the host's call on: what `flush()` waits for and `close()` reports. */
export class PendingEvents {
  readonly #events = new Set<PendingEvent>()
  #idle: PromiseWithResolvers<void> | undefined

  get size(): number {
    return this.#events.size
  }

  get list(): readonly PendingEvent[] {
    return [...this.#events]
  }

  /** Counts an event as pending for as long as `work` takes. */
  async while<T>(pending: PendingEvent, work: () => Promise<T>): Promise<T> {
    this.#events.add(pending)
    try {
      return await work()
    } finally {
      this.#events.delete(pending)
      if (this.#events.size === 0) {
        this.#idle?.resolve()
        this.#idle = undefined
      }
    }
  }

  /** Resolves when nothing is pending, what is added meanwhile included. */
  async idle(): Promise<void> {
    while (this.#events.size > 0) {
      this.#idle ??= Promise.withResolvers<void>()
      await this.#idle.promise
    }
  }
}
