import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { Engine } from './engine.ts'
import type { StreamHandle, StreamStart } from './stream.ts'

/** What a host knows of a failure. */
export interface FailOptions {
  /**
   * The content that did not play, as in `StreamStart.key`. A dead content fails on every engine, so with a key only a `cause` that says that
   * the engine cannot be reached or refuses connections (`ECONNREFUSED` and the like, also as a nested cause) counts each time. Any other
   * failure of one content counts once for an engine, and in full once that content played on another.
   *
   * @default none: each failure counts in full
   */
  key?: string | undefined
}

/** The right to put one stream on one engine. */
export interface EngineLease extends AsyncDisposable {
  readonly id: string
  /** Under the address that `mapEngine` made of the listed one. */
  readonly engine: Engine
  /**
   * When the slot goes back by itself if no stream was started, by the wall clock as it was when the lease was taken. A wall clock that is set
   * later changes neither this date nor how long the lease lasts.
   */
  readonly expiresAt: Date
  /** Whether this is `fallbackEngine`, of which the orchestrator is told nothing. */
  readonly isFallback: boolean
  /**
   * Announces a stream; the slot is the stream's from here on. Resolves when the orchestrator has acknowledged, or, if it is
   * failing, after the first failed attempt, with the stream `announcing`.
   *
   * @throws {@link InvalidArgumentError} naming the field that is wrong, or `streamId` where that stream is live already
   * @throws {@link ResponseError} when the orchestrator refused the start; the slot has gone back
   * @throws {@link CapacityError} with reason `lease_expired` when the lease ran out and the engine is full by now
   * @throws the signal's reason when aborted; the stream is ended then
   */
  startStream(start: StreamStart, options?: { signal?: PlatformAbortSignal | undefined }): Promise<StreamHandle>
  /** Gives the slot back; idempotent; a no-op once a stream has it. */
  release(): Promise<void>
  /**
   * Releases the slot and counts a failure of this engine: three in a row eject it for a while. Counts once a lease.
   *
   * @param cause what went wrong; goes into the event `engine:ejected`
   */
  fail(cause?: unknown, options?: FailOptions): Promise<void>
}
