import type { ServerResponse } from 'node:http'
import { CapacityError, CircuitOpenError, OrchestratorError, StoreError } from 'acestream-orchestrator-client'
import { BadRequestError } from './content.ts'
import { Departure } from './play.ts'
import { EnginesFailedError } from './viewer.ts'

/** Told to viewers where nobody knows better. */
const DEFAULT_RETRY_AFTER_MS = 5_000

/** An answer without a stream. */
export interface Refusal {
  status: number
  /** Machine-readable. */
  reason: string
  /** For people. */
  error: string
  retryAfterMs?: number
}

/** What a viewer is told when there is no stream. */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof BadRequestError) return { status: 400, reason: 'bad_request', error: error.message }
  if (error instanceof EnginesFailedError) return enginesFailed(error)
  if (error instanceof Departure) return unavailable(error.reason, 'the proxy is shutting down')
  if (error instanceof CapacityError) return unavailable(error.reason, error.message, error.retryAfterMs)
  // The codes that a `CapacityError` has for the same: a player need not know whether the viewer had a place in the line.
  if (error instanceof CircuitOpenError) return unavailable('unreachable', error.message, error.retryAfterMs)
  if (error instanceof StoreError && error.retryable) return unavailable('store_unavailable', error.message)
  if (error instanceof OrchestratorError) {
    if (error.retryable) return unavailable('unreachable', error.message)
    return { status: 502, reason: `orchestrator_${error.code.toLowerCase()}`, error: error.message }
  }
  return { status: 500, reason: 'internal_error', error: 'an unexpected error' }
}

/** Sends it, unless the viewer is gone or has a stream already. */
export function refuse(
  response: ServerResponse,
  { status, reason, error, retryAfterMs }: Refusal,
  headers: Record<string, string> = {},
): void {
  if (response.headersSent || response.destroyed) return
  // In whole seconds, rounded up: who comes a moment too early has come in vain.
  const retryAfterSeconds = retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(retryAfterMs / 1000))
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds)
  sendJson(response, status, { error, reason, ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }) }, headers)
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

/** With a time to come back: while the list is out of date every engine in it may be gone, and players that are not told ask at once. */
function enginesFailed({ message }: EnginesFailedError): Refusal {
  return { status: 502, reason: 'engines_failed', error: message, retryAfterMs: DEFAULT_RETRY_AFTER_MS }
}

function unavailable(reason: string, error: string, retryAfterMs: number = DEFAULT_RETRY_AFTER_MS): Refusal {
  return { status: 503, reason, error, retryAfterMs }
}
