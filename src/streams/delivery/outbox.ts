import { LinkedMap } from '../../runtime/linked-map.ts'

/** An event that has not been delivered. */
export interface PendingEvent {
  readonly streamId: string
  readonly event: 'started' | 'ended'
}

/** The life of an event: in flight → stalled → settled, or in flight → settled. */
type EventState = 'in-flight' | 'stalled' | 'settled'

/** Callbacks with which an event reports to its {@link Outbox}. */
interface OutboxHooks {
  readonly onStalled: (event: OutboxEvent, giveUp: () => void) => void
  readonly onFailed: (event: OutboxEvent) => void
}

/** A {@link PendingEvent} and its state. */
export class OutboxEvent implements PendingEvent {
  readonly streamId: string
  readonly event: 'started' | 'ended'
  readonly #hooks: OutboxHooks
  /**
   * - `in-flight`: it is delivered, or waits for its turn.
   * - `stalled`: a failing orchestrator delays this event or an earlier one.
   * - `settled`: no request of the event is on its way. It was answered or given up, or nothing had to be sent.
   */
  #state: EventState = 'in-flight'
  #isStalled = false
  /** Created on first use, as the other fields below: most events are delivered at once, and no other event waits for them. */
  #stalled: PromiseWithResolvers<void> | undefined
  #followers: Set<OutboxEvent> | undefined
  #onLeft: (() => void) | undefined

  constructor({ streamId, event }: PendingEvent, hooks: OutboxHooks) {
    this.streamId = streamId
    this.event = event
    this.#hooks = hooks
  }

