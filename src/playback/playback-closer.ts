import type { StreamPlayback } from '../model/stream.ts'
import type { Clock } from '../runtime/clock.ts'
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
  #closed: Promise<void> | undefined

  /**
   * @param close the host's function
   * @param timeoutMs how long {@link close} waits for it, milliseconds
   */
  constructor(parts: PlaybackCloserParts, close: () => unknown, timeoutMs: number) {
    this.#parts = parts
    this.#close = close
    this.#timeoutMs = timeoutMs
  }

  /** Calls the host's function the first time. Resolves when it has settled or its time is up. Never rejects: a failure is logged. */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      // Set it first: the host's function may end the stream again.
      this.#closed = promise
      void this.#run(resolve)
    }
    return this.#closed
  }

  async #run(resolve: () => void): Promise<void> {
    const { clock, outages, lifetime } = this.#parts
    if (lifetime.aborted) {
      resolve()
      await this.#call()
      return
    }
    const timer = clock.setTimeout(() => {
      outages.failed(CLOSING, 'A playback was not closed in time; its slot is released all the same', {
        playbackCloseTimeoutMs: this.#timeoutMs,
      })
      stop()
    }, this.#timeoutMs)
    const stop = (): void => {
      timer.cancel()
      lifetime.removeEventListener('abort', stop)
      resolve()
    }
    lifetime.addEventListener('abort', stop)
    await this.#call()
    stop()
  }

  async #call(): Promise<void> {
    const { outages } = this.#parts
    try {
      await this.#close()
      outages.works(CLOSING)
    } catch (error) {
      outages.failed(CLOSING, "The host's close() of a playback failed", { error })
    }
  }
}
