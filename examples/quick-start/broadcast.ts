import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Playback } from './watch.ts'

/** How much a viewer may be behind, bytes: about ten seconds of video. */
const MAX_BEHIND = 8_000_000

/** Copies one video to any number of viewers. */
export class Broadcast {
  readonly #playback: Playback
  readonly #viewers = new Set<Writable>()
  #isStopped = false

  constructor(playback: Playback) {
    this.#playback = playback
  }

  /**
   * Reads the video to its end, also while there is no viewer.
   *
   * @returns whether the video is complete. `false`: it was stopped before its end
   * @throws the error of the engine that broke off
   */
  async run(): Promise<boolean> {
    try {
      for await (const chunk of this.#playback.video as AsyncIterable<Buffer>) {
        for (const viewer of this.#viewers) {
          if (viewer.writableLength > MAX_BEHIND) viewer.destroy(new Error('This viewer is too slow'))
          else viewer.write(chunk)
        }
      }
    } catch (error) {
      if (this.#isStopped) return false
      throw error
    }
    for (const viewer of this.#viewers) viewer.end()
    return true
  }

  /** Copies the video to a viewer from now on, until the video ends, the viewer leaves, or `signal` aborts. */
  async copyTo(viewer: Writable, signal: AbortSignal): Promise<void> {
    this.#viewers.add(viewer)
    try {
      await finished(viewer, { signal })
    } catch (error) {
      // If the video is complete, the last bytes are on their way.
      if (!viewer.writableEnded) throw error
    } finally {
      this.#viewers.delete(viewer)
    }
  }

  /** Stops the session on the engine. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#playback.video.destroy()
    await this.#playback.stop()
  }
}