  /** Resolves when the event is stalled. Stays pending if it never is. */
  get stalled(): Promise<void> {
    this.#stalled ??= Promise.withResolvers<void>()
    if (this.#isStalled) this.#stalled.resolve()
    return this.#stalled.promise
  }

  /** Whether the event is stalled, or was before it was settled. */
  get isStalled(): boolean {
    return this.#isStalled
  }

  /**
   * Calls `callback` once, as soon as the event is settled or stalled, and before any listener of the host. Calls it at once if the event is
   * settled or stalled already.
   */
  onSettledOrStalled(callback: () => void): void {
    if (this.#state === 'in-flight') this.#onLeft = callback
    else callback()
  }

  /** Makes this event a follower of `earlier` events, after which it is sent: it is stalled as soon as one of them is. */
  follow(earlier: Iterable<OutboxEvent>): void {
    for (const other of earlier) {
      if (other.isStalled) this.#stall()
      else if (other.#state === 'in-flight') {
        other.#followers ??= new Set()
        other.#followers.add(this)
      }
    }
  }

  /** Marks the event as stalled, because it is sent only after other work that may take long. */
  stallEarly(): void {
    this.#stall()
  }

  /**
   * Marks the event as stalled: it cannot be delivered now, and is sent again later.
   *
   * @param giveUp called if the outbox needs the place of this event for another one
   */
  markStalled(giveUp: () => void): void {
    this.#stall()
    this.#hooks.onStalled(this, giveUp)
  }

  /** Records that no request of the event is on its way any more. */
  settle(): void {
    if (this.#state === 'settled') return
    const callback = this.#leave('settled')
    callback?.()
  }

  /** Records that the event was given up or rejected: the orchestrator may not know of it. */
  fail(): void {
    this.settle()
    this.#hooks.onFailed(this)
  }

  /** Stalls the event and its followers. Synchronous: a follower is stalled before its turn comes. Not recursive: thousands may follow. */
  #stall(): void {
    const callbacks: (() => void)[] = []
    const reached: OutboxEvent[] = [this]
    for (const event of reached) {
      if (event.#state !== 'in-flight') continue
      event.#isStalled = true
      event.#stalled?.resolve()
      if (event.#followers !== undefined) reached.push(...event.#followers)
      const callback = event.#leave('stalled')
      if (callback !== undefined) callbacks.push(callback)
    }
    // After the loop: a callback may add events.
    for (const callback of callbacks) callback()
  }

  /** Changes the state. Returns the callback that waits for the end of `in-flight`, if there is one. */
  #leave(next: 'stalled' | 'settled'): (() => void) | undefined {
    const callback = this.#onLeft
    this.#state = next
    this.#onLeft = undefined
    this.#followers = undefined
    return callback
  }
}

/** Dependencies and options of {@link Outbox}. */
export interface OutboxParts {
  /** Events that may be pending. */
  max: number
  /** Called when the last end that was in flight is over or stalled. */
  onEndsSettled: () => void
}

/**
 * The events that are not delivered yet, from the host's call on: `flush()` waits for them and `close()` reports them. If more than `max` are
 * pending, the event that stalled first is given up. The reconciler corrects the result: it announces a live stream that is not listed, and
 * ends a listed stream that is over.
 */
export class Outbox {
  readonly #parts: OutboxParts
  readonly #events = new Set<OutboxEvent>()
  /** How to give up each stalled event, in the order in which they stalled. */
  readonly #stalled = new LinkedMap<OutboxEvent, () => void>()
  /** Ends that were never marked as stalled. */
  readonly #endsInFlight = new Set<OutboxEvent>()
  readonly #hooks: OutboxHooks = {
    onStalled: (event, giveUp) => this.#onStalled(event, giveUp),
    onFailed: ({ streamId, event }) => void this.#failures?.push({ streamId, event }),
  }
  /** Number of calls of {@link during} that are not over. */
  #workCount = 0
  #idle: PromiseWithResolvers<void> | undefined
  #failures: PendingEvent[] | undefined

  constructor(parts: OutboxParts) {
    this.#parts = parts
  }

  /** Number of pending events. Events that were given up do not count. */
  get size(): number {
    return this.#events.size
  }

  /** Whether an end is being delivered. A stalled end does not count: it may take an hour. */
  get hasEndInFlight(): boolean {
    return this.#endsInFlight.size > 0
  }

  /** Whether one more event can be added without giving up another one. */
  get hasRoom(): boolean {
    return this.#events.size < this.#parts.max
  }

  /** The pending events, in the order in which they were added. */
  get list(): readonly PendingEvent[] {
    return Array.from(this.#events, ({ streamId, event }) => ({ streamId, event }))
  }

  /** Counts an event as pending until `deliver`, which is called synchronously, has settled. */
  track<T>(
    pending: PendingEvent,
    deliver: (outboxEvent: OutboxEvent) => Promise<T>,
  ): { readonly outboxEvent: OutboxEvent; readonly result: Promise<T> } {
    const outboxEvent = new OutboxEvent(pending, this.#hooks)
    this.#events.add(outboxEvent)
    if (outboxEvent.event === 'ended') this.#endsInFlight.add(outboxEvent)
    this.#makeRoom()
    const result = deliver(outboxEvent)
    const onOver = (): void => this.#onOver(outboxEvent)
    // Added before the caller can add a callback of its own: the caller finds the event delivered.
    result.then(onOver, onOver)
    return { outboxEvent, result }
  }

  /** Lets {@link idle} wait for this work too, which must not reject: a playback is closed of which no event will be sent. */
  during(work: Promise<void>): void {
    this.#workCount += 1
    void work.then(() => {
      this.#workCount -= 1
      this.#checkIdle()
    })
  }

  /** Resolves when no event is pending. Waits for events that are added meanwhile too. */
  async idle(): Promise<void> {
    while (this.#events.size + this.#workCount > 0) {
      this.#idle ??= Promise.withResolvers<void>()
      await this.#idle.promise
    }
  }

  /** Returns a live list: each event that fails from now on is added to it. */
  collectFailures(): readonly PendingEvent[] {
    this.#failures ??= []
    return this.#failures
  }

  #onStalled(outboxEvent: OutboxEvent, giveUp: () => void): void {
    if (!this.#stalled.has(outboxEvent)) this.#stalled.set(outboxEvent, giveUp)
    this.#removeEnd(outboxEvent)
    this.#makeRoom()
  }

  /** Gives up stalled events until at most `max` are pending. They stop counting at once, although their deliveries take a moment to stop. */
  #makeRoom(): void {
    if (this.#events.size <= this.#parts.max) return
    for (const [outboxEvent, giveUp] of this.#stalled) {
      this.#stalled.delete(outboxEvent)
      this.#events.delete(outboxEvent)
      giveUp()
      if (this.#events.size <= this.#parts.max) return
    }
  }

  #removeEnd(outboxEvent: OutboxEvent): void {
    if (this.#endsInFlight.delete(outboxEvent) && this.#endsInFlight.size === 0) this.#parts.onEndsSettled()
  }

  #onOver(outboxEvent: OutboxEvent): void {
    outboxEvent.settle()
    if (this.#stalled.size > 0) this.#stalled.delete(outboxEvent)
    this.#events.delete(outboxEvent)
    this.#removeEnd(outboxEvent)
    this.#checkIdle()
  }

  #checkIdle(): void {
    if (this.#events.size + this.#workCount > 0) return
    this.#idle?.resolve()
    this.#idle = undefined
  }
}
