import { FAILURE_THRESHOLD, RECOVERY_TIMEOUT_S } from '../breaker.ts'
import type { Core } from '../core.ts'
import { healthAt } from '../engine-entry.ts'
import { goSeconds, goTime } from '../stamps.ts'

interface EngineFigures {
  total: number
  healthy: number
  unhealthy: number
  draining: number
}

/** Counts the engines by health. */
export function engineFigures(core: Core): EngineFigures {
  const figures: EngineFigures = { total: core.records.engines.size, healthy: 0, unhealthy: 0, draining: 0 }
  const nowMs = core.clock.now()
  for (const engine of core.records.engines.values()) {
    const health = healthAt(engine, nowMs)
    if (health !== 'unknown') figures[health]++
    if (engine.draining) figures.draining++
  }
  return figures
}

/** Returns the reason why no engine starts. Only the status shows it, never the response to a request (H19). */
function blockedReason(core: Core): { code: string; message: string } | null {
  const { refuse, message } = core.settings.provisioning
  if (core.breaker.state === 'open') return { code: 'circuit_breaker', message: 'Provisioning circuit breaker is open' }
  if (refuse === undefined || refuse === 'circuit_breaker') return null
  return { code: refuse, message: message ?? 'VPN not connected' }
}

/** Returns the fields that the status and the pushes share. */
export function statusBase(core: Core): Record<string, unknown> {
  const { records, settings, breaker } = core
  const { total, healthy, unhealthy, draining } = engineFigures(core)
  // `used` counts engines with streams, not streams, and it uses the drifting count (H18).
  const used = [...records.engines.values()].filter((engine) => engine.driftingCount > 0).length
  const reason = blockedReason(core)
  return {
    capacity: {
      available: total - used,
      max_replicas: settings.maxReplicas,
      min_replicas: settings.minReplicas,
      total,
      used,
    },
    config: { auto_delete: true, grace_period_s: 30, max_replicas: settings.maxReplicas, min_replicas: settings.minReplicas },
    engines: { draining, healthy, total, unhealthy },
    provisioning: {
      // Stays true at the maximum, although no engine starts (H19).
      can_provision: reason === null,
      circuit_breaker_state: breaker.state,
      last_failure: goSeconds(breaker.lastFailure),
    },
    proxy: { active_clients: { list: null, total: 0 }, throughput: { egress_mbps: 0 } },
    status: total === 0 ? 'unavailable' : reason === null ? 'healthy' : 'degraded',
    streams: { active: records.live.size, total: records.streams.size },
    timestamp: goTime(core.stamps.next()),
    vpn: { enabled: false, healthy: 0, nodes_total: 0 },
  }
}

/** `GET /orchestrator/status`. */
export function orchestratorStatus(core: Core): unknown {
  const base = statusBase(core)
  return {
    ...base,
    config: { ...(base['config'] as object), orchestrator: '127.0.0.1:8083', proxy_listen: '127.0.0.1:8000' },
    engines: { ...(base['engines'] as object), running: core.records.engines.size },
    provisioning: { ...(base['provisioning'] as object), blocked_reason: blockedReason(core) },
    telemetry: { bytes_egress_total: 0 },
  }
}

/** `GET /circuit-breaker`. A client can compute from it when the breaker will be half open. */
export function circuitBreaker({ breaker }: Core): unknown {
  return {
    general: {
      failure_count: breaker.failureCount,
      failure_threshold: FAILURE_THRESHOLD,
      last_failure_time: goSeconds(breaker.lastFailure),
      last_success_time: goSeconds(breaker.lastSuccess),
      recovery_timeout: RECOVERY_TIMEOUT_S,
      state: breaker.state,
    },
    replacement: {
      failure_count: 0,
      failure_threshold: 3,
      last_failure_time: '',
      last_success_time: '',
      recovery_timeout: 180,
      state: 'closed',
    },
  }
}

/** `GET /health/status`. */
export function healthStatus(core: Core): unknown {
  const { total, healthy, unhealthy, draining } = engineFigures(core)
  return {
    engines_draining: draining,
    engines_healthy: healthy,
    engines_total: total,
    engines_unhealthy: unhealthy,
    status: total === 0 ? 'unavailable' : 'healthy',
    timestamp: goTime(core.stamps.next()),
  }
}
