import { CapacityError, classifyFailure, DEFAULT_RETRY_AFTER_MS, OrchestratorError } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { ProvisionAcknowledgement } from '../../orchestrator/bodies.ts'
import { onAbort, pause } from '../../runtime/abort.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import type { EngineList } from '../list/engine-list.ts'

const REQUESTING = 'Requesting engines'

/** Interval between two reads of the list while a new engine is awaited, milliseconds. */
const POLL_MS = 1_000

/** Settings of a new engine that a host may choose. */
export interface ProvisionBody {
  labels?: Record<string, string>
  env?: Record<string, string>
}

/** Dependencies and options of a request for an engine. */
export interface ProvisionParts {
  api: OrchestratorApi
  engineList: EngineList
  sequence: Sequence
  clock: Clock
  counters: Counters
  emitter: Emitter
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** How long one request may take until its engine is listed, milliseconds. */
  provisionTimeoutMs: number
  /** How many waiting callers a new engine could serve now. */
  countWaiting: () => number
}

/** The orchestrator's answer, or the `failure` of a request that may have been applied all the same. */
type ProvisionAnswer = ProvisionAcknowledgement & { failure?: unknown }

/** How a request recognizes its engine in a list. */
export interface EngineMatch {
  /** Whether this engine is certainly the requested one. Called for each engine of each list, also before the answer. */
  isRequested(engine: Engine): boolean
  /**
   * Waits for the engine after the answer, or after a failure with an unknown outcome. It must use the given `parts`: their
   * `lifetime` ends as soon as the engine is found in another way.
   */
  waitAfterAnswer(answer: ProvisionAnswer, parts: ProvisionParts): Promise<Engine>
}

/**
 * Sends one request for an engine, once, and waits until the engine is listed. Every list that arrives is checked, also before the answer: an
 * answer that is late or lost does not delay the caller.
 *
 * @throws the request's error if it was certainly not applied; {@link CapacityError} with reason `provision_timeout` if no engine was
 *   listed in time
 */
export async function requestEngine(parts: ProvisionParts, body: ProvisionBody, match: EngineMatch): Promise<Engine> {
  const { engineList, lifetime } = parts
  lifetime.throwIfAborted()
  const listed = Promise.withResolvers<Engine>()
  const unsubscribe = engineList.onRefresh(({ engines }) => {
    const engine = engines.find((candidate) => match.isRequested(candidate))
    if (engine !== undefined) listed.resolve(engine)
  })
  const over = new AbortController()
  const stopListening = onAbort(lifetime, () => over.abort(lifetime.reason))
  const answered = async (): Promise<Engine> => {
    const answer = await sendRequest(parts, body, over.signal)
    return match.waitAfterAnswer(answer, { ...parts, lifetime: over.signal })
  }
  try {
    return await Promise.race([listed.promise, answered()])
  } finally {
    unsubscribe()
    stopListening()
    // The engine is listed: an answer that is still outstanding would only hold a connection.
    over.abort()
  }
}

/**
 * Sends the request. It is never retried, because it may have been applied (H4).
 *
 * @throws the request's error if it was certainly not applied
 */
async function sendRequest(parts: ProvisionParts, body: ProvisionBody, signal: AbortSignal): Promise<ProvisionAnswer> {
  const { api, counters, emitter, outages, provisionTimeoutMs, countWaiting } = parts
  counters.provisionsRequested += 1
  emitter.to('provision:requested')?.({ waiting: countWaiting() })
  try {
    const answer = await api.provision(body, { signal, timeoutMs: provisionTimeoutMs })
    outages.works(REQUESTING)
    return answer
  } catch (failure) {
    if (signal.aborted || !mayBeApplied(failure)) throw failure
    outages.failed(REQUESTING, 'A request for an engine got no answer; waiting until the engine list shows its engine', { error: failure })
    return { failure }
  }
}

/** Whether the orchestrator may start an engine although the request failed. If the orchestrator itself answers with an error, it starts none. */
function mayBeApplied(error: unknown): boolean {
  const { effect, isAnswered } = classifyFailure(error)
  return effect === 'unknown' && !isAnswered
}

/**
 * Reads the list every second until it shows an engine for which `isMatch` is true, for `provisionTimeoutMs` at most.
 *
 * @param check runs before each read but the first. If it rejects with a {@link CapacityError}, the next read is the last
 * @throws that {@link CapacityError}, or one with reason `provision_timeout`
 */
export async function untilListed(
  parts: Pick<ProvisionParts, 'engineList' | 'sequence' | 'clock' | 'lifetime' | 'provisionTimeoutMs'>,
  isMatch: (engine: Engine) => boolean,
  check: () => Promise<void> = async () => {},
): Promise<Engine> {
  const { clock, engineList, sequence, lifetime, provisionTimeoutMs } = parts
  const deadline = clock.now() + provisionTimeoutMs
  let newerThan = sequence.current
  let refusal: unknown
  for (;;) {
    const found = await findListed(engineList, isMatch, newerThan)
    if (found !== undefined) return found
    if (refusal !== undefined) throw refusal
    if (clock.now() >= deadline) break
    // All requests that wait share the reads from the second on.
    newerThan = engineList.last?.sequence ?? 0
    await pause(clock, Math.min(POLL_MS, deadline - clock.now()), lifetime)
    refusal = await check().then(
      () => undefined,
      (error: unknown) => (error instanceof CapacityError ? error : undefined),
    )
    // The new engine itself may cause the refusal. Only a list that is requested after the refusal is certain to show it.
    if (refusal !== undefined) newerThan = sequence.next()
  }
  throw provisionTimeout(provisionTimeoutMs)
}

/** The error of a request whose engine was not listed in time. */
export function provisionTimeout(provisionTimeoutMs: number): CapacityError {
  return new CapacityError(`An engine was requested, but none was listed within ${provisionTimeoutMs} ms`, {
    reason: 'provision_timeout',
    retryAfterMs: DEFAULT_RETRY_AFTER_MS,
    shouldWait: true,
    canRetry: true,
    // Not the orchestrator's advice: callers that wait for a slot keep waiting.
    isAdvised: false,
  })
}

/** The engine in a list newer than `newerThan`; `undefined` if it is not there, or the list cannot be read now. */
async function findListed(engineList: EngineList, isMatch: (engine: Engine) => boolean, newerThan: number): Promise<Engine | undefined> {
  try {
    const { engines } = await engineList.get({ newerThan, orPushed: true })
    return engines.find(isMatch)
  } catch (error) {
    if (!(error instanceof OrchestratorError) || !error.retryable) throw error
    return undefined // the orchestrator fails for a while, and may still start the engine
  }
}
