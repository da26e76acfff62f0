import { CapacityError, OrchestratorError, withRetryAfter } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import type { StateStore } from '../../state/store.ts'
import { ProvisionBackoff, UnusableEngineError } from './provision-backoff.ts'
import { ProvisionNamed } from './provision-named.ts'
import type { ProvisionBody, ProvisionParts } from './provision-request.ts'
import { NOT_NEEDED, ProvisionV1 } from './provision-v1.ts'

const STARTING = 'Starting engines'

/** Dependencies and options of {@link Provisioner}. */
export interface ProvisionerParts extends ProvisionParts {
  store: StateStore
  maxStreamsPerEngine: number
  /** How many requests for engines may be under way. On v1 the status decides that instead. */
  maxConcurrentProvisions: number
  /** Called when a request was sent to v1, and when any request has succeeded or failed: the waiting callers can be served or rejected. */
  onSettled: () => void
}

/**
 * Decides when engines are requested, and how many.
 *
 * - **When**: callers wait, and a list proves that all engines are full (the allocator then calls {@link provisionForDemand}), or the host
 *   calls `provisionEngine()`.
 * - **How many**: as many as the waiting callers need beyond the engines that are requested already; at most `maxConcurrentProvisions` at
 *   once, or as many as v1's status allows.
 * - **How often**: each need is requested once. After a failure, none is requested while the {@link ProvisionBackoff} holds.
 *
 * The Go client sent 60 requests for 20 viewers at capacity, three attempts each, because the
 * orchestrator took longer than the client's time-out. It had started an engine for each attempt (H4).
 */
export class Provisioner {
  readonly #parts: ProvisionerParts
  readonly #named: ProvisionNamed
  readonly #v1: ProvisionV1
  /** Engines that were requested for waiting callers or by the host, and are not listed yet. */
  #requestedCount = 0
  /** Why the last request of {@link provisionForDemand} failed, and for how long none is sent. */
  readonly backoff: ProvisionBackoff

  constructor(parts: ProvisionerParts) {
    this.#parts = parts
    this.backoff = new ProvisionBackoff(parts.clock)
    this.#named = new ProvisionNamed(parts)
    this.#v1 = new ProvisionV1({ ...parts, onAnswered: parts.onSettled })
  }

  /** How many slots the requested engines will have. */
  get requestedSlotCount(): number {
    return this.#requestedCount * this.#parts.maxStreamsPerEngine
  }

  /** Requests as many engines as the waiting callers need beyond the engines that are requested already. */
  provisionForDemand(): void {
    if (this.backoff.isHolding) return
    const { countWaiting, maxStreamsPerEngine } = this.#parts
    const neededCount = Math.min(Math.ceil(countWaiting() / maxStreamsPerEngine), this.#maxCount)
    while (this.#requestedCount < neededCount) void this.#provisionOne()
  }

  /**
   * Requests one engine for the host, and waits until it is listed.
   *
   * @throws {@link CapacityError}, always with a `retryAfterMs`, if the orchestrator refuses or no engine is listed in time
   */
  async request(body: ProvisionBody): Promise<Engine> {
    const { engineList } = this.#parts
    // Read a list first: if the answer is lost, an engine that existed before must not be taken for the new one.
    await engineList.get({ newerThan: engineList.last?.sequence ?? 0 }).catch(() => undefined)
    try {
      return await this.#request(body, () => true)
    } catch (error) {
      throw withRetryAfter(error)
    }
  }

  /** Lets other proxies request engines. Requests that are under way end with the client's lifetime. */
  close(): Promise<void> {
    return this.#v1.close()
  }

  /** How many requested engines there may be at once. */
  get #maxCount(): number {
    // After a failure, one request shows whether the cause persists.
    if (this.backoff.failure !== undefined) return 1
    return this.#parts.api.dialect === 'v1' ? this.#v1.usefulCount : this.#parts.maxConcurrentProvisions
  }

  /** Requests one engine for the waiting callers. Never rejects: a failure starts the backoff, and is logged once for each cause. */
  async #provisionOne(): Promise<void> {
    try {
      await this.#request(
        {},
        () => this.#isNeeded,
        (error) => this.backoff.record(error),
      )
    } catch (error) {
      if (error === NOT_NEEDED) return
      const cause = error instanceof CapacityError ? error.reason : error instanceof OrchestratorError ? error.code : ''
      this.#parts.outages.failed(STARTING, 'No new engine could be started', { error }, { cause })
    }
  }

  /** Whether the waiting callers need more engines than are awaited, and no request has failed meanwhile. */
  get #isNeeded(): boolean {
    return !this.backoff.isHolding && this.#parts.countWaiting() > this.#v1.awaitedCount * this.#parts.maxStreamsPerEngine
  }

  /**
   * Sends one request. Events and callbacks are called last: a listener that acquires again finds the counts and the backoff up to date.
   *
   * @param isNeeded whether the engine is still needed; called just before the request is sent to v1
   * @param onFailed called with the error if no engine was started, or the new engine is not usable
   */
  async #request(body: ProvisionBody, isNeeded: () => boolean, onFailed: (error: unknown) => void = () => {}): Promise<Engine> {
    const { api, clock, counters, emitter, lifetime, onSettled, outages } = this.#parts
    const startedAt = clock.now()
    let notify = (): void => {}
    this.#requestedCount += 1
    try {
      const isV1 = (await api.resolveDialect({ signal: lifetime })) === 'v1'
      const onListed = (engine: Engine): void => {
        if (this.#isUsable(engine)) this.backoff.reset(startedAt)
        // Start a backoff: else one caller would cause as many unusable engines as the orchestrator can start.
        else
          onFailed(new UnusableEngineError(`The new engine ${engine.containerId} is unhealthy, draining or full, so no caller can use it`))
      }
      const engine = await (isV1 ? this.#v1.request(body, isNeeded, onListed) : this.#named.request(body))
      if (!isV1) onListed(engine)
      counters.provisionsCompleted += 1
      const durationMs = clock.now() - startedAt
      notify = () => {
        outages.works(STARTING)
        emitter.to('provision:completed')?.({ containerId: engine.containerId, durationMs })
      }
      return engine
    } catch (error) {
      if (error !== NOT_NEEDED) onFailed(error)
      if (error instanceof OrchestratorError && !lifetime.aborted) {
        counters.provisionsRefused += 1
        notify = () => emitter.to('provision:refused')?.({ error })
      }
      throw error
    } finally {
      this.#requestedCount -= 1
      onSettled()
      notify()
    }
  }

  /** Whether a new engine can take a stream: it is listed as not unhealthy and not draining, and other proxies have left room. */
  #isUsable({ draining, healthStatus, streamIds }: Engine): boolean {
    return !draining && healthStatus !== 'unhealthy' && streamIds.length < this.#parts.maxStreamsPerEngine
  }
}
