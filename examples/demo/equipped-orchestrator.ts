import type { Random } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, type FakeRequest, type FakeResponse } from 'acestream-orchestrator-client/testing'
import { ContentSessions } from './content-sessions.ts'
import { FakeEngine } from './fake-engine.ts'
import type { RequestFaults } from './request-faults.ts'

export const PROVISION = 'POST /provision/acestream'

/**
 * A fake orchestrator with a running fake engine for each listed engine. When it provisions an engine, it starts the fake engine and sets
 * its address before it lists the engine.
 */
export class EquippedOrchestrator extends FakeOrchestrator {
  readonly fakeEngines: FakeEngine[] = []
  /** The sessions of all fake engines. */
  readonly contentSessions = new ContentSessions()
  /** Faults for single requests. */
  faults: RequestFaults | undefined
  readonly #equipped = new Map<string, Promise<FakeEngine>>()
  /** Container ids of engines whose fake engine runs. */
  readonly #ready = new Set<string>()
  readonly #maxEngines: number
  readonly #provisionMs: number
  readonly #random: Random
  #provisionCount = 0

  constructor(options: FakeOrchestratorOptions & { maxReplicas: number; random: Random }) {
    super(options)
    this.#maxEngines = options.maxReplicas
    this.#provisionMs = options.provisionDelayMs ?? 0
    this.#random = options.random
  }

  override async handle(request: FakeRequest): Promise<FakeResponse> {
    await this.equip()
    const fault = this.faults?.next()
    if (fault !== undefined) this.inject(fault)
    const isProvision = `${request.method} ${request.path}`.includes(PROVISION) && this.generation === '2025-10'
    if (!isProvision) return this.#dropUnequipped(await super.handle(request))
    // 2025-10 behind a VPN enforces its limit. It refuses as late as it would have listed the engine (H12).
    if (this.engines.length + this.#provisionCount >= this.#maxEngines) {
      const message = `Failed to provision engine: Maximum active replicas limit reached (${this.#maxEngines})`
      const detail = { error: 'provisioning_failed', code: 'general_error', message, can_retry: false, should_wait: false }
      this.inject({ kind: 'status', status: 500, route: PROVISION, body: JSON.stringify({ detail }), delayMs: this.#provisionMs })
      return super.handle(request)
    }
    this.#provisionCount += 1
    try {
      return await super.handle(request)
    } finally {
      this.#provisionCount -= 1
    }
  }

  /** Starts a fake engine for each listed engine. Resolves when all of them run. */
  async equip(): Promise<void> {
    for (const { containerId } of this.engines) {
      if (!this.#equipped.has(containerId)) this.#equipped.set(containerId, this.#equip(containerId))
    }
    await Promise.all(this.#equipped.values())
  }

  /** Replaces every engine. About half of the old engines close their connections, the others only stop sending. */
  override restart(): void {
    for (const engine of this.#equipped.values()) {
      const how = this.#random() < 0.5 ? 'breaks-off' : 'falls-silent'
      void engine.then((dying) => dying.die(how))
    }
    this.#equipped.clear()
    super.restart()
  }

  /** Returns the fake engine of a listed engine. */
  async fakeEngineOf(containerId: string): Promise<FakeEngine> {
    await this.equip()
    const engine = await this.#equipped.get(containerId)
    if (engine === undefined) throw new Error(`No such engine: ${containerId}`)
    return engine
  }

  /** Drops a push that lists an engine without a running fake engine. The next push follows a second later. */
  #dropUnequipped(response: FakeResponse): FakeResponse {
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
    const engine = await FakeEngine.start(this.contentSessions)
    this.fakeEngines.push(engine)
    this.updateEngine(containerId, { host: engine.host, port: engine.port })
    this.#ready.add(containerId)
    return engine
  }
}
