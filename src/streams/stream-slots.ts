import type { Clock } from '../runtime/clock.ts'
import { isPromiseLike, promiseOf } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { StateStore } from '../state/store.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { OutboxEvent } from './delivery/outbox.ts'
import type { EndedLedger } from './ended-ledger.ts'
import type { LiveStreams } from './live-streams.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** What the slots are built from. */
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
  /** Called when a slot was released, and when the store has answered that it released none. */
  onSlotFreed: () => void
}

/** Names the work in log lines. */
export const MOVING_SLOTS = 'Moving slots in the store'
const RELEASING = 'Giving slots back to the store'

/** The longest time from a host's call of `end()` to the release of the slot: an orchestrator that hangs must not keep viewers out. */
const MAX_RELEASE_DELAY_MS = 1_000

/** The slots that streams hold in the store. */
export class StreamSlots {
  readonly #parts: StreamSlotsParts
  /** Streams that are over and whose slots the store failed to take back: no more than it still holds. */
  readonly #kept = new Set<string>()
  /** Streams that are over and whose slots are not released yet, by id; of two lives of an id the later one. */
  readonly #leaving = new Map<string, TrackedStream>()
  /** Releases that the store has not answered. */
  #releasingCount = 0

  constructor(parts: StreamSlotsParts) {
    this.#parts = parts
  }

  /** Whether the store is releasing a slot now. */
  get isReleasing(): boolean {
    return this.#releasingCount > 0
  }

  /** Takes a slot, or moves the one the stream has, whether or not there is room: the stream is there. */
  async occupy(containerId: string, streamId: string): Promise<void> {
    this.#parts.endedLedger.markNotOver(streamId)
    this.#kept.delete(streamId)
    await this.#parts.store.occupy(containerId, streamId)
  }

  /** Releases the slot now. A store that fails keeps it until the next sweep: ending a stream must not fail with the store. */
  release(stream: TrackedStream): Promise<void> | undefined {
    stream.slotReleased()
    return this.#release(stream.id)
  }

  /**
   * Releases the slot of a stream that is over when its end is settled or held up, after `MAX_RELEASE_DELAY_MS` at the latest. Another client
   * of the store may take the slot: the orchestrator must not apply its start before this end. The default store has no other client, and
   * releases the slot at once: `Departures` sends the next start after this end.
   *
   * Resolves when the store has released the slot or the time is up. Never rejects.
   */
  async releaseAfter(end: OutboxEvent, stream: TrackedStream): Promise<void> {
    const { clock, isStoreShared, live, lifetime } = this.#parts
    if (!isStoreShared) return this.release(stream)
    const { id } = stream
    const timeUp = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const release = (): void => {
      if (stream.isSlotReleased) return
      stream.slotReleased()
      const later = this.#leaving.get(stream.id) ?? stream
      if (this.#leaving.get(id) === stream) this.#leaving.delete(id)
      // A later life of the id has the slot by now.
      released.resolve(later !== stream || live.has(stream.id) ? undefined : this.#release(stream.id))
    }
    const stopWaiting = (): void => {
      release()
      timeUp.resolve()
    }
    this.#leaving.set(id, stream)
    const timer = clock.setTimeout(stopWaiting, MAX_RELEASE_DELAY_MS)
    lifetime.addEventListener('abort', stopWaiting, { once: true })
    end.onSettledOrStalled(release)
    await Promise.race([released.promise, timeUp.promise])
    timer.cancel()
    lifetime.removeEventListener('abort', stopWaiting)
  }

  /** Asks the store again for the slots it failed to take back, but for those of ids that live again. */
  sweep(isLive: (streamId: string) => boolean): void {
    for (const streamId of [...this.#kept]) {
      this.#kept.delete(streamId)
      if (!isLive(streamId)) void this.#release(streamId)
    }
  }

  /** A stream that goes by another id now gives the slot of the old one back, quietly: it holds one already. */
  async forget(streamId: string): Promise<void> {
    await this.#parts.store.releaseStream(streamId)
  }

  #release(streamId: string): Promise<void> | undefined {
    const { store, emitter, outages, onSlotFreed } = this.#parts
    this.#kept.delete(streamId)
    const tell = (containerId: string | undefined): void => {
      outages.works(RELEASING)
      if (containerId === undefined) return
      onSlotFreed()
      emitter.emit('engine:released', { containerId, streamId })
    }
    const warn = (error: unknown): void => {
      this.#kept.add(streamId)
      outages.failed(RELEASING, 'The store did not give a slot back; the next sweep asks again', { streamId, error })
    }
    try {
      const released = store.releaseStream(streamId)
      if (isPromiseLike(released)) return this.#whileReleasing(promiseOf(released).then(tell, warn))
      tell(released)
    } catch (error) {
      warn(error)
    }
  }

  async #whileReleasing(answered: Promise<void>): Promise<void> {
    this.#releasingCount += 1
    await answered
    this.#releasingCount -= 1
    // The allocator kept callers in the line for this slot. It looks again also if no slot came.
    if (this.#releasingCount === 0) this.#parts.onSlotFreed()
  }
}
