import { isPromiseLike } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { EndedHere } from '../state/ended-here.ts'
import type { StateStore } from '../state/store.ts'
import type { Emitter } from '../telemetry/emitter.ts'

/** What the slots are built from. */
export interface StreamSlotsParts {
  store: StateStore
  endedHere: EndedHere
  emitter: Emitter
  outages: Outages
  /** Called when a slot came back. */
  onSlotFreed: () => void
}

/** Names the work in log lines. */
export const MOVING_SLOTS = 'Moving slots in the store'
const RELEASING = 'Giving slots back to the store'

/** The slots that streams hold in the store. */
export class StreamSlots {
  readonly #parts: StreamSlotsParts
  /** Streams that are over and whose slots the store failed to take back: no more than it still holds. */
  readonly #kept = new Set<string>()

  constructor(parts: StreamSlotsParts) {
    this.#parts = parts
  }

  /** Takes a slot, or moves the one the stream has, whether or not there is room: the stream is there. */
  async occupy(containerId: string, streamId: string): Promise<void> {
    this.#parts.endedHere.forget(streamId)
    this.#kept.delete(streamId)
    await this.#parts.store.occupy(containerId, streamId)
  }

  /** At once where the store answers at once. A store that fails keeps the slot for now; ending a stream must not fail with it. */
  release(streamId: string): void {
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
      if (isPromiseLike(released)) released.then(tell, warn)
      else tell(released)
    } catch (error) {
      warn(error)
    }
  }

  /** Asks the store again for the slots it failed to take back, but for those of ids that live again. */
  sweep(isLive: (streamId: string) => boolean): void {
    for (const streamId of [...this.#kept]) {
      this.#kept.delete(streamId)
      if (!isLive(streamId)) this.release(streamId)
    }
  }

  /** A stream that goes by another id now gives the slot of the old one back, quietly: it holds one already. */
  async forget(streamId: string): Promise<void> {
    await this.#parts.store.releaseStream(streamId)
  }
}
