import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { EndResult, StreamHandle } from './stream.ts'

/** A stream with its playback, as `openStream` and `joinStream` opened it. The end of an `await using` block ends it. */
export interface OpenStream<T> extends StreamHandle {
  /** What `open` returned. */
  readonly playback: T
  /**
   * Aborts when the playback is dead or soon will be: with a `StreamLostError` when the orchestrator restarted or the engine is gone, or when
   * a viewer ended a shared stream for all, and with the cause that was passed to {@link fail}. Nothing else aborts it for a stream of `openStream`.
   */
  readonly lost: PlatformAbortSignal
  /**
   * Ends the stream: calls `close` once and waits for it at most `playbackCloseTimeoutMs`, then frees the slot and sends the end. Can be called again,
   * and never rejects. A stream of `joinStream` ends for all its viewers, and `lost` aborts.
   *
   * @param reason goes into the event `stream:ended`
   */
  end(reason?: string): Promise<EndResult>
  /**
   * Reports that the playback broke. Counts a failure of the engine, as `EngineLease.fail` with the key of the content, aborts {@link lost} with
   * the cause, and ends the stream as {@link end} does. If the stream is over, this only resolves with the result of its end.
   *
   * @param cause what broke
   */
  fail(cause?: unknown): Promise<EndResult>
}

/** A viewer of a stream that `joinStream` shares. At the end of an `await using` block the viewer leaves. */
export interface StreamViewer<T> extends AsyncDisposable {
  /** The stream: the same object for all its viewers. */
  readonly stream: OpenStream<T>
  /** Whether this viewer starts the pump: it is the earliest of the viewers that waited when the stream opened. True for one viewer of each stream. */
  readonly isFirst: boolean
  /**
   * Leaves the stream. Resolves at once, and can be called again. When the last viewer has left, the stream ends after `lingerMs`, unless another
   * viewer joins before.
   *
   * @param reason goes into the event `stream:ended`, if this was the last viewer
   */
  leave(reason?: string): Promise<void>
}
