import { AuthenticationError, CapacityError, MalformedResponseError, ResponseError } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import type { OrchestratorStatus } from '../../model/health.ts'
import { pause } from '../../runtime/abort.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { StateStore } from '../../state/store.ts'
import { type ProvisionBody, ProvisionedEngines, type ProvisionParts } from './provision-request.ts'
import { ProvisioningLock } from './provisioner.ts'
import { notListed, untilListed } from './until-listed.ts'

const READING = 'Reading the status'

/** The parts of {@link ProvisionV1}. */
export type ProvisionV1Parts = ProvisionParts & { store: StateStore }

/** Ends a request that was about to be made for callers who have gone or been served. Not an error to anybody. */
export const NOT_NEEDED: unique symbol = Symbol('not needed')

/** The callbacks of one request: whether it is still needed, when its engine is listed, and when the next request may be sent. */
interface Need {
  isNeeded(): boolean
  onListed(engine: Engine): void
  onSent(): void
}

/** The status has to stay good for so long after the first request before more engines are requested. */
const GOOD_MS = 2_000
/** v1 notices no request within a second of its last round; without a later one it would wait up to 30 s for the next. */
const GAP_MS = 1_200
/** How often it is looked whether the next request may go out. */
const POLL_MS = 1_000
/** Within so short a time one status, or one list, serves all requests. */
const SAME_MOMENT_MS = 500

/**
 * New engines of v1, whose answer names none and promises nothing (H19). Each request is sent once, after the status was read: the first
 * alone, further ones once the status has stayed good for 2 s, and never more than `max_replicas` allows. The last of several keeps a
 * distance from those before it, so that v1 notices it, and with it all others.
 */
export class ProvisionV1 {
  readonly #parts: ProvisionV1Parts
  readonly #sightings: ProvisionedEngines
  readonly #debts: UnlistedEngines
  readonly #turn: ProvisioningLock
  /** Requests are sent one after the other. */
  #queue: Promise<void> = Promise.resolve()
  /** Requests behind the one that is about to be sent. */
  #queuedCount = 0
  /** Requests that have not come to an end. */
  #activeCount = 0
  /** When the first of several requests was sent; `undefined`: none was, or v1 has failed to start an engine since. */
  #goodSince: number | undefined
  /** v1's last failure to start an engine before that. */
  #failureBefore: number | undefined
  /** Engines that v1 may still start, requested ones included. */
  #room: number | undefined
  /** When a request was last sent, or an engine last came. */
  #movedAt = Number.NEGATIVE_INFINITY
  #check: { readonly at: number; readonly status: Promise<OrchestratorStatus | undefined> } | undefined
  /** Called when a request was sent: more may be known of how many engines can be started. */
  onSent: () => void = () => {}

