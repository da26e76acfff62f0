import type { Micros } from './stamps.ts'

/** A stream as a test sees it. */
export interface FakeStream {
  readonly id: string
  readonly keyType: string
  readonly key: string
  readonly containerId: string
  readonly playbackSessionId: string
  /** `started`, `ended` (2025-10 keeps those), `pending_failover` (2026-04), `allocating` … */
  readonly status: string
  /** Whether a request started it; `false` for other proxies' (`startElsewhere`). */
  readonly own: boolean
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number
  readonly endedAtMs?: number
}

/** A stream in the fake's books. */
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
  /** Where it stands in the orchestrator's dictionary: the last live one is the victim of hazard 1. A repeated start keeps it. */
  readonly place: number
}

/** What is needed to enter a stream into the books. */
export type StreamInit = Omit<StreamEntry, 'endedAt' | 'status' | 'place' | 'containerName'> & { status?: string }

/** The snapshot given to tests. */
export function toFakeStream(entry: StreamEntry): FakeStream {
  const { id, keyType, key, containerId, playbackSessionId, status, own } = entry
  const startedAtMs = Math.floor(entry.startedAt / 1000)
  const stream = { id, keyType, key, containerId, playbackSessionId, status, own, startedAtMs }
  return Object.freeze(entry.endedAt === null ? stream : { ...stream, endedAtMs: Math.floor(entry.endedAt / 1000) })
}
