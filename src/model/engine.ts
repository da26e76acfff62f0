/** The address of an engine. */
export interface EngineAddress {
  /**
   * A host name or an IP address, in the orchestrator's network unless `mapEngine` rewrites it. IPv6 with or without brackets, as the
   * orchestrator lists it.
   */
  host: string
  /** The port of its HTTP API, 1 to 65535. */
  port: number
}

/** An AceStream engine as the orchestrator listed it. Frozen, and shared between callers. */
export interface Engine extends Readonly<EngineAddress> {
  /** Identifies the engine at the orchestrator. A restart gives it a new one, even under the same name and port. */
  readonly containerId: string
  /** Name of its container. Not unique: 2025-10 names every engine after its host. */
  readonly containerName?: string
  /** The orchestrator's own check. `unknown` for up to 25 s after the engine has started: such an engine works. */
  readonly healthStatus: 'healthy' | 'unhealthy' | 'unknown'
  /** Whether its VPN forwards a port to it. The built-in order prefers such an engine. */
  readonly forwarded: boolean
  /** Whether it will be removed soon. Its streams continue, and it gets no new one. */
  readonly draining: boolean
  /** The VPN node of its traffic. */
  readonly vpnContainer?: string
  /** Ids of its live streams, as the orchestrator reports them. On v1 they come from the list of streams. */
  readonly streamIds: readonly string[]
  /** The number of its streams, as the orchestrator reports it. On v1 this number drifts upwards: use `streamIds` for decisions. */
  readonly streamCount: number
  /** Labels of its container. The orchestrator adds the labels of its streams. */
  readonly labels: Readonly<Record<string, string>>
  /** When the orchestrator first saw it, by the orchestrator's clock. Each read returns a new `Date`. */
  readonly firstSeen?: Date
  /** When the orchestrator last saw it. */
  readonly lastSeen?: Date
  /** When the orchestrator last checked its health. */
  readonly lastHealthCheck?: Date
  /** When a stream last ran on it. */
  readonly lastStreamUsage?: Date
}

/** An engine with room, and the values that the built-in order compares. */
export interface Candidate {
  /** The engine, as the orchestrator listed it. */
  readonly engine: Engine
  /** Slots that are taken: streams that the orchestrator reports or that are live at this client, and leases. */
  readonly load: number
  /** Slots that are taken on all engines of the same VPN node. */
  readonly vpnLoad: number
  /** When a stream last ran on it, by this client or by the orchestrator, in milliseconds since the epoch. 0: never. */
  readonly lastUsedAt: number
  /**
   * Whether a known stream on it has the `content` that the caller passed to `acquireEngine`, or this content failed on it lately. `false` if
   * the caller passed none.
   */
  readonly hasContent: boolean
}

/**
 * Compares two candidates. Negative: `a` is better. Positive: `b` is better. 0: chance decides. If it returns no number, the call that
 * used it rejects with an `InvalidArgumentError`.
 */
export type CandidateComparator = (a: Candidate, b: Candidate) => number
