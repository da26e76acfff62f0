import { isPromiseLike, type MaybePromise } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { JournalEntry, StateStore } from '../state/store.ts'
import { lifeOf } from './life.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** Attempts at a start that a process may have made when it dies. */
const STARTS_IN_FLIGHT = 3

const WRITING = "Writing the store's journal"
const STRIKING = "Striking streams out of the store's journal"

/** What a journal is built from. */
export interface JournalParts {
  store: StateStore
  outages: Outages
  proxyId: string
}

/**
 * The streams that somebody has to end, written down before the orchestrator can know of them, so that whoever comes after a crash can. A
 * store that fails is no reason to keep a viewer waiting.
 */
export class Journal {
  readonly #parts: JournalParts

  constructor(parts: JournalParts) {
    this.#parts = parts
  }

  /** The start of a stream is about to be sent. */
  started(stream: TrackedStream, containerId: string | undefined = stream.event.containerId): MaybePromise<void> {
    const { id, event, lateStarts, announcements } = stream
    const life = lifeOf({ event, lateStarts: lateStarts + STARTS_IN_FLIGHT, attempt: announcements })
    return this.#append({ streamId: id, ...(containerId === undefined ? {} : { containerId }), isOver: false, life })
  }

  /** The end of a stream is about to be sent. */
  over(streamId: string, reason: string | undefined, life: string): MaybePromise<void> {
    return this.#append({ streamId, ...(reason === undefined ? {} : { reason }), isOver: true, ...(life === '' ? {} : { life }) })
  }

  /**
   * This life of a stream needs no end any more: its end is applied, or it is not listed. No caller waits for the store: an entry that stays
   * costs its heir one look at the list.
   *
   * @param life `''`: not known
   */
  settled(streamId: string, life: string): void {
    const { store, outages } = this.#parts
    const works = (): void => outages.works(STRIKING)
    const warn = (error: unknown): void =>
      outages.failed(STRIKING, 'The store did not strike a stream out of its journal', { streamId, error })
    try {
      const settled = store.settle(streamId, life)
      if (isPromiseLike(settled)) settled.then(works, warn)
      else works()
    } catch (error) {
      warn(error)
    }
  }

  /** What processes that died have left to be ended. Rejects where the store cannot tell. */
  async left(): Promise<readonly JournalEntry[]> {
    return this.#parts.store.recover()
  }

  #append(entry: Omit<JournalEntry, 'proxyId'>): MaybePromise<void> {
    const { store, outages, proxyId } = this.#parts
    const works = (): void => outages.works(WRITING)
    const warn = (error: unknown): void =>
      outages.failed(WRITING, 'The store did not write a stream down', { streamId: entry.streamId, error })
    try {
      const appended = store.append({ ...entry, proxyId })
      if (isPromiseLike(appended)) return Promise.resolve(appended).then(works, warn)
      return works()
    } catch (error) {
      return warn(error)
    }
  }
}
