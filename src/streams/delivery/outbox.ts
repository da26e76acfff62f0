import { KeyedQueue } from './ordering.ts'

/** An event that has not been delivered. */
export interface PendingEvent {
  readonly streamId: string
  readonly event: 'started' | 'ended'
}

/** A {@link PendingEvent} and how it is getting on. */
export class OutboxEvent implements PendingEvent {
  readonly streamId: string
  readonly event: 'started' | 'ended'
  readonly #book: Outbox
  readonly #stalled = Promise.withResolvers<void>()
  /** The events that are sent after this one. */
  readonly #followers = new Set<OutboxEvent>()
  #isHeldUp = false
  #isSettled = false
  #onSettled: (() => void) | undefined

  constructor(book: Outbox, { streamId, event }: PendingEvent) {
    this.streamId = streamId
    this.event = event
    this.#book = book
  }

  /** Resolves when the event, or one that it waits for, is held up by a failing orchestrator; never, if it goes through at once. */
  get stalled(): Promise<void> {
    return this.#stalled.promise
  }

  /** Whether it ever was. */
  get isStalled(): boolean {
    return this.#isHeldUp
  }

  /**
   * Calls `act` once, before any listener of the host: when the event is settled, or when it is held up, which may last an hour. Calls it at
   * once if one of the two has happened already.
   */
  onSettled(act: () => void): void {
    this.#onSettled = act
    if (this.#isSettled || this.#isHeldUp) this.#callBack()
  }

  /** No request of it is on its way any more: the orchestrator answered it, it was given up, or nothing had to be sent. */
  settle(): void {
    this.#isSettled = true
    this.#callBack()
  }

  /** It is sent after these events: as soon as one of them is held up, so is this one. */
  follow(ahead: Iterable<OutboxEvent>): void {
    for (const other of ahead) {
      if (other.#isHeldUp) this.#stall()
      else other.#followers.add(this)
    }
  }

  /** It cannot be delivered now, and waits. `giveUp` ends the waiting, if too many do. */
  markStalled(giveUp: () => void): void {
    this.#stall()
    this.#book.markStalled(this, giveUp)
  }

  /** It was given up: the orchestrator may never hear of it. */
  fail(): void {
    this.#book.onFailed({ streamId: this.streamId, event: this.event })
  }

  /** Synchronous, so that an event knows before its turn comes. Not recursive: a chain may be thousands of events long. */
  #stall(): void {
    const stalled: OutboxEvent[] = [this]
    for (const event of stalled) {
      if (event.#isHeldUp) continue
      event.#isHeldUp = true
      event.#stalled.resolve()
      stalled.push(...event.#followers)
      event.#followers.clear()
    }
    // After the loop: a listener may add events.
    for (const event of stalled) event.#callBack()
  }

  #callBack(): void {
    const act = this.#onSettled
    this.#onSettled = undefined
    act?.()
  }
}

/**
 * The events under way, from the host's call on: what `flush()` waits for and `close()` reports. Bounded: with more than `max`, the one
 * that has been held up longest is given up. What it would have told is not lost: a stream that is live is announced, and one that is
 * over is ended, by the reconciler.
 */
export class Outbox {
  readonly #max: number
  readonly #events = new Set<OutboxEvent>()
  /** In the order in which they were held up. */
  readonly #held = new Map<OutboxEvent, () => void>()
  /** Ends that are being delivered and were never held up. */
  readonly #swiftEnds = new Set<OutboxEvent>()
  #idle: PromiseWithResolvers<void> | undefined
  /** Called with each event that was given up. */
  onFailed: (event: PendingEvent) => void = () => {}
  /** Called when the last end that was being delivered is over, or held up. */
  onEndsSettled: () => void = () => {}

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#events.size
  }

  /** Whether an end is being delivered. One that a failing orchestrator holds up does not count: it may take an hour. */
  get isEnding(): boolean {
    return this.#swiftEnds.size > 0
  }

  /** Whether one more would not make another be given up. */
  get hasRoom(): boolean {
    return this.#events.size < this.#max
  }

  get list(): readonly PendingEvent[] {
    return Array.from(this.#events, ({ streamId, event }) => ({ streamId, event }))
  }

  /** Counts an event as pending for as long as `work` takes. */
  while<T>(
    pending: PendingEvent,
    work: (outboxEvent: OutboxEvent) => Promise<T>,
  ): { readonly outboxEvent: OutboxEvent; readonly result: Promise<T> } {
    const outboxEvent = new OutboxEvent(this, pending)
    this.#events.add(outboxEvent)
    if (outboxEvent.event === 'ended') this.#swiftEnds.add(outboxEvent)
    this.#makeRoom()
    return { outboxEvent, result: work(outboxEvent).finally(() => this.#over(outboxEvent)) }
  }

  /** See {@link OutboxEvent.markStalled}. */
  markStalled(outboxEvent: OutboxEvent, giveUp: () => void): void {
    if (!this.#held.has(outboxEvent)) this.#held.set(outboxEvent, giveUp)
    this.#settleEnd(outboxEvent)
    this.#makeRoom()
  }

  /** Resolves when nothing is pending, what is added meanwhile included. */
  async idle(): Promise<void> {
    while (this.#events.size > 0) {
      this.#idle ??= Promise.withResolvers<void>()
      await this.#idle.promise
    }
  }

  /** Those given up need a moment to go; until then they count as gone. */
  #makeRoom(): void {
    for (const [outboxEvent, giveUp] of this.#held) {
      if (this.#events.size <= this.#max) return
      this.#held.delete(outboxEvent)
      this.#events.delete(outboxEvent)
      giveUp()
    }
  }

  #settleEnd(outboxEvent: OutboxEvent): void {
    if (this.#swiftEnds.delete(outboxEvent) && this.#swiftEnds.size === 0) this.onEndsSettled()
  }

  #over(outboxEvent: OutboxEvent): void {
    this.#held.delete(outboxEvent)
    this.#events.delete(outboxEvent)
    this.#settleEnd(outboxEvent)
    if (this.#events.size > 0) return
    this.#idle?.resolve()
    this.#idle = undefined
  }
}

/** The events of each stream id, sent one after the other. An event that waits behind a stalled one is stalled too. */
export class EventQueue {
  readonly #chains = new KeyedQueue()
  readonly #queued = new Map<string, Set<OutboxEvent>>()

  /** Runs `task`, which sends the event, when everything queued for this id before has settled. */
  async run<T>(streamId: string, outboxEvent: OutboxEvent, task: () => Promise<T>): Promise<T> {
    const queued = this.#queued.get(streamId) ?? new Set()
    outboxEvent.follow(queued)
    this.#queued.set(streamId, queued.add(outboxEvent))
    try {
      return await this.#chains.run(streamId, task)
    } finally {
      queued.delete(outboxEvent)
      if (queued.size === 0) this.#queued.delete(streamId)
    }
  }

  /** The ends of this id that are queued or being sent. */
  endsOf(streamId: string): readonly OutboxEvent[] {
    return [...(this.#queued.get(streamId) ?? [])].filter(({ event }) => event === 'ended')
  }
}
