import type { Engine } from '../../model/engine.ts'
import type { Stream } from '../../model/stream.ts'
import type { Unreadable } from '../../orchestrator/unreadable-entries.ts'

/** One version of the engine list. Frozen, because all callers share it. */
export interface EngineSnapshot {
  readonly engines: readonly Engine[]
  /** All streams, if the list came with them: v1's engines do not name their streams, so a refresh requests them too, and a push has them. */
  readonly streams?: readonly Stream[]
  /** The entries that could not be read, if there are any. */
  readonly unreadable?: Unreadable
  /**
   * Number of the list's request in the client's `Sequence`: the list shows all events that were acknowledged before that number. A pushed
   * list was not requested: its number is the highest number for which that can be proven, see `PushOrder`.
   */
  readonly sequence: number
  /** Whether another client requested the list. Its `sequence` is then the time of its read from the cache. */
  readonly isForeign?: boolean
  /** When the list arrived, milliseconds by the client's clock. A pushed list that was delayed counts as older, see `PushIntake`. */
  readonly receivedAt: number
  /** When the orchestrator made a pushed list, nanoseconds since the epoch by its own clock. `undefined`: the list was requested. */
  readonly takenAtNs?: bigint
}

/**
 * Whether `snapshot` is newer than `last` and may replace it. Pushed lists share a sequence number as long as no higher one can be proven;
 * then the orchestrator's own timestamps order them.
 */
export function supersedes(snapshot: EngineSnapshot, last: EngineSnapshot): boolean {
  if (snapshot.sequence !== last.sequence) return snapshot.sequence > last.sequence
  return snapshot.takenAtNs !== undefined && last.takenAtNs !== undefined && snapshot.takenAtNs > last.takenAtNs
}

/**
 * Knows which streams in a list are over. The orchestrator lists a stream until it has applied the end, and the client uses a list that was
 * requested before that for a while longer. Such a stream must not count as load.
 */
export interface EndedIds {
  /** Whether the stream is over although a list that was requested at this sequence number may show it. */
  isOver(streamId: string, requestedAt: number): boolean
  /** Records that the orchestrator has applied the end of another process's stream. In lists requested until now it is over. */
  markEnded(streamId: string): void
  /** Calls `listener` with each id for which {@link isOver} may have changed, for any list that exists. */
  onChange(listener: (streamId: string) => void): void
  /** Call it when no list requested before this sequence number is used any more. */
  forgetBefore(requestedAt: number): void
}
