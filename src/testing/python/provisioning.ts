import type { Core } from '../core.ts'
import { type FakeResponse, jsonResponse, textResponse } from '../http.ts'
import type { ProvisionRefusal } from '../settings.ts'
import type { ProvisionBody } from './bodies.ts'

/** The refusal of a provision request, with the fields of the response. */
export interface Refusal {
  status: number
  error: 'provisioning_blocked' | 'provisioning_failed'
  code: ProvisionRefusal
  message: string
  recovery_eta_seconds: number | null
  can_retry: boolean
  should_wait: boolean
}

/** `POST /provision/acestream`. Responds when the engine is listed or the attempt has failed (H12). */
export async function provision(core: Core, body: ProvisionBody): Promise<FakeResponse> {
  const { delayMs } = core.settings.provisioning
  if (delayMs > 0) await new Promise<void>((resolve) => core.after(delayMs, resolve))
  const refusal = refusalNow(core) ?? failureNow(core)
  if (refusal !== undefined) return refuse(core, refusal)
  core.breaker.succeed()
  // A bug of that release: it fails when it writes the response, whatever the request was.
  if (core.settings.generation === '2026-04') return textResponse(500, 'Internal Server Error')
  // MAX_REPLICAS is ignored (H11).
  const engine = core.createEngine({ labels: body.labels, ...(body.host_port !== null && { hostPort: body.host_port }) })
  core.records.counters.enginesProvisioned++
  return jsonResponse(200, {
    container_id: engine.containerId,
    container_name: engine.containerName,
    host_http_port: engine.port,
    container_http_port: engine.port,
    container_https_port: Number(engine.labels['acestream.https_port']),
  })
}

/** Returns the refusal that a request would get now, before any attempt. */
export function refusalNow(core: Core): Refusal | undefined {
  const { refuse, etaSeconds, message } = core.settings.provisioning
  const blocked = { status: 503, error: 'provisioning_blocked', should_wait: true } as const
  if (core.breaker.state === 'open') {
    const text = message ?? 'Circuit breaker is open due to repeated failures'
    // `can_retry` is true only when the breaker is half open, and then the request is let through.
    return { ...blocked, code: 'circuit_breaker', message: text, recovery_eta_seconds: core.breaker.remainingS, can_retry: false }
  }
  if (refuse !== 'vpn_disconnected') return undefined
  const text = message ?? 'VPN connection is required but currently disconnected'
  return { ...blocked, code: 'vpn_disconnected', message: text, recovery_eta_seconds: etaSeconds ?? 60, can_retry: true }
}

/** Returns the failure of an attempt, if it fails. */
function failureNow(core: Core): Refusal | undefined {
  const { refuse, etaSeconds, message, runtimeDown } = core.settings.provisioning
  if (refuse === 'vpn_error') {
    const text = message ?? 'VPN error during provisioning: VPN interface tun0 missing'
    const eta = { recovery_eta_seconds: etaSeconds ?? 60, can_retry: true, should_wait: true }
    return { status: 503, error: 'provisioning_failed', code: refuse, message: text, ...eta }
  }
  if (!runtimeDown && refuse !== 'general_error') return undefined
  // Failed requests do not open the breaker: it counts only the orchestrator's own attempts.
  const text =
    message ?? `Failed to provision engine: ${runtimeDown ? 'Error while fetching server API version' : 'no free ports in range'}`
  const eta = { recovery_eta_seconds: etaSeconds ?? null, can_retry: false, should_wait: false }
  return { status: 500, error: 'provisioning_failed', code: 'general_error', message: text, ...eta }
}

function refuse(core: Core, { status, ...detail }: Refusal): FakeResponse {
  core.records.counters.provisionsRefused++
  return jsonResponse(status, { detail: core.settings.provisioning.textErrors ? detail.message : detail })
}
