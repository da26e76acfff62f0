import { Chains } from './ordering.ts'

/** An event that has not been delivered. */
export interface PendingEvent {
  readonly streamId: string
  readonly event: 'started' | 'ended'
}

/** A {@link PendingEvent} and how it is getting on. */
export class Underway implements PendingEvent {
  readonly streamId: string
  readonly event: 'started' | 'ended'
  readonly #book: PendingEvents
  readonly #heldUp = Promise.withResolvers<void>()
  /** The events that are sent after this one. */
  readonly #followers = new Set<Underway>()
  #isHeldUp = false
  #isSettled = false
  #onSettled: (() => void) | undefined

  constructor(book: PendingEvents, { streamId, event }: PendingEvent) {
    this.streamId = streamId
    this.event = event
    this.#book = book
  }

  /** Resolves when the event, or one that it waits for, is held up by a failing orchestrator; never, if it goes through at once. */
  get heldUp(): Promise<void> {
    return this.#heldUp.promise
  }

  /** Whether it ever was. */
  get isHeldUp(): boolean {
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
  follow(ahead: Iterable<Underway>): void {
    for (const other of ahead) {
      if (other.#isHeldUp) this.#stall()
      else other.#followers.add(this)
    }
  }

  /** It cannot be delivered now, and waits. `giveUp` ends the waiting, if too many do. */
  hold(giveUp: () => void): void {
    this.#stall()
    this.#book.hold(this, giveUp)
  }

  /** It was given up: the orchestrator may never hear of it. */
  fail(): void {
    this.#book.onFailed({ streamId: this.streamId, event: this.event })
  }

  /** Synchronous, so that an event knows before its turn comes. Not recursive: a chain may be thousands of events long. */
  #stall(): void {
    const stalled: Underway[] = [this]
    for (const event of stalled) {
      if (event.#isHeldUp) continue
      event.#isHeldUp = true
      event.#heldUp.resolve()
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
export class PendingEvents {
  readonly #max: number
  readonly #events = new Set<Underway>()
  /** In the order in which they were held up. */
  readonly #held = new Map<Underway, () => void>()
  /** Ends that are being delivered and were never held up. */
  readonly #swiftEnds = new Set<Underway>()
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
  while<T>(pending: PendingEvent, work: (underway: Underway) => Promise<T>): { readonly underway: Underway; readonly result: Promise<T> } {
    const underway = new Underway(this, pending)
    this.#events.add(underway)
    if (underway.event === 'ended') this.#swiftEnds.add(underway)
    this.#makeRoom()
    return { underway, result: work(underway).finally(() => this.#over(underway)) }
  }

  /** See {@link Underway.hold}. */
  hold(underway: Underway, giveUp: () => void): void {
    if (!this.#held.has(underway)) this.#held.set(underway, giveUp)
    this.#settleEnd(underway)
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
    for (const [underway, giveUp] of this.#held) {
      if (this.#events.size <= this.#max) return
      this.#held.delete(underway)
      this.#events.delete(underway)
      giveUp()
    }
  }

  #settleEnd(underway: Underway): void {
    if (this.#swiftEnds.delete(underway) && this.#swiftEnds.size === 0) this.onEndsSettled()
  }

  #over(underway: Underway): void {
    this.#held.delete(underway)
    this.#events.delete(underway)
    this.#settleEnd(underway)
    if (this.#events.size > 0) return
    this.#idle?.resolve()
    this.#idle = undefined
  }
}

/** The events of each stream id, sent one after the other. An event that waits behind a stalled one is stalled too. */
export class EventQueue {
  readonly #chains = new Chains()
  readonly #queued = new Map<string, Set<Underway>>()

  /** Runs `task`, which sends the event, when everything queued for this id before has settled. */
  async run<T>(streamId: string, underway: Underway, task: () => Promise<T>): Promise<T> {
    const queued = this.#queued.get(streamId) ?? new Set()
    underway.follow(queued)
    this.#queued.set(streamId, queued.add(underway))
    try {
      return await this.#chains.run(streamId, task)
    } finally {
      queued.delete(underway)
      if (queued.size === 0) this.#queued.delete(streamId)
    }
  }

  /** The ends of this id that are queued or being sent. */
  endsOf(streamId: string): readonly Underway[] {
    return [...(this.#queued.get(streamId) ?? [])].filter(({ event }) => event === 'ended')
  }
}
