import { AuthenticationError, CapacityError, MalformedResponseError, ResponseError } from '../errors.ts'
import type { Engine, OrchestratorHealth } from '../orchestrator/domain.ts'
import { Debt } from './debt.ts'
import { untilListed } from './new-engine.ts'
import type { ProvisionBody } from './provision-call.ts'
import { type ProvisionParts, Sightings } from './sightings.ts'

/** Ends a request that was about to be made for callers who have gone or been served. Not an error to anybody. */
export const NOT_NEEDED: unique symbol = Symbol('not needed')

/**
 * New engines of v1, whose answer names none and promises nothing (hazard 19): one request is out at a time, the next when a container id
 * not seen before is listed, and the status is read first.
 */
export class UnnamedProvision {
  readonly #parts: ProvisionParts
  readonly #sightings: Sightings
  /** Each request waits for the one before. */
  #turn: Promise<unknown> = Promise.resolve()
  /** What v1 still owes. */
  readonly #debt: Debt

  constructor(parts: ProvisionParts) {
    this.#parts = parts
    this.#debt = new Debt(parts.clock)
    this.#sightings = new Sightings(parts.directory)
  }

  /** Asks when its turn has come, unless nobody needs an engine by then, and waits until one is listed. */
  request(body: ProvisionBody, isNeeded: () => boolean): Promise<Engine> {
    const result = this.#turn.then(() => this.#request(body, isNeeded))
    this.#turn = result.catch(() => {})
    return result
  }

  async #request(body: ProvisionBody, isNeeded: () => boolean): Promise<Engine> {
    const { directory, sequence, lifetime } = this.#parts
    await this.#refuseIfBlocked()
    const { engines } = await directory.get({ newerThan: sequence.current, orPushed: true })
    const isOwed = this.#debt.isOpen(engines)
    // Time has passed since the need arose, and a request that nobody needs is an engine for good.
    lifetime.throwIfAborted()
    if (!isOwed && !isNeeded()) throw NOT_NEEDED
    const engine = await (isOwed ? this.#untilPaid(this.#parts) : this.#ask(body, engines))
    this.#debt.settle()
    return engine
  }

  async #ask(body: ProvisionBody, listed: readonly Engine[]): Promise<Engine> {
    this.#debt.owe(listed, false)
    let isAnswered = false
    try {
      return await this.#sightings.request(this.#parts, body, {
        // The answer tells nothing: the engine is known by being new.
        isMeant: (engine) => this.#debt.pays(engine),
        afterAnswer: ({ failure }, parts) => {
          isAnswered = true
          if (failure === undefined) this.#debt.owe(listed, true)
          return this.#untilPaid(parts)
        },
      })
    } catch (error) {
      if (!isAnswered && !this.#parts.lifetime.aborted) this.#debt.settle() // it certainly was not asked
      throw error
    }
  }

  #untilPaid(parts: ProvisionParts): Promise<Engine> {
    return untilListed(
      parts,
      (listed) => this.#debt.pays(listed),
      () => this.#refuseIfBlocked(),
    )
  }

  /** v1 answers `provisioning` whatever will come of it; only its status tells. */
  async #refuseIfBlocked(): Promise<void> {
    const { api, lifetime } = this.#parts
    const status = await this.#status()
    if (status === undefined) return
    const { provisioning, capacity } = status
    const isFull = capacity?.maxReplicas !== undefined && capacity.total >= capacity.maxReplicas
    if (provisioning.canProvision && !isFull) return
    const isBroken = provisioning.code === 'circuit_breaker'
    // That it is open is known; for how long may stay unknown.
    const breaker: { retryAfterMs?: number } = isBroken ? await api.circuitBreaker({ signal: lifetime }).catch(() => ({})) : {}
    const reason = provisioning.code ?? (isFull ? 'max_capacity' : 'general_error')
    const words =
      isFull && provisioning.canProvision
        ? `it runs ${capacity.total} of at most ${capacity.maxReplicas}`
        : `"${provisioning.reason ?? reason}"`
    throw new CapacityError(`The orchestrator starts no engine: ${words}`, {
      reason,
      retryAfterMs: breaker.retryAfterMs ?? provisioning.retryAfterMs,
      shouldWait: provisioning.shouldWait,
      canRetry: false,
    })
  }

  /**
   * The status; `undefined` where it was answered with nothing that tells. Such an answer blocks nothing (hazard 13): whether the orchestrator
   * is there at all, the list tells that is read before it is asked.
   */
  async #status(): Promise<OrchestratorHealth | undefined> {
    const { api, lifetime, logger } = this.#parts
    try {
      return await api.status({ signal: lifetime })
    } catch (error) {
      const isUntold =
        error instanceof MalformedResponseError || (error instanceof ResponseError && !(error instanceof AuthenticationError))
      if (!isUntold) throw error
      logger.warn('The status does not tell whether an engine can be added; asking all the same', { error })
      return undefined
    }
  }
}