  constructor(parts: ProvisionV1Parts) {
    this.#parts = parts
    this.#debts = new UnlistedEngines(parts.clock)
    this.#turn = new ProvisioningLock(parts.store, parts.clock)
    // Before the sightings, which look at the engines that came.
    parts.engineList.onRefresh(({ engines }) => this.#settle(engines))
    this.#sightings = new ProvisionedEngines(parts.engineList)
  }

  /** How many requests make sense at once, as far as is known. */
  get most(): number {
    return Math.max(1, this.#room ?? 1)
  }

  /** Engines that were requested, are not listed yet, and are waited for. */
  get awaitedCount(): number {
    return this.#debts.open.filter(({ isAwaited }) => isAwaited).length
  }

  /** Releases the turn for other proxies, also while a request is under way: its engine may still come. */
  close(): Promise<void> {
    return this.#turn.close()
  }

  /**
   * Sends a request when its turn has come, unless `isNeeded` is false by then, and waits until an engine is listed.
   *
   * @param onListed called with the engine in the step that takes its list, before any other request is sent
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
      return await this.#request(body, { isNeeded, onListed, onSent: sent.resolve })
    } finally {
      sent.resolve()
      this.#activeCount -= 1
      await this.#rest()
    }
  }

  async #request(body: ProvisionBody, need: Need): Promise<Engine> {
    const { lifetime, clock, provisionTimeoutMs } = this.#parts
    const deadline = clock.now() + provisionTimeoutMs
    for (;;) {
      const hadTurn = this.#turn.isHeld
      const hasTurn = await this.#turn.take()
      // Read after the turn was taken: a request that another proxy sent before may have taken the last place.
      const isFirst = hasTurn && !hadTurn
      if (isFirst) this.#check = undefined
      const status = await this.#refuseIfBlocked()
      const engines = await this.#listed(isFirst)
      // Time has passed since the need arose, and a request that nobody needs is an engine for good.
      lifetime.throwIfAborted()
      if (!need.isNeeded()) throw NOT_NEEDED
      const orphan = this.#debts.adopt(need.onListed)
      if (orphan !== undefined) {
        need.onSent()
        return this.#untilCome(orphan, this.#parts)
      }
      const delayMs = hasTurn ? this.#delayMs(status) : POLL_MS
      if (delayMs === 0) return this.#send(body, engines, status, need)
      if (clock.now() + delayMs > deadline) throw notListed(provisionTimeoutMs)
      await pause(clock, delayMs, lifetime)
    }
  }

  /** How long the next request has to wait, milliseconds; 0: it may be sent. */
  #delayMs(status: OrchestratorStatus | undefined): number {
    const now = this.#parts.clock.now()
    const gapMs = Math.max(0, this.#movedAt + GAP_MS - now)
    const owedCount = this.#debts.open.length
    if (this.#goodSince === undefined) return owedCount === 0 ? gapMs : POLL_MS
    const { total = 0, maxReplicas } = status?.capacity ?? {}
    if (status === undefined || (maxReplicas !== undefined && total + owedCount >= maxReplicas)) return POLL_MS
    const goodInMs = Math.max(0, this.#goodSince + GOOD_MS - now)
    return goodInMs > 0 || this.#queuedCount > 0 ? goodInMs : gapMs
  }

  async #send(body: ProvisionBody, listed: readonly Engine[], status: OrchestratorStatus | undefined, need: Need): Promise<Engine> {
    const { clock, lifetime } = this.#parts
    this.#movedAt = clock.now()
    if (this.#goodSince === undefined && status !== undefined) {
      this.#goodSince = this.#movedAt
      this.#failureBefore = status.provisioning.lastFailureAt?.getTime()
    }
    const debt = this.#debts.owe(listed, need.onListed)
    let isAnswered = false
    try {
      return await this.#sightings.request(this.#parts, body, {
        // The answer tells nothing: the engine is known by being new.
        isMeant: ({ containerId }) => containerId === debt.paidBy,
        afterAnswer: ({ failure }, parts) => {
          isAnswered = true
          if (failure === undefined) this.#debts.confirm(debt)
          need.onSent()
          this.onSent()
          return this.#untilCome(debt, parts)
        },
      })
    } catch (error) {
      debt.isAwaited = false
      if (!isAnswered && !lifetime.aborted) this.#debts.cancel(debt)
      throw error
    }
  }

  async #untilCome(debt: UnlistedEngine, parts: ProvisionParts): Promise<Engine> {
    try {
      return await untilListed(
        parts,
        ({ containerId }) => containerId === debt.paidBy,
        async () => {
          await this.#turn.renew()
          await this.#refuseIfBlocked()
        },
      )
    } finally {
      debt.isAwaited = false
    }
  }

  #settle(listed: readonly Engine[]): void {
    const owedCount = this.#debts.open.length
    this.#debts.settle(listed)
    if (this.#debts.open.length < owedCount) this.#movedAt = this.#parts.clock.now()
  }

  /**
   * With nothing under way another proxy may have the turn: how many engines came of the requests sent here, its own look at the status
   * shows. With nothing to come either, the next request is a first one again.
   */
  async #rest(): Promise<void> {
    if (this.#activeCount > 0) return
    if (this.#debts.open.length === 0) this.#goodSince = undefined
    await this.#turn.release()
  }

  /** The engines by a list that was read just now. `mustBeNew`: a list of the same moment will not do. */
  async #listed(mustBeNew: boolean): Promise<readonly Engine[]> {
    const { engineList, sequence, clock } = this.#parts
    const { last } = engineList
    const isRecent = !mustBeNew && last !== undefined && this.#goodSince !== undefined && clock.now() - last.receivedAt < SAME_MOMENT_MS
    return (isRecent ? last : await engineList.get({ newerThan: sequence.current, orPushed: true })).engines
  }

