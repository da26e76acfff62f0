import { CapacityError, DEFAULT_RETRY_AFTER_MS, OrchestratorError } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import { pause } from '../../runtime/abort.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { EngineList } from '../list/engine-list.ts'

/** How often the list is read while a new engine is waited for. */
const POLL_MS = 1_000

/** What waiting for a new engine takes. */
export interface NewEngineParts {
  engineList: EngineList
  sequence: Sequence
  clock: Clock
  /** Aborts with the client. */
  lifetime: AbortSignal
  provisionTimeoutMs: number
}

/**
 * Reads the list until it shows the engine that is meant, for `provisionTimeoutMs` at most.
 *
 * @param check run before each look but the first; a {@link CapacityError} of its ends the wait, unless that look finds the engine
 * @throws {@link CapacityError} with reason `provision_timeout` where none came in time
 */
export async function untilListed(
  parts: NewEngineParts,
  isMeant: (engine: Engine) => boolean,
  check: () => Promise<void> = async () => {},
): Promise<Engine> {
  const { clock, engineList, sequence, lifetime, provisionTimeoutMs } = parts
  const deadline = clock.now() + provisionTimeoutMs
  let newerThan = sequence.current
  let refused: unknown
  for (;;) {
    const found = await look(engineList, isMeant, newerThan)
    if (found !== undefined) return found
    if (refused !== undefined) throw refused
    if (clock.now() >= deadline) break
    // From the second look on, several who wait share one request.
    newerThan = engineList.last?.sequence ?? 0
    await pause(clock, Math.min(POLL_MS, deadline - clock.now()), lifetime)
    // A refusal counts only if the list that is read after it has no new engine either.
    refused = await check().then(
      () => undefined,
      (error: unknown) => (error instanceof CapacityError ? error : undefined),
    )
    // A push that was made before the refusal may lack the engine that is the reason for it.
    if (refused !== undefined) newerThan = sequence.next()
  }
  throw notListed(provisionTimeoutMs)
}

/** The error of a request whose engine did not come in time. */
export function notListed(provisionTimeoutMs: number): CapacityError {
  return new CapacityError(`An engine was requested, but none was listed within ${provisionTimeoutMs} ms`, {
    reason: 'provision_timeout',
    retryAfterMs: DEFAULT_RETRY_AFTER_MS,
    shouldWait: true,
    canRetry: true,
    // Nobody advised anything: who waits for a slot to be freed may go on.
    isAdvised: false,
  })
}

async function look(engineList: EngineList, isMeant: (engine: Engine) => boolean, newerThan: number): Promise<Engine | undefined> {
  try {
    const { engines } = await engineList.get({ newerThan, orPushed: true })
    return engines.find(isMeant)
  } catch (error) {
    if (!(error instanceof OrchestratorError) || !error.retryable) throw error
    return undefined // the orchestrator is failing; the engine may come all the same
  }
}
