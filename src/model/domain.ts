import type { Unreadable } from '../orchestrator/unreadable.ts'

/** Where an engine can be reached. */
export interface EngineAddress {
  /** A name or an IP address, of the orchestrator's Docker network unless mapped. IPv6 as listed: with brackets or without. */
  host: string
  /** 1 to 65535. */
  port: number
}

/** One AceStream engine, as the orchestrator listed it. Frozen, and shared between callers. */
export interface Engine extends Readonly<EngineAddress> {
  /** The orchestrator's key for this engine; a new one after every restart, even under the same name and port. */
  readonly containerId: string
  /** Not unique: 2025-10 names every engine after its host. */
  readonly containerName?: string
  /** `unknown` for up to 25 s after an engine started; such an engine works. */
  readonly healthStatus: 'healthy' | 'unhealthy' | 'unknown'
  /** Whether its VPN forwards a port to it. */
  readonly forwarded: boolean
  /** About to be removed: its streams go on, nothing new may be put there. */
  readonly draining: boolean
  /** The VPN node its traffic goes through. */
  readonly vpnContainer?: string
  /** Ids of the streams live there, as the orchestrator reports them (v1: from its stream list). */
  readonly streamIds: readonly string[]
  /** As reported; on v1 it drifts upward, so never decide by it. */
  readonly streamCount: number
  /** Of its container; the orchestrator adds those of started streams. */
  readonly labels: Readonly<Record<string, string>>
  /** When the orchestrator first knew of it, by the orchestrator's clock. Each read makes a new date. */
  readonly firstSeen?: Date
  readonly lastSeen?: Date
  readonly lastHealthCheck?: Date
  /** When a stream last ran there. */
  readonly lastStreamUsage?: Date
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

/** What the orchestrator says about itself. It advises; only an answer to a request decides. */
export interface OrchestratorHealth {
  /** `unknown` until a check succeeded; `unavailable` also when checks fail after that. */
  readonly status: 'healthy' | 'degraded' | 'unavailable' | 'unknown'
  /** When it was last read; absent until then. */
  readonly checkedAt?: Date
  /**
   * Whether the orchestrator accepts the API key, as the answers to this client's requests show. `rejected`: the last request that needs a
   * key got 401 or 403, because the key is wrong or none is set; that is logged as an `error` once. A read that gets 401 or 403 counts only
   * until a request that needs a key succeeds; after that it is logged as an `error` of its own. `none`: no key is set, and nothing was
   * rejected for it. `unknown`: nothing that needs a key was sent yet; reads do not, nor do events on v1's port 8000, where the event stream
   * or a request for an engine shows it.
   */
  readonly key: 'accepted' | 'rejected' | 'none' | 'unknown'
  /** Absent where the orchestrator does not tell. */
  readonly vpnConnected?: boolean
  /** Engines in all, in use and free; v1 and 2026-04 count engines with a stream as used, 2025-10 streams. */
  readonly capacity?: { readonly total: number; readonly used: number; readonly available: number; readonly maxReplicas?: number }
  readonly provisioning: {
    /** `true` until the orchestrator says otherwise. */
    readonly canProvision: boolean
    /** Why not, machine-readable: `vpn_disconnected`, `circuit_breaker`, `max_capacity`, … */
    readonly code?: string
    /** Why not, in words. */
    readonly reason?: string
    /** Milliseconds. */
    readonly retryAfterMs?: number
    /** Whether the cause is expected to pass by itself. */
    readonly shouldWait: boolean
    /** When the orchestrator last failed to start an engine, by its own clock; absent where it never did. */
    readonly lastFailureAt?: Date
  }
}

/** The part of {@link OrchestratorHealth} that the orchestrator itself says. */
export type OrchestratorStatus = Omit<OrchestratorHealth, 'key' | 'checkedAt'>

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

/** The orchestrator's acknowledgement of a start. */
export interface StartAcknowledgement {
  /** The id by which the orchestrator knows the stream: the one to end. */
  readonly streamId: string
  /** Where the orchestrator put it. */
  readonly containerId: string
  readonly startedAt?: Date
  /** The same in nanoseconds since the epoch, as exact as the orchestrator told it: to be compared with the time of a pushed list. */
  readonly startedAtNs?: bigint
}

/** The orchestrator's acknowledgement of an end. */
export interface EndAcknowledgement {
  /** Whether a stream was ended; `undefined` where the generation does not tell (v1). */
  readonly applied?: boolean
  /** Id of the stream that was ended, where the generation tells; another than ours is a victim (hazard 1). */
  readonly streamId?: string
}

/** A refresh of the engine list. */
export interface EngineList {
  readonly engines: readonly Engine[]
  /** All streams, where the engines do not name theirs, so that both had to be asked for (v1). */
  readonly streams?: readonly Stream[]
  /** The entries of both that were left out, where there are any. */
  readonly unreadable?: Unreadable
}

/** The answer to a provision request that was not refused. */
export interface ProvisionAcknowledgement {
  /** Names the new engine, where the generation tells (not v1). */
  readonly containerId?: string
}
