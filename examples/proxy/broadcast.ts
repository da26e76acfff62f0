import type { EngineError } from './engine-request.ts'
import { checkIntervalMs, Pace } from './pace.ts'
import type { Playback, Session } from './playback.ts'

/** How far a viewer may fall behind, in bytes: 8 s at 8 Mbit/s. It bounds the memory of a content, because all viewers share the data. */
export const MAX_BACKLOG_BYTES = 8 * 1024 * 1024

/** A piece of the video, in a linked list: data that every viewer has read is freed by itself. */
interface Chunk {
  readonly data: Buffer
  /** Number of bytes of the video up to the end of this chunk. */
  readonly end: number
  next?: Chunk
}

/** The position of one viewer. */
interface Cursor {
  /** The chunk that the viewer has read last. */
  at: Chunk
  /** Ends the viewer's wait for data; `undefined` while the viewer does not wait, but handles the data that it got. */
  wake: (() => void) | undefined
  readonly pace: Pace
  /** See {@link WatchOptions.drop}. */
  readonly drop: () => void
}

/** Options of {@link Broadcast.watch}. */
export interface WatchOptions {
  /** Ends the wait for data. */
  signal: AbortSignal
  /** Called when the viewer was too slow for `slowViewerTimeoutMs`. The viewer may handle data then, so it must be ended by other means. */
  drop: () => void
}

/**
 * The video of one session, for any number of viewers. It is read from the engine once.
 *
 * - A viewer begins with the newest data, as on live TV.
 * - The engine is read as fast as the fastest viewer reads. If all viewers are slow, the engine waits for them.
 * - A slow viewer never slows down the others. If it falls more than {@link MAX_BACKLOG_BYTES} behind, it continues with the newest data.
 *   It is not cut off: players handle a jump in the stream better than a broken connection.
 * - A viewer who never keeps up for `slowViewerTimeoutMs` is dropped. So is a viewer who reads nothing for that time.
 * - After the last viewer has left, a live video is read and thrown away. So the engine sees no stalled reader, a silent engine is
 *   detected, and the next viewer begins with new data. A recording waits for the next viewer instead.
 */
export class Broadcast {
  readonly contentType: string
  /** The session that plays the video. {@link close} does not stop it. */
  readonly session: Session
  /** Resolves when the video ends, or with its failure. Never after {@link close}. */
  readonly finished: Promise<EngineError | undefined>
  readonly #finished = Promise.withResolvers<EngineError | undefined>()
  readonly #playback: Playback
  readonly #cursors = new Set<Cursor>()
  readonly #checkIntervalMs: number
  #paceTimer: NodeJS.Timeout | undefined
  #newest: Chunk
  #isReading = false
  #isOver = false
  #failure: EngineError | undefined

  /** @param slowViewerTimeoutMs how long a viewer may be slower than the video */
  constructor(playback: Playback, session: Session, slowViewerTimeoutMs: number) {
    this.contentType = playback.contentType
    this.session = session
    this.finished = this.#finished.promise
    this.#playback = playback
    this.#checkIntervalMs = checkIntervalMs(slowViewerTimeoutMs)
    this.#newest = { data: playback.first, end: playback.first.length }
  }

  /** Bytes that are kept for the viewer who is the furthest behind. */
  get backlogBytes(): number {
    return Math.max(0, ...Array.from(this.#cursors, (cursor) => this.#backlogOf(cursor)))
  }

  /**
   * Gives one viewer the video, from the newest data to the end.
   *
   * @throws the failure of the broadcast, or the reason of `signal`
   */
  async *watch({ signal, drop }: WatchOptions): AsyncGenerator<Buffer, void, undefined> {
    const cursor: Cursor = { at: this.#beforeNewest(), wake: undefined, pace: new Pace(), drop }
    const abort = (): void => cursor.wake?.()
    signal.addEventListener('abort', abort)
    this.#cursors.add(cursor)
    this.#paceTimer ??= this.#checkPaceLater()
    try {
      for (;;) {
        signal.throwIfAborted()
        if (this.#failure !== undefined) throw this.#failure
        const { next } = cursor.at
        if (next !== undefined) {
          cursor.at = next
          yield next.data
        } else if (this.#isOver) {
          return
        } else {
          await this.#moreFor(cursor)
        }
      }
    } finally {
      signal.removeEventListener('abort', abort)
      this.#cursors.delete(cursor)
      if (this.#cursors.size === 0) this.#stopPaceTimer()
      this.#readWithoutViewers()
    }
  }

  /** Closes the connection to the engine. Viewers get `failure`, or the data that they have not read yet. Does nothing if it is over. */
  close(failure?: EngineError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#failure = failure
    this.#playback.close()
    for (const cursor of this.#cursors) {
      // Free the data that a viewer who reads nothing would hold.
      if (failure !== undefined) cursor.at = this.#newest
      cursor.wake?.()
    }
  }

  #moreFor(cursor: Cursor): Promise<void> {
    cursor.pace.caughtUp(cursor.at.end)
    return new Promise((resolve) => {
      cursor.wake = () => {
        cursor.wake = undefined
        resolve()
      }
      this.#read()
    })
  }

  #checkPaceLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#paceTimer = this.#checkPaceLater()
      for (const cursor of this.#cursors) if (cursor.wake === undefined && cursor.pace.isTooSlow()) cursor.drop()
    }, this.#checkIntervalMs)
  }

  #stopPaceTimer(): void {
    clearTimeout(this.#paceTimer)
    this.#paceTimer = undefined
  }

  /** Reads the next chunk, unless it is being read. All viewers who wait get it. */
  #read(): void {
    if (this.#isReading || this.#isOver) return
    this.#isReading = true
    this.#playback.chunks.next().then(
      ({ done, value }) => (done ? this.#finish() : this.#append(value)),
      (error: EngineError) => this.#finish(error),
    )
  }

  #finish(failure?: EngineError): void {
    if (!this.#isOver) this.#finished.resolve(failure)
    this.close(failure)
  }

  #append(data: Buffer): void {
    if (this.#isOver) return
    const chunk: Chunk = { data, end: this.#newest.end + data.length }
    this.#newest.next = chunk
    this.#newest = chunk
    this.#isReading = false
    for (const cursor of this.#cursors) {
      if (this.#backlogOf(cursor) > MAX_BACKLOG_BYTES) {
        cursor.at = this.#beforeNewest()
        cursor.pace.skipped(this.#newest.end + MAX_BACKLOG_BYTES)
      }
      cursor.wake?.()
    }
    this.#readWithoutViewers()
  }

  #readWithoutViewers(): void {
    if (this.#cursors.size === 0 && this.session.announced.isLive) this.#read()
  }

  #beforeNewest(): Chunk {
    return { data: Buffer.alloc(0), end: this.#newest.end - this.#newest.data.length, next: this.#newest }
  }

  #backlogOf({ at }: Cursor): number {
    return this.#newest.end - at.end
  }
}
