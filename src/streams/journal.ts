import { type MaybePromise, whenAnswered } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { JournalEntry, StateStore } from '../state/store.ts'
import { lifeOf } from './life.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** Number of attempts of a start that may still be in flight when its process dies. */
const STARTS_IN_FLIGHT = 3

/** Names of the work in log lines. */
const WRITING = "Writing the store's journal"
const REMOVING = "Removing streams from the store's journal"

/** Dependencies of {@link Journal}. */
export interface JournalParts {
  store: StateStore
  /** Whether other clients may use the store. */
  isStoreShared: boolean
  outages: Outages
  proxyId: string
}

/**
 * The streams that must be ended, written to the store before the orchestrator can know of them. After a crash `CrashRecovery` of another
 * process ends them. If the store fails, no viewer waits: the failure is logged, and no method throws or rejects.
 */
export class Journal {
  readonly #parts: JournalParts

  constructor(parts: JournalParts) {
    this.#parts = parts
  }

  /**
   * Writes an entry before the start of a stream is sent.
   *
   * @param containerId @default the engine of the start, if it is known
   */
  recordStart(stream: TrackedStream, containerId: string | undefined = stream.event.containerId): MaybePromise<void> {
    // The default store keeps no entry: a later process needs them, and memory does not survive this process.
    if (!this.#parts.isStoreShared) return
    const { id, event, lateStarts, announcementCount } = stream
    const life = lifeOf({ event, lateStarts: lateStarts + STARTS_IN_FLIGHT, attempt: announcementCount })
    const { proxyId } = this.#parts
    return this.write({ streamId: id, ...(containerId === undefined ? {} : { containerId }), isOver: false, life, proxyId })
  }

  /**
   * Writes an entry before the end of a stream is sent.
   *
   * @param life `''`: not known
   */
  recordEnd(streamId: string, reason: string | undefined, life: string): MaybePromise<void> {
    return this.write(this.endEntry(streamId, reason, life))
  }

  /** The entry that {@link recordEnd} writes. */
  endEntry(streamId: string, reason: string | undefined, life: string): JournalEntry {
    const { proxyId } = this.#parts
    return { streamId, ...(reason === undefined ? {} : { reason }), isOver: true, ...(life === '' ? {} : { life }), proxyId }
  }

  /**
   * Removes the entry of a life that needs no end any more: its end was applied, or the life is not listed. No caller waits for the store: an
   * entry that stays costs one read of the stream list when it is recovered.
   *
   * @param life `''`: not known
   */
  remove(streamId: string, life: string): void {
    const message = 'The store did not remove a stream from its journal; if this process dies, the stream is verified once more'
    void this.#report(REMOVING, message, streamId, () => this.#parts.store.settle(streamId, life))
  }

  /** Writes an entry. */
  write(entry: JournalEntry): MaybePromise<void> {
    const { store } = this.#parts
    const message = 'The store did not write a stream to its journal; if this process dies, no other process ends the stream'
    return this.#report(WRITING, message, entry.streamId, () => store.append(entry))
  }

  #report(work: string, message: string, streamId: string, call: () => MaybePromise<void>): MaybePromise<void> {
    const { outages } = this.#parts
    const onSuccess = (): void => outages.works(work)
    const onFailure = (error: unknown): void => outages.failed(work, message, { streamId, error })
    return whenAnswered(call, onSuccess, onFailure)
  }
}
