import { classifyFailure } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { ProvisionAcknowledgement } from '../../orchestrator/bodies.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { Emitter } from '../../telemetry/emitter.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import type { EngineList } from '../list/engine-list.ts'
import type { NewEngineParts, untilListed } from './until-listed.ts'

const ASKING = 'Asking for engines'

/** Engine settings that a host may ask for. */
export interface ProvisionBody {
  labels?: Record<string, string>
  env?: Record<string, string>
}

/** What a provision request takes. */
export interface ProvisionRequestParts {
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
async function askForEngine(
  parts: ProvisionRequestParts,
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
  const { effect, isAnswered } = classifyFailure(error)
  return effect === 'unknown' && !isAnswered
}

/** What asking for a new engine takes. */
export type ProvisionParts = NewEngineParts & ProvisionRequestParts

/** Somebody who looks out for an engine. */
interface Lookout {
  isMeant(engine: Engine): boolean
  found(engine: Engine): void
}

/** Which engine a request is for, and how to wait for it once the request has come to an end. */
export interface EngineMatch {
  /** Whether this engine can be no other, though nobody has answered yet. */
  isMeant(engine: Engine): boolean
  /** Waits for it by whatever the answer told. `failure`: nobody knows what became of the request. */
  afterAnswer(answer: { containerId?: string; failure?: unknown }, parts: ProvisionParts): ReturnType<typeof untilListed>
}

/** Requests for engines, each over when its engine is listed, whoever asked for that list and whatever became of the answer. */
export class ProvisionedEngines {
  readonly #lookouts = new Set<Lookout>()

  constructor(engineList: EngineList) {
    engineList.onRefresh(({ engines }) => {
      for (const { isMeant, found } of this.#lookouts) {
        const engine = engines.find(isMeant)
        if (engine !== undefined) found(engine)
      }
    })
  }

  /** Requests whose engine is not listed yet. */
  get size(): number {
    return this.#lookouts.size
  }

  /** Asks once, and waits until the engine is listed. */
  async request(parts: ProvisionParts, body: ProvisionBody, { isMeant, afterAnswer }: EngineMatch): Promise<Engine> {
    const { lifetime } = parts
    lifetime.throwIfAborted()
    const { promise: listed, resolve: found } = Promise.withResolvers<Engine>()
    const lookout: Lookout = { isMeant, found }
    const over = new AbortController()
    const leave = (): void => over.abort(lifetime.reason)
    lifetime.addEventListener('abort', leave, { once: true })
    this.#lookouts.add(lookout)
    const answered = async (): Promise<Engine> => {
      const answer = await askForEngine(parts, body, over.signal)
      return afterAnswer(answer, { ...parts, lifetime: over.signal })
    }
    try {
      return await Promise.race([listed, answered()])
    } finally {
      this.#lookouts.delete(lookout)
      lifetime.removeEventListener('abort', leave)
      // Its engine is there: what the request still has to say is of no interest, and a lost answer would hold a connection.
      over.abort()
    }
  }
}
