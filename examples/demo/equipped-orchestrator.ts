import type { Random } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, type FakeRequest, type FakeResponse } from 'acestream-orchestrator-client/testing'
import { FakeEngine } from './fake-engine.ts'
import type { RequestFaults } from './request-faults.ts'

export const PROVISION = 'POST /provision/acestream'

/**
 * A fake orchestrator whose engines can be played from. Those it begins with have addresses on this machine; those that it makes up when
 * it is asked for more have none yet, and get one before anybody is told of them.
 */
export class EquippedOrchestrator extends FakeOrchestrator {
  readonly behind: FakeEngine[] = []
  /** What goes wrong with requests. */
  faults: RequestFaults | undefined
  readonly #equipped = new Map<string, Promise<FakeEngine>>()
  /** Engines that have an address by now. */
  readonly #ready = new Set<string>()
  readonly #mostEngines: number
  readonly #provisionMs: number
  readonly #random: Random
  #underWay = 0

  constructor(options: FakeOrchestratorOptions & { maxReplicas: number; random: Random }) {
    super(options)
    this.#mostEngines = options.maxReplicas
    this.#provisionMs = options.provisionDelayMs ?? 0
    this.#random = options.random
  }

  override async handle(request: FakeRequest): Promise<FakeResponse> {
    await this.equip()
    const fault = this.faults?.next()
    if (fault !== undefined) this.inject(fault)
    const isProvision = `${request.method} ${request.path}`.includes(PROVISION) && this.generation === '2025-10'
    if (!isProvision) return this.#withholdUnequipped(await super.handle(request))
    // 2025-10 behind a VPN keeps to its limit, and says so as late as it would have brought the engine (hazard 12).
    if (this.engines.length + this.#underWay >= this.#mostEngines) {
      const message = `Failed to provision engine: Maximum active replicas limit reached (${this.#mostEngines})`
      const detail = { error: 'provisioning_failed', code: 'general_error', message, can_retry: false, should_wait: false }
      this.inject({ kind: 'status', status: 500, route: PROVISION, body: JSON.stringify({ detail }), delayMs: this.#provisionMs })
      return super.handle(request)
    }
    this.#underWay += 1
    try {
      return await super.handle(request)
    } finally {
      this.#underWay -= 1
    }
  }

  /** Resolves when every engine can be played from, those included that another request is seeing to. */
  async equip(): Promise<void> {
    for (const { containerId } of this.engines) {
      if (!this.#equipped.has(containerId)) this.#equipped.set(containerId, this.#equip(containerId))
    }
    await Promise.all(this.#equipped.values())
  }

  /** Replaces every engine. Of the old ones half break off what they play, and the others merely stop sending. */
  override restart(): void {
    for (const engine of this.#equipped.values()) {
      const how = this.#random() < 0.5 ? 'breaks-off' : 'falls-silent'
      void engine.then((dying) => dying.die(how))
    }
    this.#equipped.clear()
    super.restart()
  }

  /** What stands behind an entry of the list. */
  async engineBehind(containerId: string): Promise<FakeEngine> {
    await this.equip()
    const engine = await this.#equipped.get(containerId)
    if (engine === undefined) throw new Error(`No such engine: ${containerId}`)
    return engine
  }

  /** An event stream leaves out a list that holds an engine without an address; the next list follows a second later. */
  #withholdUnequipped(response: FakeResponse): FakeResponse {
    const { subscribe } = response
    if (subscribe === undefined) return response
    const isReady = (): boolean => this.engines.every(({ containerId }) => this.#ready.has(containerId))
    return {
      ...response,
      subscribe: (listener) =>
        subscribe({
          onEnd: () => listener.onEnd(),
          onText: (text) => {
            if (isReady()) listener.onText(text)
            else void this.equip()
          },
        }),
    }
  }

  async #equip(containerId: string): Promise<FakeEngine> {
    const engine = await FakeEngine.start()
    this.behind.push(engine)
    this.updateEngine(containerId, { host: engine.host, port: engine.port })
    this.#ready.add(containerId)
    return engine
  }
}
