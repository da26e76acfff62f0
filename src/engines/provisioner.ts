import { CapacityError, ConnectionError, OrchestratorError, RequestTimeoutError, ResponseError } from '../errors.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { Engine, ProvisionAcknowledgement } from '../orchestrator/domain.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { pause } from '../runtime/pause.ts'
import type { Sequence } from '../state/sequence.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { Counters } from '../telemetry/metrics.ts'
import { withRetryAfter } from './capacity-advice.ts'
import { Debt } from './debt.ts'
import type { Directory } from './directory.ts'
import { RefusalMemory } from './refusal-memory.ts'

/** What the provisioner is built from. */
export interface ProvisionerParts {
  api: OrchestratorApi
  directory: Directory
  sequence: Sequence
  clock: Clock
  counters: Counters
  emitter: Emitter
  logger: Logger
  /** Aborts with the client. */
  lifetime: AbortSignal
  provisionTimeoutMs: number
  maxStreamsPerEngine: number
}

/** Engine settings that a host may ask for. */
export interface ProvisionBody {
  labels?: Record<string, string>
  env?: Record<string, string>
}

/** Requests that name their engine may overlap this much; those that do not (v1) never do. */
const MAX_CONCURRENT = 3
/** How often the list is read while a new engine is waited for. */
const POLL_MS = 1_000

/** Ends a request that was about to be made for callers who have gone or been served. Not an error to anybody. */
const NOT_NEEDED = Symbol('not needed')

/**
 * More engines, asked for once per need. The Go client answered 20 viewers at capacity with 60 requests: three attempts each,
 * against an orchestrator that needed longer than its time-out and had created an engine every time (hazard 4).
 */
export class Provisioner {
  readonly #parts: ProvisionerParts
  #pendingCount = 0
  /** Why the last request of {@link meet} failed. */
  readonly memory: RefusalMemory
  /** v1 never repeats and never overlaps requests (hazard 19): each waits for the one before. */
  #turn: Promise<unknown> = Promise.resolve()
  /** What v1 still owes. */
  readonly #debt: Debt
  /** Called when a request that {@link meet} made has come to an end. */
  onSettled: () => void = () => {}
  /** How many callers a new engine would help now. */
  countWaiting: () => number = () => 0

  constructor(parts: ProvisionerParts) {
    this.#parts = parts
    this.memory = new RefusalMemory(parts.clock)
    this.#debt = new Debt(parts.clock)
  }

