import { AuthenticationError, CapacityError, MalformedResponseError, ResponseError } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import type { OrchestratorStatus } from '../../model/health.ts'
import { pause } from '../../runtime/abort.ts'
import type { StateStore } from '../../state/store.ts'
import { type ProvisionBody, type ProvisionParts, provisionTimeout, requestEngine, untilListed } from './provision-request.ts'
import { ProvisioningLock } from './provisioning-lock.ts'
import { type ExpectedEngine, UnlistedEngines } from './unlisted-engines.ts'

const READING = 'Reading the status'

/** Dependencies and options of {@link ProvisionV1}. */
export interface ProvisionV1Parts extends ProvisionParts {
  store: StateStore
  /** Called when v1 has answered a request: {@link ProvisionV1.usefulCount} may be higher now. */
  onAnswered: () => void
}

/** Thrown if a request was not sent, because no caller needed it any more when its turn came. Never shown to a host. */
export const NOT_NEEDED: unique symbol = Symbol('not needed')

/** Callbacks of the caller of one request. */
interface Need {
  /** Whether an engine is still needed. Called just before the request is sent. */
  isNeeded(): boolean
  /** Called with the engine while its list is being accepted, before any other request is sent. */
  onListed(engine: Engine): void
  /** Called when the next request may be sent. */
  onSent(): void
}

/** For this time after the first request the status must show no failure. Only then more engines are requested. */
const PROVEN_AFTER_MS = 2_000
/**
 * v1 starts engines in rounds. A request within a second of a round waits for the next round, for up to 30 s if no other request begins one
 * (H19). So the last request waits this long after the last change.
 */
const GAP_MS = 1_200
/** How often a request that must wait checks whether it may be sent. */
const POLL_MS = 1_000
/** One status and one list serve all requests for this long. */
const REUSE_MS = 500

/**
 * Requests engines from v1. Its answer names no engine, and does not prove that one will be started (H19). Requests are sent one after the
 * other, each once, and only after the status was read: the first alone, the others once the status has shown no failure for 2 s, and never
 * more than `max_replicas` allows. In a fleet, only the proxy that holds the {@link ProvisioningLock} sends requests.
 */
export class ProvisionV1 {
  readonly #parts: ProvisionV1Parts
  readonly #unlisted: UnlistedEngines
  readonly #lock: ProvisioningLock
  /** Settles when the last request of the queue was sent or has failed: then the next one may be sent. */
  #queue: Promise<void> = Promise.resolve()
  /** Requests behind the one that is sent next. */
  #queuedCount = 0
  /** Requests that have neither succeeded nor failed. */
  #activeCount = 0
  /** When the first of several requests was sent. `undefined`: none was, or v1 has failed to start an engine since. */
  #firstSentAt: number | undefined
  /** When v1 had last failed to start an engine, by the status before the first request. */
  #failureBefore: number | undefined
  /** `max_replicas` minus the engines that exist, by the last status. `undefined`: v1 has no maximum, or no status was read. */
  #freeReplicas: number | undefined
  /** When a request was last sent or a requested engine was last listed. */
  #changedAt = Number.NEGATIVE_INFINITY
  /** The last read of the status, which all requests share for 500 ms. */
  #statusRead: { readonly at: number; readonly status: Promise<OrchestratorStatus | undefined> } | undefined

