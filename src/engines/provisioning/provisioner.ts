import { CapacityError, OrchestratorError } from '../../errors.ts'
import type { Engine } from '../../model/domain.ts'
import type { StateStore } from '../../state/store.ts'
import { withRetryAfter } from './capacity-error.ts'
import { RefusalMemory, UnusableEngineError } from './provision-backoff.ts'
import { NamedProvision } from './provision-named.ts'
import type { ProvisionBody, ProvisionCallParts } from './provision-request.ts'
import { NOT_NEEDED, UnnamedProvision } from './provision-v1.ts'
import type { NewEngineParts } from './until-listed.ts'

const STARTING = 'Starting engines'

/** What the provisioner is built from. */
export interface ProvisionerParts extends NewEngineParts, Omit<ProvisionCallParts, 'countWaiting'> {
  store: StateStore
  maxStreamsPerEngine: number
  maxConcurrentProvisions: number
}

/**
 * More engines, asked for once per need. The Go client answered 20 viewers at capacity with 60 requests: three attempts each,
 * against an orchestrator that needed longer than its time-out and had created an engine every time (hazard 4).
 */
export class Provisioner {
  readonly #parts: ProvisionerParts
  readonly #named: NamedProvision
  readonly #unnamed: UnnamedProvision
  /** Engines that were asked for, by the line or by the host, and are not listed yet. Each will bring `maxStreamsPerEngine` slots. */
  #underWayCount = 0
  /** Why the last request of {@link meet} failed. */
  readonly memory: RefusalMemory
  /** Called when a request has come to an end. */
  onSettled: () => void = () => {}
  /** How many callers a new engine would help now. */
  countWaiting: () => number = () => 0

  constructor(parts: ProvisionerParts) {
    this.#parts = parts
    this.memory = new RefusalMemory(parts.clock)
    const call = { ...parts, countWaiting: () => this.countWaiting() }
    this.#named = new NamedProvision(call)
    this.#unnamed = new UnnamedProvision(call)
    this.#unnamed.onSent = () => this.onSettled()
  }

  /** Slots that are on their way. */
  get slotsUnderWay(): number {
    return this.#underWayCount * this.#parts.maxStreamsPerEngine
  }

  /** Asks for as many engines as the callers in the line need beyond those already on their way. */
  meet(): void {
    if (this.memory.holds) return
    const wanted = Math.min(Math.ceil(this.countWaiting() / this.#parts.maxStreamsPerEngine), this.#mostAtOnce)
    while (this.#underWayCount < wanted) void this.#meetOne()
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
    const { api, clock, counters, emitter, lifetime, outages } = this.#parts
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
      this.onSettled()
      notify()
    }
  }

  /** Whether a new engine can take a stream: not where it is listed unhealthy, draining, or filled by other proxies already. */
  #isUsable({ draining, healthStatus, streamIds }: Engine): boolean {
    return !draining && healthStatus !== 'unhealthy' && streamIds.length < this.#parts.maxStreamsPerEngine
  }

  /** Whether callers need one more engine than those awaited. Not while a failure holds that became known after the request was queued. */
  get #isNeeded(): boolean {
    return !this.memory.holds && this.countWaiting() > this.#unnamed.awaitedCount * this.#parts.maxStreamsPerEngine
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
