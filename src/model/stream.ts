import type { OrchestratorError } from '../errors.ts'
import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { EngineAddress } from './engine.ts'

/** A playback as the engine answered it. */
export interface PlaybackSession {
  /** 1 to 8,192 characters. */
  playbackSessionId: string
  /** Absolute http(s) URL. */
  statUrl: string
  /** Absolute http(s) URL. */
  commandUrl: string
  /** @default true */
  isLive?: boolean | undefined
}

/** A playback that begins: what the engine answered, and what was asked of it. */
export interface StreamStart {
  /** What `key` is. */
  keyType: KeyType
  /** The content: 1 to 8,192 characters. */
  key: string
  /** What the engine answered. Other keys are ignored, so an engine's whole answer may be spread into it. */
  session: PlaybackSession
  /** 1 to 2,048 characters; one that is not live here already. @default `${key}|${playbackSessionId}` */
  streamId?: string | undefined
  /** Shown with the stream. The orchestrator adds them to the engine's too, so give no more than are needed (hazard 7). */
  labels?: Record<string, string> | undefined
}

/** An engine as a host names it: with its container id where the host knows it. */
export type HostEngine = EngineAddress & { containerId?: string | undefined }

/** Where a stream is in its life. */
export type StreamState = 'announcing' | 'live' | 'ending' | 'ended' | 'refused' | 'lost'

/**
 * How an end came out. `delivered`: the orchestrator applied it (v1 does not tell whether it knew the stream). `duplicate`: this stream
 * was already ended here; nothing was sent. `not-announced`: the orchestrator never accepted its start, so no end was sent.
 * `unknown`: sent, and the orchestrator knew no such stream; nothing was ended. `undeliverable`:
 * given up or refused, `error` says why; it is sent again as long as the orchestrator lists the stream.
 */
export type EndOutcome = 'delivered' | 'duplicate' | 'not-announced' | 'unknown' | 'undeliverable'

/** What came of an end. */
export interface EndResult {
  /** What became of it. */
  outcome: EndOutcome
  /** Requests made for it. */
  attempts: number
  /** Why it was given up, or whom it hit. */
  error?: OrchestratorError
}

/** A stream that was announced. Leaving an `await using` block ends it. */
export interface StreamHandle extends AsyncDisposable {
  /** The id the orchestrator knows it by. */
  readonly id: string
  /** Under the address that `mapEngine` made of the listed one. */
  readonly engine: HostEngine
  /** Where it is in its life. */
  readonly state: StreamState
  /** Aborts when the orchestrator restarted or the engine went away: the playback is dead, or soon will be. */
  readonly lost: PlatformAbortSignal
  /**
   * Ends the stream: idempotent, never rejects. With the default store the slot is free at once. With a `store` it is free when the orchestrator
   * has applied the end or fails to, after 1 s at the latest: no other proxy's start may reach the orchestrator before this end.
   */
  end(reason?: string): Promise<EndResult>
}

/** One stream, as the orchestrator listed it. */
export interface Stream {
  /** The id to end it by. */
  readonly id: string
  /** `infohash`, `content_id`, …; empty for v1's own viewers. */
  readonly keyType: string
  readonly key: string
  /** Empty while the orchestrator has not given the stream an engine (v1's own viewers: `allocating`). */
  readonly containerId: string
  readonly playbackSessionId: string
  readonly statUrl: string
  readonly commandUrl: string
  readonly isLive: boolean
  /** `started`, `ended`, `pending_failover`, `allocating`, `prebuf`, … */
  readonly status: string
  readonly startedAt?: Date
  /** `startedAt` in microseconds since the epoch, which tells two starts within one millisecond apart. Not enumerable. */
  readonly startedAtUs?: number
  readonly endedAt?: Date
}

/** How a stream is named on an engine. */
export type KeyType = 'content_id' | 'infohash' | 'url' | 'magnet'

/** What the orchestrator is told when a stream starts. */
export interface StartEvent {
  readonly streamId: string
  readonly containerId?: string
  /** Exactly as the orchestrator listed it: it overwrites the engine's entry (hazard 7). */
  readonly address: EngineAddress
  readonly keyType: KeyType
  readonly key: string
  readonly session: { readonly playbackSessionId: string; readonly statUrl: string; readonly commandUrl: string; readonly isLive: boolean }
  readonly labels: Readonly<Record<string, string>>
}

/** Which streams `OrchestratorClient.listStreams` returns. @default all */
export interface StreamFilter {
  /** Only streams on this engine. */
  containerId?: string | undefined
  /** Only streams in this state. */
  status?: 'started' | 'ended' | undefined
}