  constructor(parts: ProvisionV1Parts) {
    this.#parts = parts
    this.#unlisted = new UnlistedEngines(parts.clock)
    this.#lock = new ProvisioningLock(parts)
    parts.engineList.onRefresh(({ engines }) => {
      const expectedCount = this.#unlisted.size
      this.#unlisted.update(engines)
      if (this.#unlisted.size < expectedCount) this.#changedAt = parts.clock.now()
    })
  }

  /** How many requests are useful at the same time, as far as v1's status says. */
  get usefulCount(): number {
    return Math.max(1, this.#freeReplicas ?? 1)
  }

  /** Number of requested engines that a request waits for. */
  get awaitedCount(): number {
    return this.#unlisted.awaitedCount
  }

  /** Lets other proxies request engines, also while a request is under way: its engine may still come. */
  close(): Promise<void> {
    return this.#lock.close()
  }

  /**
   * Sends a request when its turn has come, and waits until its engine is listed. If an earlier request stopped waiting for its engine,
   * this request waits for that engine and sends nothing.
   *
   * @throws {@link NOT_NEEDED} if `isNeeded` is false when the turn has come; {@link CapacityError} if v1's status says that v1 starts no
   *   engine; else as {@link requestEngine}
   */
  async request(body: ProvisionBody, isNeeded: () => boolean, onListed: (engine: Engine) => void): Promise<Engine> {
    const before = this.#queue
    const sent = Promise.withResolvers<void>()
    this.#queue = sent.promise
    this.#queuedCount += 1
    this.#activeCount += 1
    await before
    this.#queuedCount -= 1
    try {
      return await this.#requestInTurn(body, { isNeeded, onListed, onSent: sent.resolve })
    } finally {
      sent.resolve()
      this.#activeCount -= 1
      if (this.#activeCount === 0) {
        // If no engine is expected either, the next request is sent as a first request again.
        if (this.#unlisted.size === 0) this.#firstSentAt = undefined
        await this.#lock.release()
      }
    }
  }

  /** Repeats its checks every second or later, until the request may be sent. */
  async #requestInTurn(body: ProvisionBody, need: Need): Promise<Engine> {
    const { lifetime, clock, provisionTimeoutMs } = this.#parts
    const deadline = clock.now() + provisionTimeoutMs
    for (;;) {
      const wasHeld = this.#lock.isHeld
      const isHeld = await this.#lock.take()
      // The proxy that held the lock before may have used the room that an earlier status or list shows as free.
      const isNew = isHeld && !wasHeld
      if (isNew) this.#statusRead = undefined
      const status = await this.#readStatus()
      const engines = await this.#listedEngines(isNew)
      lifetime.throwIfAborted()
      // Check this last: v1 never removes an engine that no caller needs.
      if (!need.isNeeded()) throw NOT_NEEDED
      const unlisted = this.#unlisted.reuse(need.onListed)
      if (unlisted !== undefined) {
        need.onSent()
        return this.#untilListed(unlisted, this.#parts)
      }
      const delayMs = isHeld ? this.#delayMs(status) : POLL_MS
      if (delayMs === 0) return this.#send(body, engines, status, need)
      if (clock.now() + delayMs > deadline) throw provisionTimeout(provisionTimeoutMs)
      await pause(clock, delayMs, lifetime)
    }
  }

  /** How long the next request must wait, milliseconds. 0: it may be sent now. */
  #delayMs(status: OrchestratorStatus | undefined): number {
    const now = this.#parts.clock.now()
    const gapMs = Math.max(0, this.#changedAt + GAP_MS - now)
    const expectedCount = this.#unlisted.size
    if (this.#firstSentAt === undefined) return expectedCount === 0 ? gapMs : POLL_MS
    const { total = 0, maxReplicas } = status?.capacity ?? {}
    if (status === undefined || (maxReplicas !== undefined && total + expectedCount >= maxReplicas)) return POLL_MS
    const provenInMs = Math.max(0, this.#firstSentAt + PROVEN_AFTER_MS - now)
    // Only the last request keeps the gap: v1 notices the earlier requests together with it.
    return provenInMs > 0 || this.#queuedCount > 0 ? provenInMs : gapMs
  }

  /** Sends the request, and waits until an engine that counts as its own is listed. */
  async #send(body: ProvisionBody, listed: readonly Engine[], status: OrchestratorStatus | undefined, need: Need): Promise<Engine> {
    const { clock, lifetime, onAnswered } = this.#parts
    this.#changedAt = clock.now()
    if (this.#firstSentAt === undefined && status !== undefined) {
      this.#firstSentAt = this.#changedAt
      this.#failureBefore = status.provisioning.lastFailureAt?.getTime()
    }
    const unlisted = this.#unlisted.record(listed, need.onListed)
    let isAnswered = false
    try {
      return await requestEngine(this.#parts, body, {
        isRequested: ({ containerId }) => containerId === unlisted.containerId,
        waitAfterAnswer: ({ failure }, parts) => {
          isAnswered = true
          if (failure === undefined) this.#unlisted.acknowledge(unlisted)
          need.onSent()
          onAnswered()
          return this.#untilListed(unlisted, parts)
        },
      })
    } catch (error) {
      unlisted.isAwaited = false
      if (!isAnswered && !lifetime.aborted) this.#unlisted.remove(unlisted)
      throw error
    }
  }

  /** Renews the lock while it waits, and reads the status: only the status of v1 shows that it has failed to start the engine. */
  async #untilListed(unlisted: ExpectedEngine, parts: ProvisionParts): Promise<Engine> {
    const check = async (): Promise<void> => {
      await this.#lock.renew()
      await this.#readStatus()
    }
    try {
      return await untilListed(parts, ({ containerId }) => containerId === unlisted.containerId, check)
    } finally {
      unlisted.isAwaited = false
    }
  }

  /** The engines of a list that is at most 500 ms old; with `mustBeNew`, of a list that is requested after this call. */
  async #listedEngines(mustBeNew: boolean): Promise<readonly Engine[]> {
    const { engineList, sequence, clock } = this.#parts
    const { last } = engineList
    const isRecent = !mustBeNew && last !== undefined && this.#firstSentAt !== undefined && clock.now() - last.receivedAt < REUSE_MS
    return (isRecent ? last : await engineList.get({ newerThan: sequence.current, orPushed: true })).engines
  }

