import type { OrchestratorError } from '../errors.ts'
import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { Engine, EngineAddress } from './engine.ts'

/** The kind of key that identifies a content at an engine. */
export type KeyType = 'content_id' | 'infohash' | 'url' | 'magnet'

/** A playback, as the engine described it in its answer to the request for a stream. */
export interface PlaybackSession {
  /** Identifies the playback at the engine, 1 to 8,192 characters. */
  playbackSessionId: string
  /** The engine's URL for statistics: absolute, http or https. The orchestrator of 2025-10 polls it. */
  statUrl: string
  /** The engine's URL for commands, such as stop: absolute, http or https. */
  commandUrl: string
  /** Whether the content is live. @default true */
  isLive?: boolean | undefined
}

/** The start of a stream, as the host announces it. */
export interface StreamStart {
  /** The kind of `key`. */
  keyType: KeyType
  /** The content, 1 to 8,192 characters. */
  key: string
  /** The engine's answer. Further fields are ignored, so the whole answer may be spread into it. */
  session: PlaybackSession
  /** Identifies the stream, 1 to 2,048 characters. It must not be live already. @default `${key}|${playbackSessionId}` */
  streamId?: string | undefined
  /** Labels of the stream. Pass few: the orchestrator adds them to the engine's labels too (H7). @default none */
  labels?: Record<string, string> | undefined
}

/** An engine as the host describes it. Pass its container id if you know it. */
export type HostEngine = EngineAddress & { containerId?: string | undefined }

/** A stream that was announced. The end of an `await using` block ends it. */
export interface StreamHandle extends AsyncDisposable {
  /** The id of the stream at the orchestrator. */
  readonly id: string
  /** The engine, under the address that `mapEngine` returned. */
  readonly engine: HostEngine
  /** The state of the stream. It can change at any time. */
  readonly state: StreamState
  /** Aborts with a `StreamLostError` when the orchestrator restarted or the engine is gone: the playback is dead or soon will be. */
  readonly lost: PlatformAbortSignal
  /**
   * Ends the stream. Can be called again, and never rejects. Resolves when the end is delivered or given up, which may take as long as an
   * outage.
   *
   * With the default store the slot is free at once. With a `store` it is free when the orchestrator has applied the end or fails to, after
   * 1 s at the latest: no start of another proxy may reach the orchestrator before this end.
   *
   * @param reason goes into the event `stream:ended`
   */
  end(reason?: string): Promise<EndResult>
}

/**
 * The state of a stream. `announcing`: the start is not acknowledged yet, and the viewer can watch. `live`: it is acknowledged. `ending`:
 * `end()` was called, and the end is neither delivered nor given up yet. `ended`: it is delivered or given up. `refused`: the orchestrator
 * refused the start. `lost`: the engine is gone.
 */
export type StreamState = 'announcing' | 'live' | 'ending' | 'ended' | 'refused' | 'lost'

/** The result of an end. */
export interface EndResult {
  /** What happened to the end. */
  outcome: EndOutcome
  /** Requests that were made for this end. */
  attempts: number
  /** Says why the end was given up, or which other stream was ended. Absent if there is no error. */
  error?: OrchestratorError
}

/**
 * What happened to an end. `delivered`: the orchestrator applied it; v1 does not say whether it knew the stream. `duplicate`: the stream
 * was ended before, and nothing was sent. `not-announced`: the orchestrator never accepted the start, and nothing was sent. `unknown`: the
 * end was sent, but the orchestrator had no such stream, so nothing was ended. `undeliverable`: the end was given up or refused, see
 * `error`; it is sent again as long as the orchestrator lists the stream.
 */
export type EndOutcome = 'delivered' | 'duplicate' | 'not-announced' | 'unknown' | 'undeliverable'

/** A stream, as the orchestrator listed it. */
export interface Stream {
  /** The id with which it can be ended. */
  readonly id: string
  /** `infohash`, `content_id`, …; empty for viewers of v1's own proxy. */
  readonly keyType: string
  /** The content. */
  readonly key: string
  /** The container id of its engine. Empty while the orchestrator has not chosen one (viewers of v1's own proxy: `allocating`). */
  readonly containerId: string
  /** As in {@link PlaybackSession}. */
  readonly playbackSessionId: string
  /** As in {@link PlaybackSession}. */
  readonly statUrl: string
  /** As in {@link PlaybackSession}. */
  readonly commandUrl: string
  /** Whether the content is live. */
  readonly isLive: boolean
  /** `started`, `ended`, `pending_failover`, `allocating`, `prebuf`, … */
  readonly status: string
  /** When it started, by the orchestrator's clock. */
  readonly startedAt?: Date
  /** `startedAt` in microseconds since the epoch: distinguishes two starts within one millisecond. Not enumerable. */
  readonly startedAtUs?: number
  /** When it ended, by the orchestrator's clock. */
  readonly endedAt?: Date
}

/** Which streams `OrchestratorClient.listStreams` returns. @default all */
export interface StreamFilter {
  /** Only streams on this engine, 1 to 512 characters. @default all engines */
  containerId?: string | undefined
  /** Only streams with this status. @default all */
  status?: 'started' | 'ended' | undefined
}

/** A start, as it is sent to the orchestrator. */
export interface StartEvent {
  /** The id under which the orchestrator keeps the stream. */
  readonly streamId: string
  /** The engine. Absent if the host described its engine without this id. */
  readonly containerId?: string
  /** The address exactly as the orchestrator listed it: the orchestrator overwrites the engine's entry with it (H7). */
  readonly address: EngineAddress
  /** The kind of `key`. */
  readonly keyType: KeyType
  /** The content. */
  readonly key: string
  /** The playback, with `isLive` filled in. */
  readonly session: { readonly playbackSessionId: string; readonly statUrl: string; readonly commandUrl: string; readonly isLive: boolean }
  /** Labels of the stream, possibly none. */
  readonly labels: Readonly<Record<string, string>>
}

/** The fields of a start that a list decides: the engine's id, its listed address, and the session with this address. */
export type ListedPlace = Required<Pick<StartEvent, 'containerId' | 'address' | 'session'>>

/** Finds the place of a stream in a list. `undefined`: its engine is not listed. */
export type Locate = (engines: readonly Engine[]) => ListedPlace | undefined

/** What a stream plays, as far as its end needs to know it. */
export interface StreamPlayback {
  /** Closes the playback at its engine, once. Resolves when that is done, or takes too long. Never rejects. */
  close(): Promise<void>
}

/** A stream of this client, with what the parts of the client need of it beyond the handle of a host. */
export interface EndableStream extends StreamHandle {
  readonly lost: AbortSignal
  /** Aborts when it is over in this client. */
  readonly over: AbortSignal
  /** Resolves when its playback is closed and its slot is released. */
  readonly free: Promise<void>
  /** As `end`. Aborts `lost` with this cause, before the playback is closed. */
  stop(reason: unknown, cause: unknown): Promise<EndResult>
  /** Aborts `lost`. */
  signalLost(cause: unknown): void
}
