import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { unlessAborted } from './abort.ts'
import type { Content } from './content.ts'
import { EngineError } from './engine-request.ts'
import type { EngineSource, JoinedViewer } from './engine-source.ts'
import type { HlsFile } from './hls-file.ts'
import { HLS, type HlsPlayback, MAIN } from './hls-playback.ts'
import { type PlayParts, playbackOf } from './play.ts'
import type { Playlist } from './playlist.ts'
import { Timeline } from './timeline.ts'
import type { RescueFigures } from './viewer.ts'

/** The parts and settings of HLS. Times are in milliseconds. */
export interface HlsParts extends PlayParts {
  capacityTimeoutMs: number
  /** How long a session continues without requests. */
  hlsTimeoutMs: number
  figures: RescueFigures
}

/** Maximum number of sessions that one request for a playlist tries: a second one if the first fails. */
const MAX_SESSIONS = 2

/**
 * HLS of one content, for all its viewers. They hold no connection, so the channel is one viewer of the stream in their place, and leaves
 * when no request came for `hlsTimeoutMs`. It outlives the sessions: if an engine fails, the next request for a playlist opens the content
 * on another one, and the names of the channel and its playlists stay valid.
 */
export class HlsChannel {
  readonly content: Content
  /** Names the channel in URLs. Nobody can guess it. */
  readonly token = randomUUID()
  readonly #parts: HlsParts
  readonly #onIdle: () => void
  readonly #timelines = new Map<string, Timeline>()
  #joined: JoinedViewer<HlsPlayback> | undefined
  #hasPlayed = false
  #requests = 0
  #idleTimer: NodeJS.Timeout | undefined

  /** @param onIdle called when the channel has ended, because nobody requested it */
  constructor(content: Content, parts: HlsParts, onIdle: () => void) {
    this.content = content
    this.#parts = parts
    this.#onIdle = onIdle
  }

  /** Whether a session is open. */
  get isOpen(): boolean {
    return this.#usable() !== undefined
  }

  /** What the open session plays. */
  get playback(): HlsPlayback | undefined {
    return this.#usable()?.stream.playback
  }

  /** Runs a request for this channel. The time without requests begins after the last one. */
  async use<T>(request: () => Promise<T>): Promise<T> {
    this.#requests++
    clearTimeout(this.#idleTimer)
    try {
      return await request()
    } finally {
      this.#requests--
      if (this.#requests === 0) this.#waitForRequest()
    }
  }

  /**
   * Returns a playlist, or `undefined` if the session has no such one. If the engine fails, another one continues it.
   *
   * @param source the engine source for this viewer
   * @param signal aborts the wait of this viewer; other viewers do not notice
   * @throws an error of `joinStream`, or {@link EngineError}
   */
  async playlist(name: string, source: EngineSource, signal: AbortSignal): Promise<Playlist | undefined> {
    for (let sessions = 1; ; sessions++) {
      const joined = await this.#join(source, signal)
      const { playback } = joined.stream
      if (name !== MAIN && !playback.hasPlaylist(name)) return undefined
      try {
        const playlist = await unlessAborted(playback.playlist(name), signal)
        return playlist.isMaster ? playlist : this.#timelineOf(name).place(playback, playlist)
      } catch (error) {
        // A viewer who left says nothing about the engine.
        signal.throwIfAborted()
        await this.#fail(joined, error, signal)
        if (sessions === MAX_SESSIONS || !(error instanceof EngineError)) throw error
      }
    }
  }

  /** Whether a playlist has named this file or playlist. */
  has(name: string): boolean {
    const playback = this.#usable()?.stream.playback
    return playback !== undefined && (playback.hasFile(name) || playback.hasPlaylist(name))
  }

  /** Returns a file that a playlist has named, or `undefined`. */
  file(name: string): HlsFile | undefined {
    return this.#usable()?.stream.playback.file(name)
  }

  async #join(source: EngineSource, signal: AbortSignal): Promise<JoinedViewer<HlsPlayback>> {
    const open = this.#usable()
    if (open !== undefined) return open
    const waitMs = this.#parts.capacityTimeoutMs
    const joined = await source.joinStream({ ...playbackOf(this.content, this.#parts, HLS), waitMs, lingerMs: 0, signal })
    const other = this.#usable()
    if (other !== undefined) {
      // Another request was faster. The channel is one viewer.
      await joined.leave('completed')
      return other
    }
    if (this.#hasPlayed) this.#parts.figures.rescued++
    this.#hasPlayed = true
    this.#joined = joined
    return joined
  }

  #usable(): JoinedViewer<HlsPlayback> | undefined {
    const joined = this.#joined
    if (joined === undefined) return undefined
    const { lost, playback } = joined.stream
    if (!lost.aborted && !playback.isOver) return joined
    this.#joined = undefined
    void joined.leave('engine_lost')
    return undefined
  }

  /** Ends a session for all viewers. Resolves when the next join opens another one. */
  async #fail({ stream }: JoinedViewer<HlsPlayback>, error: unknown, signal: AbortSignal): Promise<void> {
    const { lost, playback } = stream
    if (lost.aborted) return
    const gone = once(lost, 'abort', { signal })
    if (!playback.isOver) {
      playback.close()
      this.#parts.log.warn('An engine failed', { streamId: stream.id, content: this.content.key, error })
      void stream.fail(error)
    }
    await gone
  }

  #waitForRequest(): void {
    const { hlsTimeoutMs } = this.#parts
    // A lost session may be continued.
    if (this.#hasPlayed) this.#idleTimer = setTimeout(() => this.#end(), hlsTimeoutMs).unref()
    else this.#end()
  }

  #end(): void {
    const joined = this.#joined
    this.#joined = undefined
    this.#onIdle()
    void joined?.leave('idle')
  }

  #timelineOf(name: string): Timeline {
    const timeline = this.#timelines.get(name) ?? new Timeline()
    this.#timelines.set(name, timeline)
    return timeline
  }
}
