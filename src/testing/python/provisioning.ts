import type { Core } from '../core.ts'
import { type FakeResponse, jsonResponse, textResponse } from '../http.ts'
import type { ProvisionRefusal } from '../settings.ts'
import type { ProvisionBody } from './bodies.ts'

/** Why nothing can be provisioned, as the answer to the request tells it. */
export interface Refusal {
  status: number
  error: 'provisioning_blocked' | 'provisioning_failed'
  code: ProvisionRefusal
  message: string
  recovery_eta_seconds: number | null
  can_retry: boolean
  should_wait: boolean
}

/** `POST /provision/acestream`. The answer comes when the engine is there, or the attempt has failed (hazard 12). */
export async function provision(core: Core, body: ProvisionBody): Promise<FakeResponse> {
  const { delayMs } = core.settings.provisioning
  if (delayMs > 0) await new Promise<void>((resolve) => core.after(delayMs, resolve))
  const refusal = refusalNow(core) ?? failureNow(core)
  if (refusal !== undefined) return refuse(core, refusal)
  core.breaker.succeed()
  // A bug of that release: whatever was asked for, it fails when about to answer.
  if (core.settings.generation === '2026-04') return textResponse(500, 'Internal Server Error')
  // MAX_REPLICAS is not looked at (hazard 11).
  const engine = core.createEngine({ labels: body.labels, ...(body.host_port !== null && { hostPort: body.host_port }) })
  core.book.counters.enginesProvisioned++
  return jsonResponse(200, {
    container_id: engine.containerId,
    container_name: engine.containerName,
    host_http_port: engine.port,
    container_http_port: engine.port,
    container_https_port: Number(engine.labels['acestream.https_port']),
  })
}

/** Why a request would be refused at this moment before anything is tried, if it would. */
export function refusalNow(core: Core): Refusal | undefined {
  const { refuse, etaSeconds, message } = core.settings.provisioning
  const blocked = { status: 503, error: 'provisioning_blocked', should_wait: true } as const
  if (core.breaker.state === 'open') {
    const text = message ?? 'Circuit breaker is open due to repeated failures'
    // `can_retry` only when half open, which lets the request through: here it never is.
    return { ...blocked, code: 'circuit_breaker', message: text, recovery_eta_seconds: core.breaker.remainingS, can_retry: false }
  }
  if (refuse !== 'vpn_disconnected') return undefined
  const text = message ?? 'VPN connection is required but currently disconnected'
  return { ...blocked, code: 'vpn_disconnected', message: text, recovery_eta_seconds: etaSeconds ?? 60, can_retry: true }
}

/** How the attempt fails, if it does. */
function failureNow(core: Core): Refusal | undefined {
  const { refuse, etaSeconds, message, runtimeDown } = core.settings.provisioning
  if (refuse === 'vpn_error') {
    const text = message ?? 'VPN error during provisioning: VPN interface tun0 missing'
    const eta = { recovery_eta_seconds: etaSeconds ?? 60, can_retry: true, should_wait: true }
    return { status: 503, error: 'provisioning_failed', code: refuse, message: text, ...eta }
  }
  if (!runtimeDown && refuse !== 'general_error') return undefined
  // Failed requests do not open the breaker: only the orchestrator's own attempts count.
  const text =
    message ?? `Failed to provision engine: ${runtimeDown ? 'Error while fetching server API version' : 'no free ports in range'}`
  const eta = { recovery_eta_seconds: etaSeconds ?? null, can_retry: false, should_wait: false }
  return { status: 500, error: 'provisioning_failed', code: 'general_error', message: text, ...eta }
}

function refuse(core: Core, { status, ...detail }: Refusal): FakeResponse {
  core.book.counters.provisionsRefused++
  return jsonResponse(status, { detail: core.settings.provisioning.textErrors ? detail.message : detail })
}
