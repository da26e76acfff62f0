import { ClientClosedError, ConnectionError, MalformedResponseError, OrchestratorError, ResponseError } from '../errors.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { StartAcknowledgement, StartEvent } from '../orchestrator/domain.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { Counters } from '../telemetry/metrics.ts'
import type { EndResult } from './stream.ts'

/** How an attempt ended: one of these four ways, and only these. */
export type StartOutcome =
  | { readonly kind: 'accepted'; readonly acknowledgement: StartAcknowledgement }
  | { readonly kind: 'refused' | 'not-processed' | 'unknown'; readonly error: OrchestratorError }

/** What delivery is built from. */
export interface DeliveryParts {
  api: OrchestratorApi
  counters: Counters
  emitter: Emitter
  logger: Logger
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** Statuses that say "not now": nothing was applied. */
const NOT_NOW: ReadonlySet<number> = new Set([425, 429, 503])
/** Statuses after which the request may or may not have been applied. */
const PERHAPS: ReadonlySet<number> = new Set([408])

/** Tells what a failed attempt may have done at the orchestrator. */
function classifyFailure(error: OrchestratorError): 'refused' | 'not-processed' | 'unknown' {
  if (error instanceof ConnectionError) return error.maybeProcessed ? 'unknown' : 'not-processed'
  if (error instanceof ResponseError) {
    if (NOT_NOW.has(error.status)) return 'not-processed'
    return error.status < 500 && !PERHAPS.has(error.status) ? 'refused' : 'unknown'
  }
  if (error instanceof MalformedResponseError) return 'unknown'
  return error.code === 'REQUEST_TIMEOUT' ? 'unknown' : error.retryable ? 'not-processed' : 'refused'
}

/**
 * Tells the orchestrator of starts and ends. Order is the caller's business (`Chains`); this makes the attempt and says what came of
 * it. One attempt each: an attempt whose outcome is unknown must not be repeated without looking first (hazard 5).
 */
export class Delivery {
  readonly #parts: DeliveryParts

  constructor(parts: DeliveryParts) {
    this.#parts = parts
  }

  async start(event: StartEvent): Promise<StartOutcome> {
    const { api, counters, emitter, logger, lifetime } = this.#parts
    try {
      const acknowledgement = await api.startStream(event, { signal: lifetime })
      counters.started += 1
      return { kind: 'accepted', acknowledgement }
    } catch (thrown) {
      const error = asOrchestratorError(thrown)
      const kind = classifyFailure(error)
      if (kind !== 'refused') {
        logger.warn('The start of a stream was not acknowledged', { streamId: event.streamId, kind, error })
        emitter.emit('delivery:failed', { streamId: event.streamId, event: 'started', error })
      }
      return { kind, error }
    }
  }

  /** Sends a fenced end: it ends that stream or nothing (hazard 1). Never rejects. */
  async end(streamId: string, reason: string | undefined): Promise<EndResult> {
    const { api, counters, emitter, logger, lifetime } = this.#parts
    try {
      const answer = await api.endStream(reason === undefined ? { streamId } : { streamId, reason }, { signal: lifetime })
      if (answer.streamId !== undefined && answer.streamId !== streamId) return this.#misapplied(streamId, answer.streamId)
      if (answer.applied === false) return { outcome: 'unknown', attempts: 1 }
      counters.ended += 1
      return { outcome: 'delivered', attempts: 1 }
    } catch (thrown) {
      const error = asOrchestratorError(thrown)
      counters.undeliverable += 1
      logger.error('The end of a stream could not be delivered', { streamId, error })
      emitter.emit('delivery:failed', { streamId, event: 'ended', error })
      return { outcome: 'undeliverable', attempts: 1, error }
    }
  }

  #misapplied(streamId: string, victim: string): EndResult {
    const { counters, emitter, logger } = this.#parts
    counters.misapplied += 1
    const error = new MalformedResponseError(`The orchestrator ended stream ${victim} where ${streamId} was meant`)
    logger.error(error.message, { streamId, victim })
    emitter.emit('delivery:failed', { streamId, event: 'ended', error })
    return { outcome: 'unknown', attempts: 1, error }
  }
}

/** What the wire throws is an `OrchestratorError`, or the reason of the only signal it was given: that the client closed. */
function asOrchestratorError(thrown: unknown): OrchestratorError {
  return thrown instanceof OrchestratorError ? thrown : new ClientClosedError()
}
