import { CapacityError, OrchestratorError, StoreError, withRetryAfter } from '../../errors.ts'
import type { Engine } from '../../model/engine.ts'
import type { Clock } from '../../runtime/clock.ts'
import { randomId } from '../../runtime/random.ts'
import type { StateStore } from '../../state/store.ts'
import { ProvisionBackoff, UnusableEngineError } from './provision-backoff.ts'
import { ProvisionNamed } from './provision-named.ts'
import type { ProvisionBody, ProvisionRequestParts } from './provision-request.ts'
import { NOT_NEEDED, ProvisionV1 } from './provision-v1.ts'
import type { NewEngineParts } from './until-listed.ts'

const STARTING = 'Starting engines'

/** Dependencies and options of {@link Provisioner}. */
export interface ProvisionerParts extends NewEngineParts, ProvisionRequestParts {
  store: StateStore
  maxStreamsPerEngine: number
  maxConcurrentProvisions: number
  /** Called when a request was sent to v1, and when any request has succeeded or failed: the waiting callers can be served or rejected. */
  onSettled: () => void
}

/**
 * More engines, asked for once per need. The Go client answered 20 viewers at capacity with 60 requests: three attempts each,
 * against an orchestrator that needed longer than its time-out and had created an engine every time (hazard 4).
 */
export class Provisioner {
  readonly #parts: ProvisionerParts
  readonly #named: ProvisionNamed
  readonly #unnamed: ProvisionV1
  /** Engines that were asked for, by the line or by the host, and are not listed yet. Each will bring `maxStreamsPerEngine` slots. */
  #underWayCount = 0
  /** Why the last request of {@link provisionForDemand} failed. */
  readonly memory: ProvisionBackoff

  constructor(parts: ProvisionerParts) {
    this.#parts = parts
    this.memory = new ProvisionBackoff(parts.clock)
    this.#named = new ProvisionNamed(parts)
    this.#unnamed = new ProvisionV1(parts)
    this.#unnamed.onSent = parts.onSettled
  }

  /** Slots that are on their way. */
  get slotsUnderWay(): number {
    return this.#underWayCount * this.#parts.maxStreamsPerEngine
  }

  /** Asks for as many engines as the callers in the line need beyond those already on their way. */
  provisionForDemand(): void {
    if (this.memory.holds) return
    const wanted = Math.min(Math.ceil(this.#parts.countWaiting() / this.#parts.maxStreamsPerEngine), this.#mostAtOnce)
    while (this.#underWayCount < wanted) void this.#meetOne()
  }

  /**
   * One new engine, once it is listed.
   *
   * @throws {@link CapacityError} when the orchestrator refused, or nothing was listed in time; always with a `retryAfterMs`
   */
  async request(body: ProvisionBody): Promise<Engine> {
    const { engineList } = this.#parts
    // Known before, so that an engine that was there already is not taken for the new one if the answer is lost.
    await engineList.get({ newerThan: engineList.last?.sequence ?? 0 }).catch(() => undefined)
    try {
      return await this.#request(body, () => true)
    } catch (error) {
      throw withRetryAfter(error)
    }
  }

  /** Lets other proxies request engines. Requests under way end with the client's lifetime. */
  close(): Promise<void> {
    return this.#unnamed.close()
  }

  get #mostAtOnce(): number {
    // After a refusal one is enough to find out whether it still holds.
    if (this.memory.failure !== undefined) return 1
    return this.#parts.api.dialect === 'v1' ? this.#unnamed.most : this.#parts.maxConcurrentProvisions
  }

  /** One request. It counts as under way until its engine is listed; listeners are called when all of this knows how it came out. */
  async #request(body: ProvisionBody, isNeeded: () => boolean, onFailed: (error: unknown) => void = () => {}): Promise<Engine> {
    const { api, clock, counters, emitter, lifetime, onSettled, outages } = this.#parts
    const startedAt = clock.now()
    let notify = (): void => {}
    this.#underWayCount += 1
    try {
      const dialect = await api.resolveDialect({ signal: lifetime })
      const onListed = (listed: Engine): void => {
        if (this.#isUsable(listed)) this.memory.disprove(startedAt)
        else onFailed(new UnusableEngineError(`A new engine came that no caller can use: ${listed.containerId}`))
      }
      const isUnnamed = dialect === 'v1'
      const engine = await (isUnnamed ? this.#unnamed.request(body, isNeeded, onListed) : this.#named.request(body))
      if (!isUnnamed) onListed(engine)
      counters.provisionsCompleted += 1
      const durationMs = clock.now() - startedAt
      notify = () => {
        outages.works(STARTING)
        emitter.emit('provision:completed', { containerId: engine.containerId, durationMs })
      }
      return engine
    } catch (error) {
      onFailed(error)
      if (error instanceof OrchestratorError && !lifetime.aborted) {
        counters.provisionsRefused += 1
        notify = () => emitter.emit('provision:refused', { error })
      }
      throw error
    } finally {
      this.#underWayCount -= 1
      onSettled()
      notify()
    }
  }

  /** Whether a new engine can take a stream: not where it is listed unhealthy, draining, or filled by other proxies already. */
  #isUsable({ draining, healthStatus, streamIds }: Engine): boolean {
    return !draining && healthStatus !== 'unhealthy' && streamIds.length < this.#parts.maxStreamsPerEngine
  }

  /** Whether callers need one more engine than those awaited. Not while a failure holds that became known after the request was queued. */
  get #isNeeded(): boolean {
    return !this.memory.holds && this.#parts.countWaiting() > this.#unnamed.awaitedCount * this.#parts.maxStreamsPerEngine
  }

  async #meetOne(): Promise<void> {
    // That no caller can use the new engine counts too: without a backoff, one caller makes as many as the orchestrator can start.
    const remember = (error: unknown): void => {
      if (error !== NOT_NEEDED) this.memory.remember(error)
    }
    try {
      await this.#request({}, () => this.#isNeeded, remember)
    } catch (error) {
      if (error === NOT_NEEDED) return
      const cause = error instanceof CapacityError ? error.reason : error instanceof OrchestratorError ? error.code : ''
      this.#parts.outages.failed(STARTING, 'No new engine', { error }, { cause })
    }
  }
}

