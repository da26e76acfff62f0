import type { StreamViewer } from '../model/playback.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { showAs } from '../runtime/platform.ts'
import type { Emitter } from '../telemetry/events.ts'
import type { PlayingStream } from './playing-stream.ts'

/** Dependencies of {@link SharedStream}. */
export interface SharedStreamParts<T> {
  stream: PlayingStream<T>
  clock: Clock
  emitter: Emitter
  /** Called when its last viewer has left, and again when a viewer has joined after that. */
  onLingering: (isLingering: boolean) => void
  /** Called when it is over, for any reason. */
  onOver: () => void
}

/** An open stream and its viewers. When the last viewer has left, it lingers for a while and then ends. */
export class SharedStream<T> {
  readonly stream: PlayingStream<T>
  readonly #parts: SharedStreamParts<T>
  readonly #viewers = new Set<StreamViewer<T>>()
  #lingerTimer: Timer | undefined

  constructor(parts: SharedStreamParts<T>) {
    this.#parts = parts
    this.stream = parts.stream
    this.stream.share()
  }

  /** Notices when the stream is over. Call it once, after the first viewers have entered. */
  watch(): void {
    const { over } = this.stream
    if (over.aborted) this.#onOver()
    else over.addEventListener('abort', () => this.#onOver(), { once: true })
  }

  get viewerCount(): number {
    return this.#viewers.size
  }

  /** Adds a viewer. */
  enter(lingerMs: number, isFirst: boolean): StreamViewer<T> {
    const viewer = new Viewer(this.stream, isFirst, (reason) => this.#leave(viewer, lingerMs, reason))
    this.#stopLingering()
    this.#viewers.add(viewer)
    this.#parts.emitter.to('viewer:joined')?.({ streamId: this.stream.id, viewerCount: this.#viewers.size })
    return viewer
  }

  /** Ends it without a viewer, unless it is over. */
  end(reason: string | undefined): void {
    if (!this.stream.over.aborted) void this.stream.endUnwatched(reason)
  }

  #leave(viewer: StreamViewer<T>, lingerMs: number, reason: string | undefined): void {
    if (!this.#viewers.delete(viewer)) return
    const { clock, emitter, onLingering } = this.#parts
    const { stream } = this
    const isUnwatched = this.#viewers.size === 0 && !stream.over.aborted
    if (isUnwatched && lingerMs === 0) this.end(reason)
    if (isUnwatched && lingerMs > 0) {
      this.#lingerTimer = clock.setTimeout(() => this.end(reason), lingerMs)
      onLingering(true)
    }
    emitter.to('viewer:left')?.({ streamId: stream.id, viewerCount: this.#viewers.size })
  }

  #stopLingering(): void {
    if (this.#lingerTimer === undefined) return
    this.#lingerTimer.cancel()
    this.#lingerTimer = undefined
    this.#parts.onLingering(false)
  }

  #onOver(): void {
    this.#stopLingering()
    this.#parts.onOver()
    // Later, because this is called in the middle of the end. Its viewers must stop reading: no other one can join them.
    if (this.#viewers.size > 0) void Promise.resolve().then(() => this.stream.signalEnded())
  }
}

/** See {@link StreamViewer}. */
class Viewer<T> implements StreamViewer<T> {
  readonly stream: PlayingStream<T>
  readonly isFirst: boolean
  readonly #leave: (reason: string | undefined) => void

  constructor(stream: PlayingStream<T>, isFirst: boolean, leave: (reason: string | undefined) => void) {
    this.stream = stream
    this.isFirst = isFirst
    this.#leave = leave
  }

  async leave(reason?: string): Promise<void> {
    this.#leave(reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave(undefined)
  }
}

showAs(Viewer.prototype, 'StreamViewer', ({ stream, isFirst }) => ({ stream, isFirst }))
