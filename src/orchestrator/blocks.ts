import * as v from 'valibot'

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
export function adviceFor(code: string): Advice {
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
