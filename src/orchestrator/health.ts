import * as v from 'valibot'
import type { OrchestratorHealth, OrchestratorStatus } from '../model/health.ts'
import { WholeNumberSchema } from './listed-engines.ts'
import { type Block, BlockSchema, defaultsForCode, etaMsOf, inferCode } from './refusals.ts'
import { parseTimestamp } from './timestamps.ts'

type Capacity = NonNullable<OrchestratorHealth['capacity']>

const countSchema = v.pipe(WholeNumberSchema, v.minValue(0))

const CapacitySchema = v.pipe(
  v.object({
    total: countSchema,
    used: countSchema,
    available: countSchema,
    max_replicas: v.fallback(v.optional(countSchema), undefined),
  }),
  v.transform(({ total, used, available, max_replicas: maxReplicas }): Capacity => {
    return { total, used, available, ...(maxReplicas === undefined ? {} : { maxReplicas }) }
  }),
)
const VpnSchema = v.object({ connected: v.fallback(v.optional(v.boolean()), undefined) })
/** 2025-10 and 2026-04 send a text here and the block in `blocked_reason_details`; v1 sends the block here. */
const ReasonSchema = v.fallback(v.optional(v.union([v.string(), BlockSchema])), undefined)

const ProvisioningSchema = v.pipe(
  v.object({
    // Only `false` blocks provisioning: an unknown status that counted as "no" once rejected 71 viewers (H13).
    can_provision: v.optional(v.unknown()),
    blocked_reason: ReasonSchema,
    blocked_reason_details: v.fallback(v.optional(BlockSchema), undefined),
    last_failure: v.optional(v.unknown()),
  }),
  v.transform((wire): OrchestratorHealth['provisioning'] => {
    const canProvision = wire.can_provision !== false
    const { blocked_reason: given } = wire
    const text = typeof given === 'string' && given !== '' ? given : undefined
    const block: Block = { ...(typeof given === 'object' ? given : {}), ...wire.blocked_reason_details }
    const code = block.code ?? (text === undefined ? undefined : inferCode(text))
    const reason = text ?? block.message
    const retryAfterMs = etaMsOf(block) ?? (block.code === undefined && code !== undefined ? defaultsForCode(code).etaMs : undefined)
    const lastFailureMs = parseTimestamp(wire.last_failure)
    return {
      canProvision,
      ...(lastFailureMs === undefined ? {} : { lastFailureAt: new Date(lastFailureMs) }),
      ...(code === undefined ? {} : { code }),
      ...(reason === undefined ? {} : { reason }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      shouldWait: block.should_wait ?? (canProvision || (code !== undefined && defaultsForCode(code).shouldWait)),
    }
  }),
)

/** The answer to `GET /orchestrator/status`. */
export const HealthSchema: v.GenericSchema<unknown, OrchestratorStatus> = v.pipe(
  v.object({
    status: v.string(),
    capacity: v.fallback(v.optional(CapacitySchema), undefined),
    vpn: v.fallback(v.optional(VpnSchema), undefined),
    provisioning: v.nullish(ProvisioningSchema, {}),
  }),
  v.transform(
    ({ status, capacity, vpn, provisioning }): OrchestratorStatus => ({
      status: status === 'healthy' || status === 'degraded' || status === 'unavailable' ? status : 'unknown',
      ...(vpn?.connected === undefined ? {} : { vpnConnected: vpn.connected }),
      ...(capacity === undefined ? {} : { capacity }),
      provisioning,
    }),
  ),
)

/** The answer to `GET /circuit-breaker` (v1). Only the circuit breaker for provisioning is used. */
export const ProvisioningBreakerSchema: v.GenericSchema<unknown, ProvisioningBreaker> = v.pipe(
  v.object({
    general: v.object({ state: v.string(), recovery_timeout: v.optional(v.unknown()), last_failure_time: v.optional(v.unknown()) }),
  }),
  v.transform(({ general }) => {
    const { recovery_timeout } = general
    return {
      open: general.state === 'open',
      recoveryMs: typeof recovery_timeout === 'number' && recovery_timeout >= 0 ? recovery_timeout * 1_000 : undefined,
      lastFailureAt: parseTimestamp(general.last_failure_time),
    }
  }),
)

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