  /** Asks for as many engines as the callers in the line need beyond those already on their way. */
  meet(): void {
    const { api, maxStreamsPerEngine } = this.#parts
    if (this.memory.holds) return
    const most = api.dialect === 'v1' ? 1 : MAX_CONCURRENT
    const wanted = Math.min(Math.ceil(this.countWaiting() / maxStreamsPerEngine), most)
    while (this.#pendingCount < wanted) void this.#meetOne()
  }

  /**
   * One new engine, once it is listed.
   *
   * @throws {@link CapacityError} when the orchestrator refused, or nothing was listed in time; always with a `retryAfterMs`
   */
  async request(body: ProvisionBody): Promise<Engine> {
    const { directory } = this.#parts
    // Known before, so that an engine that was there already is not taken for the new one if the answer is lost.
    await directory.get({ newerThan: directory.last?.sequence ?? 0 }).catch(() => undefined)
    return this.#request(body, () => true).catch((error: unknown) => {
      throw withRetryAfter(error)
    })
  }

  async #request(body: ProvisionBody, isNeeded: () => boolean): Promise<Engine> {
    const { api, clock, counters, emitter, lifetime } = this.#parts
    const startedAt = clock.now()
    try {
      const dialect = await api.resolveDialect({ signal: lifetime })
      const engine = await (dialect === 'v1' ? this.#inTurn(() => this.#requestUnnamed(body, isNeeded)) : this.#requestNamed(body))
      counters.provisionsCompleted += 1
      this.memory.forget()
      emitter.emit('provision:completed', { containerId: engine.containerId, durationMs: clock.now() - startedAt })
      return engine
    } catch (error) {
      if (error instanceof OrchestratorError && !lifetime.aborted) {
        counters.provisionsRefused += 1
        emitter.emit('provision:refused', { error })
      }
      throw error
    }
  }

  async #meetOne(): Promise<void> {
    const { logger } = this.#parts
    this.#pendingCount += 1
    try {
      await this.#request({}, () => this.countWaiting() > 0)
    } catch (error) {
      if (error === NOT_NEEDED) return
      this.memory.remember(error)
      logger.warn('No new engine', { error })
    } finally {
      this.#pendingCount -= 1
      this.onSettled()
    }
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task)
    this.#turn = result.catch(() => {})
    return result
  }

  async #requestNamed(body: ProvisionBody): Promise<Engine> {
    const before = this.#listedIds()
    const answer = await this.#ask(body)
    if (answer.containerId !== undefined) return this.#untilListed((engine) => engine.containerId === answer.containerId)
    // The answer was lost, the engine perhaps not. It is looked for before another is requested (hazard 4).
    if (before === undefined) throw answer.failure
    return this.#untilListed((engine) => !before.has(engine.containerId))
  }

  async #requestUnnamed(body: ProvisionBody, isNeeded: () => boolean): Promise<Engine> {
    const { directory, sequence, lifetime } = this.#parts
    await this.#refuseIfBlocked()
    const { engines } = await directory.get({ newerThan: sequence.current })
    if (!this.#debt.isOpen(engines)) {
      // Time has passed since the need arose, and a request that nobody needs is an engine for good.
      lifetime.throwIfAborted()
      if (!isNeeded()) throw NOT_NEEDED
      const { failure } = await this.#ask(body)
      this.#debt.owe(engines, failure === undefined)
    }
    const engine = await this.#untilListed(
      (listed) => this.#debt.pays(listed),
      () => this.#refuseIfBlocked(),
    )
    this.#debt.settle()
    return engine
  }

  async #ask(body: ProvisionBody): Promise<ProvisionAcknowledgement & { failure?: unknown }> {
    const { api, counters, emitter, logger, lifetime, provisionTimeoutMs } = this.#parts
    counters.provisionsRequested += 1
    emitter.emit('provision:requested', { waiting: this.countWaiting() })
    try {
      return await api.provision(body, { signal: lifetime, timeoutMs: provisionTimeoutMs })
    } catch (failure) {
      if (!isUnknown(failure)) throw failure
      logger.warn('A provision request was not answered; looking for its engine', { error: failure })
      return { failure }
    }
  }

  /** v1 answers `provisioning` whatever will come of it; only its status tells (hazard 19). */
  async #refuseIfBlocked(): Promise<void> {
    const { api, lifetime } = this.#parts
    const { provisioning, capacity } = await api.status({ signal: lifetime })
    const isFull = capacity?.maxReplicas !== undefined && capacity.total >= capacity.maxReplicas
    if (provisioning.canProvision && !isFull) return
    const breaker = provisioning.code === 'circuit_breaker' ? await api.circuitBreaker({ signal: lifetime }) : {}
    const reason = provisioning.code ?? (isFull ? 'max_capacity' : 'general_error')
    throw new CapacityError(`The orchestrator cannot add an engine: ${provisioning.reason ?? reason}`, {
      reason,
      retryAfterMs: breaker.retryAfterMs ?? provisioning.retryAfterMs,
      shouldWait: provisioning.shouldWait,
      canRetry: false,
    })
  }

  async #untilListed(isNew: (engine: Engine) => boolean, check: () => Promise<void> = async () => {}): Promise<Engine> {
    const { clock, directory, sequence, lifetime, provisionTimeoutMs } = this.#parts
    const deadline = clock.now() + provisionTimeoutMs
    let newerThan = sequence.current
    let refused: unknown
    for (;;) {
      const found = await this.#look(isNew, newerThan)
      if (found !== undefined) return found
      if (refused !== undefined) throw refused
      if (clock.now() >= deadline) break
      // From the second look on, several who wait share one request.
      newerThan = directory.last?.sequence ?? 0
      await pause(clock, Math.min(POLL_MS, deadline - clock.now()), lifetime)
      // A refusal counts only if the list that is read after it has no new engine either.
      refused = await check().then(
        () => undefined,
        (error: unknown) => (error instanceof CapacityError ? error : undefined),
      )
    }
    throw new CapacityError(`No new engine was listed within ${provisionTimeoutMs} ms`, {
      reason: 'provision_timeout',
      shouldWait: true,
      canRetry: true,
    })
  }

  async #look(isNew: (engine: Engine) => boolean, newerThan: number): Promise<Engine | undefined> {
    try {
      const { engines } = await this.#parts.directory.get({ newerThan })
      return engines.find(isNew)
    } catch (error) {
      if (!(error instanceof OrchestratorError) || !error.retryable) throw error
      return undefined // the orchestrator is failing; the engine may come all the same
    }
  }

  #listedIds(): ReadonlySet<string> | undefined {
    const { last } = this.#parts.directory
    return last === undefined ? undefined : new Set(last.engines.map((engine) => engine.containerId))
  }
}

/** Whether a provision request may have been applied although it failed. */
function isUnknown(error: unknown): boolean {
  if (error instanceof ConnectionError) return error.maybeProcessed
  if (error instanceof ResponseError) return error.status === 502 || error.status === 504 || error.status === 408
  return error instanceof RequestTimeoutError
}
