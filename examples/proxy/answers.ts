import type { ServerResponse } from 'node:http'
import { CapacityError, CircuitOpenError, ContentError, OrchestratorError, PlaybackError, StoreError } from 'acestream-orchestrator-client'
import { BadRequestError } from './content.ts'
import { EngineError } from './engine-request.ts'
import { BusyError } from './hls-files.ts'
import { PlaybackAborted } from './viewer.ts'

/** `Retry-After` for failures that do not say when to retry. */
const DEFAULT_RETRY_AFTER_MS = 5_000

const UNREACHABLE = 'unreachable'
/** Stands in place of a message that names the URL of the orchestrator. The log has that message. */
const NO_ORCHESTRATOR = 'the orchestrator cannot be reached'

/** A response without a stream. */
export interface Refusal {
  status: number
  /** A code for programs. */
  reason: string
  /** A message for people. */
  error: string
  retryAfterMs?: number
}

/** Converts an error to the response for the viewer. */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof BadRequestError) return { status: 400, reason: 'bad_request', error: error.message }
  if (error instanceof PlaybackError) return enginesFailed(error.retryAfterMs)
  if (error instanceof ContentError || error instanceof EngineError) return enginesFailed()
  if (error instanceof BusyError) return unavailable('busy', 'the proxy sends too many segments of this content', 1_000)
  if (error instanceof PlaybackAborted) return unavailable(error.reason, 'the proxy is shutting down')
  if (error instanceof CapacityError) {
    return unavailable(error.reason, error.reason === UNREACHABLE ? NO_ORCHESTRATOR : error.message, error.retryAfterMs)
  }
  // Use the codes of a `CapacityError` for the same causes: a player need not know whether the viewer was in the wait queue.
  if (error instanceof CircuitOpenError) return unavailable(UNREACHABLE, NO_ORCHESTRATOR, error.retryAfterMs)
  if (error instanceof StoreError && error.retryable) return unavailable('store_unavailable', 'the store of the proxy cannot be used')
  if (error instanceof OrchestratorError) {
    if (error.retryable) return unavailable(UNREACHABLE, NO_ORCHESTRATOR)
    return { status: 502, reason: `orchestrator_${error.code.toLowerCase()}`, error: 'the orchestrator rejected the request of the proxy' }
  }
  return { status: 500, reason: 'internal_error', error: 'an unexpected error' }
}

/** Sends a refusal, unless the viewer has disconnected or already gets a stream. */
export function refuse(
  response: ServerResponse,
  { status, reason, error, retryAfterMs }: Refusal,
  headers: Record<string, string> = {},
): void {
  if (response.headersSent || response.destroyed) return
  // Round up to whole seconds: a retry that comes too early fails again.
  const retryAfterSeconds = retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(retryAfterMs / 1000))
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds)
  sendJson(response, status, { error, reason, ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }) }, headers)
}

/** Sends a JSON response. */
export function sendJson(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

/**
 * Sets `Retry-After`: with an outdated list every engine may be gone, and a player without that header retries at once. Leaves out the
 * message, which names engines.
 */
function enginesFailed(retryAfterMs: number = DEFAULT_RETRY_AFTER_MS): Refusal {
  return { status: 502, reason: 'engines_failed', error: 'no engine could play this content', retryAfterMs }
}

function unavailable(reason: string, error: string, retryAfterMs: number = DEFAULT_RETRY_AFTER_MS): Refusal {
  return { status: 503, reason, error, retryAfterMs }
}
