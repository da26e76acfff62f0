import { CapacityError, type ResponseError } from '../errors.ts'
import { capWaitMs } from '../runtime/retry.ts'
import { readBoolean, readField, readId, readIfMatching, readNumber, readObject } from './decoding.ts'

/** The orchestrator's reason for starting no engine, and its advice. A part of refusals and of the status. Each field may be missing. */
export interface Block {
  code?: string | undefined
  message?: string | undefined
  recovery_eta_seconds?: number | undefined
  can_retry?: boolean | undefined
  should_wait?: boolean | undefined
}

/** One day. A longer estimate is not credible. */
const MAX_ETA_MS = 86_400_000

const BLOCK_FIELDS = {
  code: readId,
  message: readId,
  recovery_eta_seconds: (value: unknown) => readNumber(value, 0, Number.MAX_VALUE),
  can_retry: readBoolean,
  should_wait: readBoolean,
}

/** Reads a {@link Block}. A field of the wrong type is left out. */
export function readBlock(value: unknown): Block {
  const wire = readObject(value)
  const block: Record<string, unknown> = {}
  for (const [name, read] of Object.entries(BLOCK_FIELDS)) {
    if (name in wire) block[name] = readIfMatching<unknown>(wire[name], read)
  }
  return block
}

/** Reads a {@link Block}, or the text that older releases send in its place. */
export function readTextOrBlock(value: unknown): string | Block {
  return typeof value === 'string' ? value : readBlock(value)
}

/** Default advice for a code, used if the answer contains none. */
export interface Advice {
  /** Milliseconds until the cause is expected to pass. Used for an answer in plain text, as older releases send it, which contains no time. */
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

/** The advice for a code. Any problem of the VPN (`vpn_…`) passes without help. */
export function defaultsForCode(code: string): Advice {
  const isVpn = code.startsWith('vpn_')
  return ADVICE.get(code) ?? { canRetry: isVpn, shouldWait: isVpn }
}

/** Finds the code for the plain text of an older release. */
export function inferCode(text: string): string {
  if (/vpn/i.test(text)) return 'vpn_disconnected'
  if (/circuit.?breaker/i.test(text)) return 'circuit_breaker'
  if (/capacity/i.test(text)) return 'max_capacity'
  return 'general_error'
}

/** Milliseconds until the cause is expected to pass; `undefined` if the orchestrator does not say. */
export function etaMsOf(block: Block): number | undefined {
  return block.recovery_eta_seconds === undefined ? undefined : Math.min(Math.ceil(block.recovery_eta_seconds * 1_000), MAX_ETA_MS)
}

const REFUSING_STATUSES: ReadonlySet<number> = new Set([500, 503])
/** No release uses these statuses yet, but a later one may. They are refusals only if the body has a detail. */
const DETAILED_STATUSES: ReadonlySet<number> = new Set([409, 429])
const QUOTED_LENGTH = 512

/**
 * Converts the error of an answer to a request for an engine: to a {@link CapacityError} with advice if the answer is a refusal. Returns any other
 * error unchanged.
 *
 * @param body the whole body without secrets; the error has only the beginning
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
    // `Retry-After` means that the cause is expected to pass by then.
    shouldWait: block.should_wait ?? (advice.shouldWait || error.retryAfterMs !== undefined),
    canRetry: block.can_retry ?? advice.canRetry,
    isAdvised: block.should_wait !== undefined || code !== 'general_error',
    cause: error,
  })
}

/**
 * Milliseconds to wait according to the answer's header or body. A proxy may have added the header, so it counts for more than 60 s only if the body
 * confirms that.
 */
function waitMsOf({ retryAfterMs }: ResponseError, block: Block): number | undefined {
  const etaMs = etaMsOf(block)
  if (retryAfterMs === undefined) return etaMs
  return Math.min(retryAfterMs, Math.max(capWaitMs(retryAfterMs), etaMs ?? 0))
}

function parseDetail(body: string): string | Block | undefined {
  try {
    return readIfMatching(JSON.parse(body), (value) => readField(readObject(value), 'detail', readTextOrBlock))
  } catch {
    return undefined
  }
}
