import { ConnectionError, RequestTimeoutError, ResponseError } from '../../errors.ts'
import type { ProvisionAcknowledgement } from '../../model/domain.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { Emitter } from '../../telemetry/emitter.ts'
import type { Counters } from '../../telemetry/metrics.ts'

const ASKING = 'Asking for engines'

/** Engine settings that a host may ask for. */
export interface ProvisionBody {
  labels?: Record<string, string>
  env?: Record<string, string>
}

/** What a provision request takes. */
export interface ProvisionCallParts {
  api: OrchestratorApi
  counters: Counters
  emitter: Emitter
  outages: Outages
  provisionTimeoutMs: number
  /** How many callers a new engine would help now. */
  countWaiting: () => number
}

/**
 * Sends one provision request, once: it is never repeated blindly. `failure` is there where nobody knows what became of it.
 *
 * @throws what the request failed with, where it is certain that no engine comes of it
 */
export async function askForEngine(
  parts: ProvisionCallParts,
  body: ProvisionBody,
  signal: AbortSignal,
): Promise<ProvisionAcknowledgement & { failure?: unknown }> {
  const { api, counters, emitter, outages, provisionTimeoutMs, countWaiting } = parts
  counters.provisionsRequested += 1
  emitter.emit('provision:requested', { waiting: countWaiting() })
  try {
    const answer = await api.provision(body, { signal, timeoutMs: provisionTimeoutMs })
    outages.works(ASKING)
    return answer
  } catch (failure) {
    if (signal.aborted || !isUnknown(failure)) throw failure
    outages.failed(ASKING, 'A provision request was not answered; looking for its engine', { error: failure })
    return { failure }
  }
}

/** Whether a provision request may have been applied although it failed. */
function isUnknown(error: unknown): boolean {
  if (error instanceof ConnectionError) return error.maybeProcessed
  if (error instanceof ResponseError) return error.status === 502 || error.status === 504 || error.status === 408
  return error instanceof RequestTimeoutError
}
