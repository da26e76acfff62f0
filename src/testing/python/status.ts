import { FAILURE_THRESHOLD, RECOVERY_TIMEOUT_S } from '../breaker.ts'
import type { Core } from '../core.ts'
import { healthAt } from '../engine-entry.ts'
import { type Micros, pythonIsoTime } from '../stamps.ts'
import { refusalNow } from './provisioning.ts'

const timeOrNull = (stamp: Micros | null): string | null => (stamp === null ? null : pythonIsoTime(stamp))

interface EngineFigures {
  total: number
  running: number
  healthy: number
  unhealthy: number
}

function engineFigures(core: Core): EngineFigures {
  const figures: EngineFigures = { total: core.records.engines.size, running: 0, healthy: 0, unhealthy: 0 }
  const nowMs = core.clock.now()
  for (const engine of core.records.engines.values()) {
    const health = healthAt(engine, nowMs)
    if (engine.real) figures.running++
    if (engine.real && health !== 'unknown') figures[health]++
  }
  return figures
}

/** `GET /orchestrator/status`. */
export function orchestratorStatus(core: Core): unknown {
  const { records, settings, breaker } = core
  const engines = engineFigures(core)
  const vpnDown = settings.provisioning.refuse === 'vpn_disconnected'
  // 2025-10 counts streams, 2026-04 counts engines with streams.
  const used =
    settings.generation === '2025-10' ? records.live.size : [...records.engines.values()].filter((engine) => engine.live.size > 0).length
  const details = blockedDetails(core, engines.total)
  return {
    status: engines.total === 0 ? 'unavailable' : vpnDown || breaker.state === 'open' ? 'degraded' : 'healthy',
    engines,
    streams: { active: records.live.size, total: records.streams.size },
    capacity: {
      total: engines.total,
      used,
      available: Math.max(0, engines.total - used),
      max_replicas: settings.maxReplicas,
      min_replicas: settings.minReplicas,
    },
    vpn: vpnDown
      ? { enabled: true, connected: false, health: 'unhealthy', container: 'gluetun', forwarded_port: null }
      : { enabled: false, connected: false, health: 'unknown', container: null, forwarded_port: null },
    provisioning: {
      can_provision: details === null,
      circuit_breaker_state: breaker.state,
      last_failure: timeOrNull(breaker.lastFailure),
      blocked_reason: details?.reason ?? null,
      blocked_reason_details: details?.details ?? null,
    },
    ...(settings.generation === '2025-10' ? config2025(settings.autoDelete) : config2026(settings.autoDelete)),
    timestamp: pythonIsoTime(core.stamps.next()),
  }
}

interface Blocked {
  reason: string
  details: { code: string; message: string; recovery_eta_seconds: number | null; can_retry: boolean; should_wait: boolean }
}

/** Returns the reason for `can_provision: false`. The status reports it at the maximum too, although a request still succeeds (H11). */
function blockedDetails(core: Core, engineCount: number): Blocked | null {
  const refusal = refusalNow(core)
  const { maxReplicas } = core.settings
  if (refusal !== undefined) {
    const { code, recovery_eta_seconds, can_retry, should_wait } = refusal
    const [reason, message] =
      code === 'circuit_breaker'
        ? [
            'Circuit breaker is open',
            'Provisioning circuit breaker is open due to repeated failures. System is waiting for conditions to improve.',
          ]
        : ['VPN not connected', 'VPN connection is required but currently disconnected. Engines cannot be provisioned without VPN.']
    return { reason, details: { code, message, recovery_eta_seconds, can_retry, should_wait } }
  }
  if (engineCount < maxReplicas) return null
  const message = `Maximum number of engines (${maxReplicas}) already running. Wait for streams to end or increase MAX_REPLICAS.`
  const details = { code: 'max_capacity', message, recovery_eta_seconds: null, can_retry: false, should_wait: true }
  return { reason: 'Maximum capacity reached', details }
}

const config2025 = (autoDelete: boolean): object => ({
  config: { auto_delete: autoDelete, grace_period_s: 30, target_image: 'acestream/engine:latest' },
})

const config2026 = (autoDelete: boolean): object => ({
  config: { auto_delete: autoDelete, grace_period_s: 30, engine_variant: 'global-amd64', debug_mode: false },
  // The figures of the orchestrator's own proxy, which the fake does not have.
  proxy: {
    active_clients: { ts: 0, hls: 0, total: 0, list: [] },
    request_window_1m: {
      total_requests_1m: 0,
      success_rate_percent: 100,
      disconnect_rate_per_min: 0,
      error_4xx_rate_per_min: 0,
      error_5xx_rate_per_min: 0,
      ttfb_avg_ms: 0,
      ttfb_p95_ms: 0,
    },
    engine_ingress_bps: {},
    throughput: {
      ingress_mbps: 0,
      egress_mbps: 0,
      ingress_bps: 0,
      egress_bps: 0,
      ingress_total_bytes: 0,
      egress_total_bytes: 0,
      window_ingress_total_bytes: 0,
      window_egress_total_bytes: 0,
    },
    ttfb: { avg_ms: 0, p95_ms: 0 },
  },
})

/** `GET /health/status`. */
export function healthStatus(core: Core): Record<string, unknown> {
  const { total, healthy, unhealthy } = engineFigures(core)
  const { breaker } = core
  return {
    total_engines: total,
    healthy_engines: healthy,
    unhealthy_engines: unhealthy,
    marked_for_replacement: 0,
    minimum_required: core.settings.minReplicas,
    health_check_interval: 20,
    circuit_breakers: {
      general: {
        state: breaker.state,
        failure_count: breaker.failureCount,
        failure_threshold: FAILURE_THRESHOLD,
        last_failure_time: timeOrNull(breaker.lastFailure),
        last_success_time: timeOrNull(breaker.lastSuccess),
        recovery_timeout: RECOVERY_TIMEOUT_S,
      },
      replacement: {
        state: 'closed',
        failure_count: 0,
        failure_threshold: 3,
        last_failure_time: null,
        last_success_time: null,
        recovery_timeout: 180,
      },
    },
  }
}

/** `GET /vpn/status`. */
export function vpnStatus(core: Core): unknown {
  const down = core.settings.provisioning.refuse === 'vpn_disconnected'
  const now = down ? pythonIsoTime(core.stamps.next()) : null
  const status = {
    enabled: down,
    status: down ? 'exited' : 'disabled',
    container_name: down ? 'gluetun' : null,
    container: down ? 'gluetun' : null,
    health: down ? 'unhealthy' : 'unknown',
    connected: false,
    forwarded_port: null,
    last_check: now,
    last_check_at: now,
  }
  if (core.settings.generation === '2025-10') return status
  const emergency = { active: false, failed_vpn: null, healthy_vpn: null, duration_seconds: 0 }
  return { ...status, mode: down ? 'single' : 'disabled', public_ip: null, vpn1: {}, vpn2: {}, emergency_mode: emergency }
}
