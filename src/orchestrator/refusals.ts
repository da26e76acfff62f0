import * as v from 'valibot'
import { CapacityError, type ResponseError } from '../errors.ts'
import { believedWaitMs } from '../runtime/backoff.ts'
import { adviceFor, type Block, BlockSchema, etaMsOf, inferCode } from './blocks.ts'

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
  const advice = adviceFor(code)
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
