import type { Engine } from './engine.ts'
import type { OrchestratorHealth } from './health.ts'

/** A release of the orchestrator whose API differs from the others'. */
export type Generation = '2025-10' | '2026-04' | 'v1'

/**
 * Names a {@link Problem}. Later releases may have further codes.
 *
 * The orchestrator is not reached: `host_not_found` (DNS), `connection_refused`, `host_unreachable` (no route), `connect_timeout` (packets are
 * lost), `no_answer` (it hangs), `connection_broken`, `tls_failed`, `tls_required` (http for a port that speaks TLS), `not_http`.
 *
 * Something else answers: `wrong_service`, `wrong_path`, `wrong_dialect`, `redirected`, `login_page`, `access_denied` (a proxy in front rejects the
 * request), `gateway_error` (a proxy in front cannot reach it), `rate_limited`, `orchestrator_error`, `malformed_answer`, `internal_port` (v1's
 * port 8083).
 *
 * The key: `key_missing`, `key_rejected`, `key_unchecked`. The client: `circuit_open`, `store_unavailable`, `store_unusable`, `clock_skew`.
 *
 * Room for viewers: `no_engines`, `engines_full`, `engines_unusable`, `vpn_down`, `breaker_open`, `provisioning_blocked`.
 *
 * Engines: `engine_host_not_found`, `engine_refused`, `engine_unreachable`, `map_engine_failed`, `engines_unreadable`.
 */
export type ProblemCode =
  | 'host_not_found'
  | 'connection_refused'
  | 'host_unreachable'
  | 'connect_timeout'
  | 'no_answer'
  | 'connection_broken'
  | 'tls_failed'
  | 'tls_required'
  | 'not_http'
  | 'wrong_service'
  | 'wrong_path'
  | 'wrong_dialect'
  | 'redirected'
  | 'login_page'
  | 'access_denied'
  | 'gateway_error'
  | 'rate_limited'
  | 'orchestrator_error'
  | 'malformed_answer'
  | 'internal_port'
  | 'key_missing'
  | 'key_rejected'
  | 'key_unchecked'
  | 'circuit_open'
  | 'store_unavailable'
  | 'store_unusable'
  | 'clock_skew'
  | 'no_engines'
  | 'engines_full'
  | 'engines_unusable'
  | 'vpn_down'
  | 'breaker_open'
  | 'provisioning_blocked'
  | 'engine_host_not_found'
  | 'engine_refused'
  | 'engine_unreachable'
  | 'map_engine_failed'
  | 'engines_unreadable'

/** Something that is wrong, or that a viewer will notice. */
export interface Problem {
  /** Identifies the kind of problem. */
  readonly code: ProblemCode
  /** The cause, in words. */
  readonly message: string
  /** What to do, in words. */
  readonly remedy: string
}

/** An engine of a {@link Diagnosis}. */
export interface DiagnosedEngine {
  /** Identifies the engine at the orchestrator. */
  readonly containerId: string
  /** The host at which this proxy would connect to it: the host that `mapEngine` returned. */
  readonly host: string
  /** The port at which this proxy would connect to it. */
  readonly port: number
  /** The orchestrator's own check. */
  readonly healthStatus: Engine['healthStatus']
  /** Slots that are taken there: streams that the orchestrator reports or that are live at this client, and leases. */
  readonly load: number
  /** Slots that it has: `maxStreamsPerEngine`. */
  readonly limit: number
  /** Whether a TCP connection to `host` and `port` was made. Absent if that was not tried: no sockets here, or no time left. */
  readonly reachable?: boolean
  /** Why it is not reachable, or why its address is not known. Absent if there is no error. */
  readonly error?: string
}

/** What `OrchestratorClient.diagnose` found. No field contains the API key. */
export interface Diagnosis {
  /** Where the client looks for the orchestrator. */
  readonly baseUrl: string
  /** Whether an orchestrator answered there. `false` also if another service did. */
  readonly reachable: boolean
  /** Milliseconds from the request for the engine list to its answer. `undefined` if none came. */
  readonly latencyMs: number | undefined
  /** The generation of the orchestrator; `undefined` if its answers do not show it. */
  readonly generation: Generation | undefined
  /** Whether the orchestrator accepts the API key. `none`: no key is set, and none is required. `unknown`: that could not be checked. */
  readonly key: OrchestratorHealth['key']
  /**
   * Milliseconds by which the orchestrator's clock is ahead of this machine's, from the header `Date`: exact to about a second. Absent if the
   * answers have no date.
   */
  readonly clockSkewMs?: number
  /** The engines that the orchestrator lists. */
  readonly engines: readonly DiagnosedEngine[]
  /** All that is wrong, the most fundamental problem first. Empty: all is well. */
  readonly problems: readonly Problem[]
}
