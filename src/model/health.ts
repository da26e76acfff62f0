/** The orchestrator's health. It is advice: only the answer to a request decides. */
export interface OrchestratorHealth {
  /** `unknown` until a check succeeds, `unavailable` also when a later check fails. */
  readonly status: 'healthy' | 'degraded' | 'unavailable' | 'unknown'
  /** When the health was last read. Absent before the first read. */
  readonly checkedAt?: Date
  /**
   * Whether the orchestrator accepts the API key, judged by its answers to this client. `accepted`: a request that needs a key succeeded.
   * `rejected`: the last one got 401 or 403, because the key is wrong or none is set; this is logged once as an `error`. `none`: no key is
   * set, and nothing was rejected. `unknown`: no request needed a key yet.
   *
   * Reads need no key, nor do events on port 8000 of v1: there the event stream or a request for an engine shows whether the key is right.
   * A read that gets 401 or 403 counts until a request that needs a key succeeds. After that it is logged as a separate `error`.
   */
  readonly key: 'accepted' | 'rejected' | 'none' | 'unknown'
  /** Whether the VPN is connected. Absent if the orchestrator does not say. */
  readonly vpnConnected?: boolean
  /**
   * Numbers of engines. `used` counts engines with a stream, on 2025-10 streams. `maxReplicas` is the number of engines that the
   * orchestrator may run. Absent if the orchestrator does not say.
   */
  readonly capacity?: { readonly total: number; readonly used: number; readonly available: number; readonly maxReplicas?: number }
  /** Whether the orchestrator can start an engine. */
  readonly provisioning: {
    /** `true` until the orchestrator says otherwise. */
    readonly canProvision: boolean
    /** Why it cannot, as a code: `vpn_disconnected`, `circuit_breaker`, `max_capacity`, … */
    readonly code?: string
    /** Why it cannot, in words. */
    readonly reason?: string
    /** Milliseconds after which the orchestrator advises to request an engine again. */
    readonly retryAfterMs?: number
    /** Whether the cause is expected to pass without help. */
    readonly shouldWait: boolean
    /** When the orchestrator last failed to start an engine, by its own clock. Absent if it never failed. */
    readonly lastFailureAt?: Date
  }
}

/** The part of {@link OrchestratorHealth} that the orchestrator reports. */
export type OrchestratorStatus = Omit<OrchestratorHealth, 'key' | 'checkedAt'>

/**
 * `closed`: requests are sent. `open`: nothing is sent. `half-open`: the next request, or one in flight, shows whether the orchestrator
 * works again.
 */
export type CircuitState = 'closed' | 'open' | 'half-open'
