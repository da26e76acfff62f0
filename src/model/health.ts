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

/** `closed`: requests go out. `open`: none does. `half-open`: one is about to find out, or is finding out. */
export type CircuitState = 'closed' | 'open' | 'half-open'
