import { onAbort, settledWithin } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import { isPromiseLike, toPromise } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { StateStore } from '../state/store.ts'
import type { Emitter } from '../telemetry/events.ts'
import type { OutboxEvent } from './delivery/outbox.ts'
import type { EndedLedger } from './ended-ledger.ts'
import type { LiveStreams } from './live-streams.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** Dependencies of {@link StreamSlots}. */
export interface StreamSlotsParts {
  store: StateStore
  /** Whether other clients may use the store. */
  isStoreShared: boolean
  endedLedger: EndedLedger
  live: LiveStreams
  emitter: Emitter
  outages: Outages
  clock: Clock
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Called when a slot was released, and when the store has answered the last release that was pending. */
  onSlotFreed: () => void
}

/** Names of the work in log lines. */
export const MOVING_SLOTS = 'Moving slots in the store'
const RELEASING = 'Releasing slots in the store'

/** The longest time from a host's call of `end()` to the release of the slot: an orchestrator that hangs must not keep viewers out. */
const MAX_RELEASE_DELAY_MS = 1_000

/** The longest time that the next viewer of a content waits for a store that does not answer the release of a slot. */
const MAX_ANSWER_MS = 1_000

/** The slots that streams hold in the store. If the store fails to release a slot, the next sweep tries again. */
export class StreamSlots {
  readonly #parts: StreamSlotsParts
  /** Ids of streams that are over and whose slots the store failed to release. */
  readonly #unreleased = new Set<string>()
  /** Streams whose release is delayed, by id. If two lives of an id end within that time, the later one. */
  readonly #delayed = new Map<string, TrackedStream>()
  /** Releases that the store has not answered. */
  #releasingCount = 0

  constructor(parts: StreamSlotsParts) {
    this.#parts = parts
  }

  /** Whether the store is releasing a slot now. */
  get isReleasing(): boolean {
    return this.#releasingCount > 0
  }

  /**
   * Takes a slot for a stream that is on this engine, or moves its slot there, even if the engine is full.
   *
   * @throws the error of the store
   */
  async occupy(containerId: string, streamId: string): Promise<void> {
    this.#parts.endedLedger.markNotOver(streamId)
    this.#unreleased.delete(streamId)
    await this.#parts.store.occupy(containerId, streamId)
  }

  /** Releases the slot of a stream now. Returns `undefined` if the store has answered at once. Never throws or rejects. */
  release(stream: TrackedStream): Promise<void> | undefined {
    const { clock, lifetime } = this.#parts
    const answered = Promise.withResolvers<void>()
    stream.slotReleased(answered.promise)
    const released = this.#release(stream.id)
    answered.resolve(released && settledWithin(clock, MAX_ANSWER_MS, released, lifetime))
    return released
  }

  /**
   * Releases the slot of a stream that is over when its end is settled or stalled, after `MAX_RELEASE_DELAY_MS` at the latest. In a shared
   * store another client may take the slot: the orchestrator must not apply the start of that client before this end. The default store has
   * no other client, and releases the slot at once: `EventOrder` sends the next start after this end.
   *
   * Resolves when the store has released the slot or the time is up. Returns `undefined` if that happened at once. Never rejects.
   */
  releaseAfter(end: OutboxEvent, stream: TrackedStream): Promise<void> | undefined {
    return this.#parts.isStoreShared ? this.#releaseLater(end, stream) : this.release(stream)
  }

  async #releaseLater(end: OutboxEvent, stream: TrackedStream): Promise<void> {
    const { clock, live, lifetime } = this.#parts
    const { id } = stream
    const timeUp = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const release = (): void => {
      if (stream.isSlotReleased) return
      stream.slotReleased(settledWithin(clock, MAX_ANSWER_MS, released.promise, lifetime))
      const latest = this.#delayed.get(stream.id) ?? stream
      if (this.#delayed.get(id) === stream) this.#delayed.delete(id)
      // A later life of the id has the slot by now.
      const isTaken = latest !== stream || live.has(stream.id)
      released.resolve(isTaken ? undefined : this.#release(stream.id))
    }
    const stopWaiting = (): void => {
      release()
      timeUp.resolve()
    }
    this.#delayed.set(id, stream)
    const timer = clock.setTimeout(stopWaiting, MAX_RELEASE_DELAY_MS)
    const stopListening = onAbort(lifetime, stopWaiting)
    end.onSettledOrStalled(release)
    await Promise.race([released.promise, timeUp.promise])
    timer.cancel()
    stopListening()
  }

  /** Releases the slots again that the store failed to release, unless their ids are live again. */
  sweep(isLive: (streamId: string) => boolean): void {
    for (const streamId of [...this.#unreleased]) {
      this.#unreleased.delete(streamId)
      if (!isLive(streamId)) void this.#release(streamId)
    }
  }

  /**
   * Releases the slot of the previous id of a stream that has a slot by its new id. No capacity is free afterwards, so no waiting caller is
   * served.
   *
   * @throws the error of the store
   */
  async releasePrevious(previousId: string): Promise<void> {
    await this.#parts.store.releaseStream(previousId)
  }

  #release(streamId: string): Promise<void> | undefined {
    const { store, emitter, outages, onSlotFreed } = this.#parts
    if (this.#unreleased.size > 0) this.#unreleased.delete(streamId)
    const onReleased = (containerId: string | undefined): void => {
      outages.works(RELEASING)
      if (containerId === undefined) return
      onSlotFreed()
      emitter.to('engine:released')?.({ containerId, streamId })
    }
    const onFailure = (error: unknown): void => {
      this.#unreleased.add(streamId)
      outages.failed(RELEASING, 'The store did not release the slot of a stream; the next sweep tries again', { streamId, error })
    }
    try {
      const released = store.releaseStream(streamId)
      if (isPromiseLike(released)) return this.#whileReleasing(toPromise(released).then(onReleased, onFailure))
      onReleased(released)
    } catch (error) {
      onFailure(error)
    }
  }

  async #whileReleasing(answered: Promise<void>): Promise<void> {
    this.#releasingCount += 1
    await answered
    this.#releasingCount -= 1
    // The allocator let callers wait for this slot. Even if no slot was released, it must now decide whether they keep waiting.
    if (this.#releasingCount === 0) this.#parts.onSlotFreed()
  }
}
