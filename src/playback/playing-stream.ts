import { StreamLostError } from '../errors.ts'
import type { OpenStream } from '../model/playback.ts'
import type { EndableStream, EndResult, HostEngine, StreamState } from '../model/stream.ts'
import type { PlatformAbortSignal } from '../runtime/platform.ts'
import { showAs } from '../runtime/platform.ts'

/** Content of a {@link PlayingStream}. */
export interface PlayingStreamParts<T> {
  stream: EndableStream
  playback: T
  /** Counts a failure of the engine. */
  blame: (cause: unknown) => void
}

/** The stream that a host gets from `openStream` or `joinStream`. */
export class PlayingStream<T> implements OpenStream<T> {
  readonly playback: T
  readonly #stream: EndableStream
  readonly #blame: (cause: unknown) => void
  #isShared = false
  #hasFailed = false
  /** The result of the first end. */
  #ended: Promise<EndResult> | undefined

  constructor({ stream, playback, blame }: PlayingStreamParts<T>) {
    this.#stream = stream
    this.playback = playback
    this.#blame = blame
  }

  get id(): string {
    return this.#stream.id
  }

  get engine(): HostEngine {
    return this.#stream.engine
  }

  get state(): StreamState {
    return this.#stream.state
  }

  get lost(): PlatformAbortSignal {
    return this.#stream.lost
  }

  end(reason?: string): Promise<EndResult> {
    const ended = this.#isShared ? this.#stream.stop(reason, this.#endedForAll()) : this.#stream.end(reason)
    this.#ended ??= ended
    return ended
  }

  fail(cause?: unknown): Promise<EndResult> {
    if (this.#stream.over.aborted) return this.#ended ?? this.end()
    this.#hasFailed = true
    const { id, engine } = this
    const { containerId = '' } = engine
    const reason = cause ?? new StreamLostError(`Stream ${id}: its playback on engine ${containerId} broke`, { streamId: id, containerId })
    this.#blame(reason)
    this.#ended = this.#stream.stop('failed', reason)
    return this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isShared) await this.end()
    else await this.#stream[Symbol.asyncDispose]()
  }

  /** Whether its engine is gone, or its host reported that the playback broke. */
  get isBroken(): boolean {
    return this.#hasFailed || this.state === 'lost'
  }

  /** Aborts when it is over in this client. */
  get over(): AbortSignal {
    return this.#stream.over
  }

  /** Resolves when its playback is closed and its slot is released. */
  get free(): Promise<void> {
    return this.#stream.free
  }

  /** From now on its end aborts `lost`: it has several viewers. */
  share(): void {
    this.#isShared = true
  }

  /** Ends it when no viewer is left. Does not abort `lost`. */
  endUnwatched(reason: string | undefined): Promise<EndResult> {
    this.#ended ??= this.#stream.end(reason)
    return this.#ended
  }

  /** Aborts `lost`, if that did not happen yet: it has ended while viewers watch. */
  signalEnded(): void {
    if (!this.lost.aborted) this.#stream.signalLost(this.#endedForAll())
  }

  #endedForAll(): StreamLostError {
    const { id, engine } = this
    return new StreamLostError(`Stream ${id} was ended for all its viewers`, { streamId: id, containerId: engine.containerId ?? '' })
  }
}

showAs(PlayingStream.prototype, 'OpenStream', ({ id, engine, state }) => ({ id, engine, state }))
