import type { Engine } from '../model/engine.ts'
import type { Announcement, EndResult, HostEngine, StartEvent, StreamHandle, StreamState } from '../model/stream.ts'
import type { KeepAlive } from '../runtime/abort.ts'
import { showAs } from '../runtime/platform.ts'
import { lifeOf } from './life.ts'

/** Finds an engine in a list. */
export type FindEngine = (engines: readonly Engine[]) => Engine | undefined

/** The part of a start that depends on which engine of the list its host means. */
export type ListedPlace = Required<Pick<StartEvent, 'containerId' | 'address' | 'session'>>

/** What ends a stream; the registry, for a stream, is this. */
export interface StreamEnder {
  end(stream: TrackedStream, reason: unknown): Promise<EndResult>
  /** Resolves when the end was told, or is held up. */
  dispose(stream: TrackedStream): Promise<void>
}

/** One stream's life. The rules that move it on are the registry's; this is what they move. */
export class TrackedStream implements StreamHandle {
  /** What the orchestrator is told; always with the listed address (hazard 7). */
  event: StartEvent
  /** Finds its engine in a list, until one has shown it. */
  locate: ((engines: readonly Engine[]) => ListedPlace | undefined) | undefined
  /** Whether no list could be read when its host named its engine: until one is, `event` holds an address that must not be sent (H7). */
  mustLocate = false
  engine: HostEngine
  state: StreamState = 'announcing'
  announcement: Announcement = 'unsent'
  id: string
  /** Whether its start is being told, or waits to be. */
  isBeingTold = false
  /** Whether its host has the handle: nobody is there any more to be told of a refusal by a rejection. */
  isHandedOut = false
  /** Since when the orchestrator has been showing something that proves nothing, milliseconds since the epoch. */
  unsettledSince: number | undefined
  /** When the orchestrator started it last, by the orchestrator's clock, microseconds since the epoch. */
  startedAtUs: number | undefined
  /** Starts of it whose outcome is unknown: each may still be applied (H4). */
  lateStarts = 0
  /** How often it was announced, the announcement under way included. */
  announcements = 0
  /** Lists requested before this sequence number cannot show that its engine is gone. */
  acceptedAt = 0
  /** Whether the last list that could show its engine did not. */
  isEngineMissing = false
  /** Whether the last pushed list that could show its engine did not. */
  isEngineMissingInPushes = false
  /** Whether its slot was released: it gets none any more. */
  isSlotReleased = false
  /** What came of the end that was sent for a lost stream. */
  lostEnd: Promise<EndResult> | undefined
  #isOver = false
  #over: AbortController | undefined
  readonly #lost = new AbortController()
  readonly #endDelivery: StreamEnder
  readonly #alive: KeepAlive

  constructor(event: StartEvent, engine: HostEngine, endDelivery: StreamEnder, alive: KeepAlive) {
    this.event = event
    this.engine = engine
    this.id = event.streamId
    this.#endDelivery = endDelivery
    this.#alive = alive
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Whether it has left: it is over here. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Aborts when the stream is over here, however it ended. */
  get over(): AbortSignal {
    this.#over ??= new AbortController()
    if (this.#isOver) this.#over.abort()
    return this.#over.signal
  }

  /** Whether it is to be announced. */
  get isLive(): boolean {
    return this.state === 'announcing' || this.state === 'live'
  }

  /** Distinguishes it from a later life of its id. */
  get life(): string {
    return lifeOf(this)
  }

  leave(): void {
    this.#isOver = true
    this.#over?.abort()
  }

  markLost(cause: Error): void {
    this.#lost.abort(cause)
  }

  end(reason?: string): Promise<EndResult> {
    return this.#alive.during(this.#endDelivery.end(this, reason))
  }

  /** Leaving a block after an explicit end is no second end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#alive.during(this.#endDelivery.dispose(this))
  }
}

showAs(TrackedStream.prototype, 'StreamHandle', ({ id, engine, state }) => ({ id, engine, state }))