/** No engine has this id: ids of containers are hexadecimal digits. */
export const PROVISIONING_SLOT = '(the turn to start engines)'

/** How long the turn lasts unless it is renewed: a release that the store lost costs other proxies no more. */
const LEASE_MS = 30_000
/** It is renewed when less than this is left. */
const RENEW_MS = 15_000

/**
 * The turn to request engines of v1, which one proxy of a fleet has at a time: the others' requests would add up (H19). It is a slot in the
 * shared store, with room for one, so that the store's own rules apply: taken in one step, and freed when its proxy dies.
 */
export class ProvisioningLock {
  readonly #store: StateStore
  readonly #clock: Clock
  #lease: { readonly id: string; readonly until: number } | undefined
  #isClosed = false
  /** Calls of the store are made one after the other: a release never overtakes the renewal before it. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(store: StateStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Whether this proxy has the turn. */
  get isHeld(): boolean {
    return this.#lease !== undefined && this.#lease.until > this.#clock.now()
  }

  /** Takes the turn, or keeps it. `false`: another proxy has it, the store cannot tell, or the client closes. */
  async take(): Promise<boolean> {
    return this.#isClosed ? false : this.#isLasting || this.#inOrder(() => this.#take())
  }

  /** Keeps the turn if this proxy has it, for a request that is still awaited. */
  async renew(): Promise<void> {
    if (this.isHeld) await this.take()
  }

  /** Lets another proxy take it. Never rejects: where the store is away, its time runs out. */
  async release(): Promise<void> {
    const before = this.#lease
    this.#lease = undefined
    await this.#inOrder(async () => {
      const after = this.#lease
      this.#lease = undefined
      for (const lease of [before, after]) if (lease !== undefined) await this.#end(lease.id)
    })
  }

  /** Releases it for good. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.release()
  }

  get #isLasting(): boolean {
    return this.#lease !== undefined && this.#lease.until - this.#clock.now() > RENEW_MS
  }

  async #take(): Promise<boolean> {
    if (this.#isLasting) return true
    const now = this.#clock.now()
    const { isHeld } = this
    const before = this.#lease
    const next = { id: `provisioning/${randomId()}`, until: now + LEASE_MS }
    try {
      // Its time is up, and the store may not have noticed.
      if (!isHeld && before !== undefined) await this.#end(before.id)
      const candidates = [{ containerId: PROVISIONING_SLOT, reportedStreamIds: [] }]
      // The next lease is taken beside the one that is held, so that no other proxy takes the turn in between.
      const limit = isHeld ? 2 : 1
      const taken = await this.#store.take({ leaseId: next.id, candidates, limit, now, expiresAt: next.until })
      if (taken === undefined) return isHeld
      this.#lease = next
      if (isHeld && before !== undefined) await this.#end(before.id)
      return true
    } catch (error) {
      if (error instanceof StoreError && error.retryable) return isHeld
      throw error
    }
  }

  async #end(leaseId: string): Promise<void> {
    try {
      await this.#store.releaseLease(leaseId)
    } catch {
      // Its time runs out by itself.
    }
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }
}
