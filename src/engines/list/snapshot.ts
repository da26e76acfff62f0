import type { Engine } from '../../model/engine.ts'
import type { Stream } from '../../model/stream.ts'
import type { Unreadable } from '../../orchestrator/unreadable-entries.ts'

/** An engine list and when it was taken. Frozen: many callers share it. */
export interface EngineSnapshot {
  readonly engines: readonly Engine[]
  /** All streams, where the refresh had to ask for them as well (v1). */
  readonly streams?: readonly Stream[]
  /** The entries that were left out, where there are any. */
  readonly unreadable?: Unreadable
  /** Position of its request among everything that was sent and acknowledged here; of a pushed list what can be proven of it. */
  readonly sequence: number
  /** Whether another client requested it: then its number only says when it was read from the cache. */
  readonly isForeign?: boolean
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  /** Of a list that was pushed: when the orchestrator took it, nanoseconds since the epoch by its own clock. */
  readonly takenAtNs?: bigint
}

/** Whether a list may take another's place. Pushes share a number as long as nothing proves more; their own time orders them then. */
export function supersedes(snapshot: EngineSnapshot, last: EngineSnapshot): boolean {
  if (snapshot.sequence !== last.sequence) return snapshot.sequence > last.sequence
  return snapshot.takenAtNs !== undefined && last.takenAtNs !== undefined && snapshot.takenAtNs > last.takenAtNs
}
