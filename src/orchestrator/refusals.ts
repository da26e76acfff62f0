import * as v from 'valibot'
import { CapacityError, type ResponseError } from '../errors.ts'
import { believedWaitMs } from '../runtime/retry.ts'

/** Why nothing can be provisioned, and what to do about it, as refusals and the status say it; each field may be missing. */
export interface Block {
  code?: string | undefined
  message?: string | undefined
  recovery_eta_seconds?: number | undefined
  can_retry?: boolean | undefined
  should_wait?: boolean | undefined
}

/** A day: who says longer cannot know. */
const LONGEST_ETA_MS = 86_400_000

const textSchema = v.fallback(v.optional(v.pipe(v.string(), v.nonEmpty())), undefined)
const flagSchema = v.fallback(v.optional(v.boolean()), undefined)
const secondsSchema = v.fallback(v.optional(v.pipe(v.number(), v.finite(), v.minValue(0))), undefined)

/** Reads a {@link Block}; fields that make no sense are left out. */
export const BlockSchema: v.GenericSchema<unknown, Block> = v.object({
  code: textSchema,
  message: textSchema,
  recovery_eta_seconds: secondsSchema,
  can_retry: flagSchema,
  should_wait: flagSchema,
})

/** What follows from a code where the answer itself does not say it. */
export interface Advice {
  /** Of an older answer, which is text and says nothing of time. */
  readonly etaMs?: number
  readonly canRetry: boolean
  readonly shouldWait: boolean
}

const ADVICE: ReadonlyMap<string, Advice> = new Map([
  ['vpn_disconnected', { etaMs: 60_000, canRetry: true, shouldWait: true }],
  ['vpn_error', { etaMs: 60_000, canRetry: true, shouldWait: true }],
  ['circuit_breaker', { etaMs: 180_000, canRetry: false, shouldWait: true }],
  ['max_capacity', { etaMs: 30_000, canRetry: false, shouldWait: true }],
])

/** The advice that goes with a code. A VPN comes back by itself, whatever its trouble is called. */
export function defaultsForCode(code: string): Advice {
  const isVpn = code.startsWith('vpn_')
  return ADVICE.get(code) ?? { canRetry: isVpn, shouldWait: isVpn }
}

/** The code that an older answer would have had, from its text. */
export function inferCode(text: string): string {
  if (/vpn/i.test(text)) return 'vpn_disconnected'
  if (/circuit.?breaker/i.test(text)) return 'circuit_breaker'
  if (/capacity/i.test(text)) return 'max_capacity'
  return 'general_error'
}

/** Milliseconds until the cause is expected to be gone, where the orchestrator knows. */
export function etaMsOf(block: Block): number | undefined {
  return block.recovery_eta_seconds === undefined ? undefined : Math.min(Math.ceil(block.recovery_eta_seconds * 1_000), LONGEST_ETA_MS)
}

const DetailSchema = v.object({ detail: v.union([v.string(), BlockSchema]) })
const REFUSING_STATUSES: ReadonlySet<number> = new Set([500, 503])
/** Not seen, but what a later release would use: these refuse only with a detail that says so. */
const DETAILED_STATUSES: ReadonlySet<number> = new Set([409, 429])
const QUOTED_LENGTH = 512

/**
 * What an error answer to a provision request means: a refusal with its advice, or just the error that it is.
 *
 * @param body the whole body without secrets; the error's own is an excerpt
 */
export function refusalFrom(error: ResponseError, body: string): ResponseError | CapacityError {
  const detail = parseDetail(body)
  const isRefusal = REFUSING_STATUSES.has(error.status) || (DETAILED_STATUSES.has(error.status) && detail !== undefined)
  if (!isRefusal) return error
  const block: Block = typeof detail === 'object' ? detail : {}
  const text = (block.message ?? (typeof detail === 'string' ? detail : error.body)).trim().slice(0, QUOTED_LENGTH)
  const code = block.code ?? inferCode(text)
  const advice = defaultsForCode(code)
  const words = text === '' ? ` with status ${error.status} and no reason` : `: "${text}"`
  return new CapacityError(`The orchestrator refused to start an engine${words}`, {
    reason: code,
    retryAfterMs: waitMsOf(error, block) ?? (block.code === undefined ? advice.etaMs : undefined),
    // A server that says when to come back expects to be better by then.
    shouldWait: block.should_wait ?? (advice.shouldWait || error.retryAfterMs !== undefined),
    canRetry: block.can_retry ?? advice.canRetry,
    isAdvised: block.should_wait !== undefined || code !== 'general_error',
    cause: error,
  })
}

/**
 * How long to wait, as the answer says: its header, or its body. A header may come from anything in between, so more than 60 s of it counts
 * only where the body agrees. An answer with a code says itself when; one without is an older one.
 */
function waitMsOf({ retryAfterMs }: ResponseError, block: Block): number | undefined {
  const etaMs = etaMsOf(block)
  if (retryAfterMs === undefined) return etaMs
  return Math.min(retryAfterMs, Math.max(believedWaitMs(retryAfterMs), etaMs ?? 0))
}

function parseDetail(body: string): string | Block | undefined {
  try {
    const result = v.safeParse(DetailSchema, JSON.parse(body))
    return result.success ? result.output.detail : undefined
  } catch {
    return undefined
  }
}