  /** v1 answers `provisioning` whatever will come of it; only its status tells. */
  async #refuseIfBlocked(): Promise<OrchestratorStatus | undefined> {
    const { api, lifetime, clock } = this.#parts
    if (this.#check === undefined || clock.now() - this.#check.at >= SAME_MOMENT_MS) {
      this.#check = { at: clock.now(), status: this.#status() }
    }
    const status = await this.#check.status
    if (status === undefined) return undefined
    const { provisioning, capacity } = status
    this.#room = capacity?.maxReplicas === undefined ? undefined : Math.max(0, capacity.maxReplicas - capacity.total)
    if (provisioning.lastFailureAt?.getTime() !== this.#failureBefore) this.#goodSince = undefined
    const isFull = capacity?.maxReplicas !== undefined && capacity.total >= capacity.maxReplicas
    if (provisioning.canProvision && !isFull) return status
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
  async #status(): Promise<OrchestratorStatus | undefined> {
    const { api, lifetime, outages } = this.#parts
    try {
      const status = await api.status({ signal: lifetime })
      outages.works(READING)
      return status
    } catch (error) {
      const isUntold =
        error instanceof MalformedResponseError || (error instanceof ResponseError && !(error instanceof AuthenticationError))
      if (!isUntold) throw error
      outages.failed(READING, 'The status does not tell whether an engine can be added; asking all the same', { error })
      return undefined
    }
  }
}

/** v1 starts what was requested, some day. What has not come by then was lost in a restart, or scaled down. */
const DEBT_MS = 600_000
/** Where the request may not have reached v1 at all. */
const UNCERTAIN_DEBT_MS = 120_000

/** An engine that v1 was asked for. It comes some day, together with any other that was requested (H19). */
export interface UnlistedEngine {
  /** When it is given up. */
  until: number
  /** Whether a caller waits for it. An engine for which none does any more may serve the next request. */
  isAwaited: boolean
  /** The engine that came for it. */
  paidBy: string | undefined
  /** Called with that engine in the step that settles this. */
  onPaid: (engine: Engine) => void
}

/** The engines that v1 was asked for and has not listed yet, oldest first. Each container id not seen before settles one. */
export class UnlistedEngines {
  readonly #clock: Clock
  #open: UnlistedEngine[] = []
  /** Engines listed when the oldest was requested, and those that came since. */
  readonly #known = new Set<string>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Engines that are still to come. */
  get open(): readonly UnlistedEngine[] {
    const now = this.#clock.now()
    if (this.#open.some(({ until }) => until <= now)) this.#open = this.#open.filter(({ until }) => until > now)
    return this.#open
  }

  /** An engine is about to be requested. `listed`: the engines that are there already. */
  owe(listed: readonly Engine[], onPaid: (engine: Engine) => void): UnlistedEngine {
    if (this.open.length === 0) this.#known.clear()
    for (const { containerId } of listed) this.#known.add(containerId)
    const debt: UnlistedEngine = { until: this.#clock.now() + UNCERTAIN_DEBT_MS, isAwaited: true, paidBy: undefined, onPaid }
    this.#open.push(debt)
    return debt
  }

  /** v1 has acknowledged the request. */
  confirm(debt: UnlistedEngine): void {
    debt.until = this.#clock.now() + DEBT_MS
  }

  /** The request certainly never reached v1. */
  cancel(debt: UnlistedEngine): void {
    this.#open = this.#open.filter((other) => other !== debt)
  }

  /** The oldest for which no caller waits any more; the caller of this does from now on. */
  adopt(onPaid: (engine: Engine) => void): UnlistedEngine | undefined {
    const orphan = this.open.find(({ isAwaited }) => !isAwaited)
    return orphan && Object.assign(orphan, { isAwaited: true, onPaid })
  }

  /** Takes a list into account. Callers wait for the oldest first, so those are settled first. */
  settle(listed: readonly Engine[]): void {
    if (this.open.length === 0) return
    for (const engine of listed) {
      const { containerId } = engine
      if (this.#known.has(containerId)) continue
      this.#known.add(containerId)
      const [oldest] = this.#open.splice(0, 1)
      if (oldest === undefined) continue
      oldest.paidBy = containerId
      oldest.onPaid(engine)
    }
  }
}
