import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { Engine } from './engine.ts'
import type { StreamHandle, StreamStart } from './stream.ts'

/** Options of `EngineLease.fail`. */
export interface FailOptions {
  /**
   * The content that did not play, as in `StreamStart.key`. Pass it, so that one dead content ejects no engine. Then a failure counts in
   * full only if `cause`, or one of its causes, says that the engine cannot be reached or refuses connections (`ECONNREFUSED`, for
   * example). Any other failure of one content counts once per engine, and in full when that content has played on another engine. For
   * 10 min an acquire with this content as its `content` prefers other engines.
   *
   * @default none: each failure counts in full
   */
  key?: string | undefined
}

/** The right to start one stream on one engine. At the end of an `await using` block it is released. */
export interface EngineLease extends AsyncDisposable {
  /** Identifies the lease. */
  readonly id: string
  /** The engine, under the address that `mapEngine` returned. */
  readonly engine: Engine
  /**
   * When the slot is released if no stream starts, by the wall clock at the time of the lease. A later change of the wall clock changes
   * neither this date nor how long the lease lasts.
   */
  readonly expiresAt: Date
  /** Whether this is the `fallbackEngine`, which is never reported to the orchestrator. */
  readonly isFallback: boolean
  /**
   * Announces a stream. From then on the slot belongs to the stream. Resolves when the orchestrator has acknowledged the start, or, with a
   * stream that is `announcing`, after `startWaitMs` or the first failed attempt.
   *
   * @param options `signal`: ends the wait; a start that was aborted is ended
   * @throws {@link InvalidArgumentError} with the field of `start` that is wrong, or `streamId` if that stream is live
   * @throws {@link ResponseError} if the orchestrator refuses the start; the slot is released
   * @throws {@link CapacityError} with reason `lease_expired` if the lease has expired and its engine is full now
   * @throws the signal's reason if it aborts
   */
  startStream(start: StreamStart, options?: { signal?: PlatformAbortSignal | undefined }): Promise<StreamHandle>
  /** Releases the slot. Can be called again. Does nothing if a stream has the slot. */
  release(): Promise<void>
  /**
   * Releases the slot and counts one failure of the engine, once per lease. Three failures in a row eject an engine for 30 s, doubling up
   * to 5 min.
   *
   * @param cause what failed; goes into the event `engine:ejected`
   */
  fail(cause?: unknown, options?: FailOptions): Promise<void>
}
