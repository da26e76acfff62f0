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

/** An engine that has room, and what the order of candidates goes by. */
export interface Candidate {
  readonly engine: Engine
  /** Slots taken there: streams reported or live here, and leases. */
  readonly load: number
  /** Slots taken on all engines of the same VPN node. */
  readonly vpnLoad: number
  /** When it was last used here or there, milliseconds since the epoch; 0: never. */
  readonly lastUsedAt: number
}

/** Negative: `a` is the better one. 0: chance decides. Anything but a number rejects the call that needed it. */
export type CandidateComparator = (a: Candidate, b: Candidate) => number