  /**
   * Reads the status, and records its free replicas and failures.
   *
   * @returns `undefined` if the status cannot be read. That blocks no request (H13): the list, which is read too, shows whether the
   *   orchestrator answers at all
   * @throws {@link CapacityError} if v1 starts no engine now. v1 would accept the request all the same: only its status shows the refusal
   */
  async #readStatus(): Promise<OrchestratorStatus | undefined> {
    const { clock } = this.#parts
    if (this.#statusRead === undefined || clock.now() - this.#statusRead.at >= REUSE_MS) {
      this.#statusRead = { at: clock.now(), status: this.#requestStatus() }
    }
    const status = await this.#statusRead.status
    if (status === undefined) return undefined
    const { provisioning, capacity } = status
    this.#freeReplicas = capacity?.maxReplicas === undefined ? undefined : Math.max(0, capacity.maxReplicas - capacity.total)
    if (provisioning.lastFailureAt?.getTime() !== this.#failureBefore) this.#firstSentAt = undefined
    if (!provisioning.canProvision || this.#freeReplicas === 0) throw await this.#refusalFrom(status)
    return status
  }

  /** Requests the status. Returns `undefined` if it cannot be read. Throws the error of a wrong API key or a broken connection. */
  async #requestStatus(): Promise<OrchestratorStatus | undefined> {
    const { api, lifetime, outages } = this.#parts
    try {
      const status = await api.status({ signal: lifetime })
      outages.works(READING)
      return status
    } catch (error) {
      const isUnreadable =
        error instanceof MalformedResponseError || (error instanceof ResponseError && !(error instanceof AuthenticationError))
      if (!isUnreadable) throw error
      outages.failed(
        READING,
        'The status could not be read, so it is not known whether an engine can be started; it is requested all the same',
        { error },
      )
      return undefined
    }
  }

  /** The error for a status by which v1 starts no engine. */
  async #refusalFrom({ provisioning, capacity }: OrchestratorStatus): Promise<CapacityError> {
    const { api, lifetime } = this.#parts
    const { canProvision, code, shouldWait } = provisioning
    const isFull = this.#freeReplicas === 0
    // v1's own circuit breaker is open. Only this route names the wait; if the request fails, the wait stays unknown.
    const breaker = code === 'circuit_breaker' ? await api.circuitBreaker({ signal: lifetime }).catch(() => undefined) : undefined
    const reason = code ?? (isFull ? 'max_capacity' : 'general_error')
    const why =
      isFull && canProvision ? `it runs ${capacity?.total} of at most ${capacity?.maxReplicas}` : `"${provisioning.reason ?? reason}"`
    return new CapacityError(`The orchestrator starts no engine: ${why}`, {
      reason,
      retryAfterMs: breaker?.retryAfterMs ?? provisioning.retryAfterMs,
      shouldWait,
      canRetry: false,
    })
  }
}
