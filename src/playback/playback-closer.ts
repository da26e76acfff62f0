import type { StreamPlayback } from '../model/stream.ts'
import { onAbort } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import { type MaybePromise, whenAnswered } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'

/** Dependencies of {@link PlaybackCloser}. */
export interface PlaybackCloserParts {
  clock: Clock
  outages: Outages
  /** Aborts with the client: nothing waits any longer. */
  lifetime: AbortSignal
}

const CLOSING = 'Closing playbacks'

/** Closes one playback with the host's function, once. */
export class PlaybackCloser implements StreamPlayback {
  readonly #parts: PlaybackCloserParts
  readonly #close: () => unknown
  readonly #timeoutMs: number
  readonly #where: object
  #closed: Promise<void> | undefined

  /**
   * @param close the host's function
   * @param timeoutMs how long {@link close} waits for it, milliseconds
   * @param where fields for log lines: the engine and the content
   */
  constructor(parts: PlaybackCloserParts, close: () => unknown, timeoutMs: number, where: object) {
    this.#parts = parts
    this.#close = close
    this.#timeoutMs = timeoutMs
    this.#where = where
  }

  /** Calls the host's function the first time. Resolves when it has settled or its time is up. Never rejects: a failure is logged. */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      // Set it first: the host's function may end the stream again.
      this.#closed = promise
      this.#run(resolve)
    }
    return this.#closed
  }

  #run(resolve: () => void): void {
    const { clock, outages, lifetime } = this.#parts
    if (lifetime.aborted) resolve()
    const closing = this.#call()
    if (closing === undefined || lifetime.aborted) {
      resolve()
      return
    }
    const timer = clock.setTimeout(() => {
      outages.failed(CLOSING, 'A playback was not closed in time; its slot is released, and its engine may still play', {
        ...this.#where,
        playbackCloseTimeoutMs: this.#timeoutMs,
      })
      stop()
    }, this.#timeoutMs)
    const stop = (): void => {
      timer.cancel()
      stopListening()
      resolve()
    }
    const stopListening = onAbort(lifetime, stop)
    void closing.then(stop)
  }

  /** Calls the host's function. Returns `undefined` if it has closed the playback at once. */
  #call(): MaybePromise<void> {
    const { outages } = this.#parts
    const onClosed = (): void => outages.works(CLOSING)
    const onFailure = (error: unknown): void => {
      const message = "The host's close() of a playback failed; its slot is released, and its engine may still play"
      outages.failed(CLOSING, message, { ...this.#where, error })
    }
    return whenAnswered(() => this.#close(), onClosed, onFailure)
  }
}
