import type { Micros } from './stamps.ts'

/** A snapshot of a stream. */
export interface FakeStream {
  readonly id: string
  readonly keyType: string
  readonly key: string
  readonly containerId: string
  readonly playbackSessionId: string
  /** `started`, `ended` (only 2025-10 lists ended streams), `pending_failover` (2026-04), `allocating`, … */
  readonly status: string
  /** Whether a request started it; `false` for streams of `startElsewhere`. */
  readonly own: boolean
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number
  /** Milliseconds since the epoch; absent while the stream is live. */
  readonly endedAtMs?: number
}

/** A stream as the fake stores it. */
export interface StreamEntry {
  readonly id: string
  readonly keyType: string
  readonly key: string
  containerId: string
  containerName: string | null
  readonly playbackSessionId: string
  readonly statUrl: string
  readonly commandUrl: string
  readonly isLive: boolean
  readonly startedAt: Micros
  endedAt: Micros | null
  status: string
  /** Whether a request started it. */
  readonly own: boolean
  /** Position in the orchestrator's dictionary. A misapplied end hits the last live stream (H1). A repeated start keeps the position. */
  readonly place: number
}

/** The fields of a new stream. */
export type StreamInit = Omit<StreamEntry, 'endedAt' | 'status' | 'place' | 'containerName'> & { status?: string }

/** Returns a snapshot of a stream for tests. */
export function toFakeStream(entry: StreamEntry): FakeStream {
  const { id, keyType, key, containerId, playbackSessionId, status, own } = entry
  const startedAtMs = Math.floor(entry.startedAt / 1000)
  const stream = { id, keyType, key, containerId, playbackSessionId, status, own, startedAtMs }
  return Object.freeze(entry.endedAt === null ? stream : { ...stream, endedAtMs: Math.floor(entry.endedAt / 1000) })
}
