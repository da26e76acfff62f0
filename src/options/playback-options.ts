import type { Engine } from '../model/engine.ts'
import type { KeyType, PlaybackSession } from '../model/stream.ts'
import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { AcquireOptions } from './call-options.ts'

/** What `open` gets besides the engine. */
export interface OpenContext {
  /**
   * Aborts when the playback is not wanted any more: the viewer left, `openTimeoutMs` is over, or the client closes. If `open` resolves after that,
   * `close` is called with its playback.
   */
  readonly signal: PlatformAbortSignal
  /** 1 for the first engine, 2 for the second. */
  readonly attempt: number
}

/** What `open` returns. */
export interface OpenedPlayback<T> {
  /** The engine's answer, which is announced to the orchestrator. */
  session: PlaybackSession
  /** Whatever the host needs to play: it becomes `stream.playback`. */
  playback: T
}

/** Options of `OrchestratorClient.openStream`. */
export interface OpenStreamOptions<T> extends AcquireOptions {
  /** The kind of `key`. */
  keyType: KeyType
  /** The content, 1 to 8,192 characters. */
  key: string
  /** Labels of the stream, as in `StreamStart`. @default none */
  labels?: Record<string, string> | undefined
  /** Identifies the stream, 1 to 2,048 characters. @default `${key}|${playbackSessionId}` */
  streamId?: string | undefined
  /**
   * Opens the playback on an engine: your own request to it. If it rejects, the engine counts a failure (see `EngineLease.fail`), and the next engine
   * is tried. Throw a `ContentError` if no engine can play the content. What it has opened when it rejects, it must close itself.
   */
  open(engine: Engine, context: OpenContext): OpenedPlayback<T> | Promise<OpenedPlayback<T>>
  /**
   * Closes a playback: your own request to the engine to stop it. Called exactly once for each playback that `open` returned, before its slot is free. An
   * error is logged. @default nothing is closed, and the slot is free at once
   */
  close?: ((playback: T) => unknown) | undefined
  /** How many engines to try, 1 or more. Raise it if single engines fail often. @default 2 */
  engineAttempts?: number | undefined
  /** The limit of one call of `open`, above 0 milliseconds. Raise it if engines take longer to find a content. @default 20_000 */
  openTimeoutMs?: number | undefined
  /** How long a slot waits for `close`, 0 or more milliseconds. Lower it if the next viewer must not wait for an engine that hangs. @default 5_000 */
  playbackCloseTimeoutMs?: number | undefined
}

/** Options of `OrchestratorClient.joinStream`. */
export interface JoinStreamOptions<T> extends OpenStreamOptions<T> {
  /** Tells playbacks of one content apart that cannot be shared, such as `'hls'` and `'mpeg-ts'`. 1 to 255 characters. @default none */
  variant?: string | undefined
  /** How long the stream stays open when this viewer was the last one to leave, 0 or more milliseconds. 0: it ends at once. @default 5_000 */
  lingerMs?: number | undefined
}
