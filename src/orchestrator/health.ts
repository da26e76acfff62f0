import type { OrchestratorHealth, OrchestratorStatus } from '../model/health.ts'
import { readBoolean, readField, readIfMatching, readNumber, readObject, readText, readWholeNumber } from './decoding.ts'
import { type Block, defaultsForCode, etaMsOf, inferCode, readBlock, readTextOrBlock } from './refusals.ts'
import { parseTimestamp } from './timestamps.ts'

type Capacity = NonNullable<OrchestratorHealth['capacity']>

function readCount(value: unknown): number {
  return readNumber(readWholeNumber(value), 0)
}

function readCapacity(value: unknown): Capacity {
  const wire = readObject(value)
  const [total, used, available] = [
    readField(wire, 'total', readCount),
    readField(wire, 'used', readCount),
    readField(wire, 'available', readCount),
  ]
  const maxReplicas = readIfMatching(wire['max_replicas'], readCount)
  return { total, used, available, ...(maxReplicas === undefined ? {} : { maxReplicas }) }
}

function readProvisioning(value: unknown): OrchestratorHealth['provisioning'] {
  const wire = readObject(value)
  // Only `false` blocks provisioning: an unknown status that counted as "no" once rejected 71 viewers (H13).
  const canProvision = wire['can_provision'] !== false
  // 2025-10 and 2026-04 send a text here and the block in `blocked_reason_details`; v1 sends the block here.
  const given = readIfMatching(wire['blocked_reason'], readTextOrBlock)
  const text = typeof given === 'string' && given !== '' ? given : undefined
  const details = readIfMatching(wire['blocked_reason_details'], readBlock)
  const block: Block = { ...(typeof given === 'object' ? given : {}), ...details }
  const code = block.code ?? (text === undefined ? undefined : inferCode(text))
  const reason = text ?? block.message
  const retryAfterMs = etaMsOf(block) ?? (block.code === undefined && code !== undefined ? defaultsForCode(code).etaMs : undefined)
  const lastFailureMs = parseTimestamp(wire['last_failure'])
  return {
    canProvision,
    ...(lastFailureMs === undefined ? {} : { lastFailureAt: new Date(lastFailureMs) }),
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined ? {} : { reason }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    shouldWait: block.should_wait ?? (canProvision || (code !== undefined && defaultsForCode(code).shouldWait)),
  }
}

/** Reads the answer to `GET /orchestrator/status`. */
export function readHealth(value: unknown): OrchestratorStatus {
  const wire = readObject(value)
  const status = readField(wire, 'status', readText)
  const capacity = readIfMatching(wire['capacity'], readCapacity)
  const vpnConnected = readIfMatching(wire['vpn'], (vpn) => readField(readObject(vpn), 'connected', readBoolean))
  return {
    status: status === 'healthy' || status === 'degraded' || status === 'unavailable' ? status : 'unknown',
    ...(vpnConnected === undefined ? {} : { vpnConnected }),
    ...(capacity === undefined ? {} : { capacity }),
    provisioning: readField({ provisioning: wire['provisioning'] ?? {} }, 'provisioning', readProvisioning),
  }
}

/** Reads the answer to `GET /circuit-breaker` (v1). Only the circuit breaker for provisioning is used. */
export function readProvisioningBreaker(value: unknown): ProvisioningBreaker {
  return readField(readObject(value), 'general', (breaker) => {
    const general = readObject(breaker)
    const state = readField(general, 'state', readText)
    const { recovery_timeout, last_failure_time } = general
    return {
      open: state === 'open',
      recoveryMs: typeof recovery_timeout === 'number' && recovery_timeout >= 0 ? recovery_timeout * 1_000 : undefined,
      lastFailureAt: parseTimestamp(last_failure_time),
    }
  })
}

/** v1's own circuit breaker for provisioning. */
export interface ProvisioningBreaker {
  open: boolean
  /** Milliseconds for which it stays open after a failure. */
  recoveryMs: number | undefined
  /** Milliseconds since the epoch, by the orchestrator's clock. */
  lastFailureAt: number | undefined
}

/**
 * Milliseconds until an open circuit breaker accepts a request; `undefined` if it is not open, or if the answer does not say.
 *
 * @param serverNowMs when the answer was sent, by the orchestrator's own clock; if it is unknown, the result is the whole `recoveryMs`
 */
export function breakerWaitMs(
  { open, recoveryMs, lastFailureAt }: ProvisioningBreaker,
  serverNowMs: number | undefined,
): number | undefined {
  if (!open || recoveryMs === undefined || lastFailureAt === undefined) return undefined
  if (serverNowMs === undefined) return recoveryMs
  // At most `recoveryMs`: a proxy with another clock may have dated the answer.
  return Math.min(recoveryMs, Math.max(0, lastFailureAt + recoveryMs - serverNowMs))
}
