import {
  FakeOrchestrator,
  type FakeOrchestratorOptions,
  type FakeRequest,
  type FakeResponse,
  type FakeServer,
  type Generation,
} from 'acestream-orchestrator-client/testing'
import { FakeEngine } from './fake-engine.ts'
import type { EngineRow, InsideView, World } from './world.ts'

/** As many as the proxy of the trace had. */
const ENGINE_COUNT = 17
const PROVISION = 'POST /provision/acestream'

/** What a fake world is like. */
export interface FakeWorldOptions {
  generation: Generation
  apiKey?: string | undefined
  /** How many engines there are when the first viewer comes. @default 17 */
  engineCount?: number
  /** How many there may be. @default 20 */
  mostEngines?: number
  /** How long a new one takes, milliseconds. @default that of the generation */
  provisionMs?: number
}

/**
 * A fake orchestrator whose engines can be played from. Those it begins with have addresses on this machine; those that it makes up when
 * it is asked for more have none yet, and get one before anybody is told of them.
 */
class EquippedOrchestrator extends FakeOrchestrator {
  readonly behind: FakeEngine[] = []
  readonly #equipped = new Map<string, Promise<void>>()
  readonly #mostEngines: number
  readonly #provisionMs: number
  #underWay = 0

  constructor(options: FakeOrchestratorOptions & { maxReplicas: number }) {
    super(options)
    this.#mostEngines = options.maxReplicas
    this.#provisionMs = options.provisionDelayMs ?? 0
  }

  override async handle(request: FakeRequest): Promise<FakeResponse> {
    await this.equip()
    const isProvision = `${request.method} ${request.path}`.includes(PROVISION) && this.generation === '2025-10'
    if (!isProvision) return super.handle(request)
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

  async #equip(containerId: string): Promise<void> {
    const engine = await FakeEngine.start()
    this.behind.push(engine)
    this.updateEngine(containerId, { host: engine.host, port: engine.port })
  }
}

/** Everything fake but the sockets. */
export class FakeWorld implements World {
  readonly description: string
  readonly url: string
  readonly apiKey: string
  readonly #orchestrator: EquippedOrchestrator
  readonly #server: FakeServer

  private constructor(orchestrator: EquippedOrchestrator, server: FakeServer) {
    this.#orchestrator = orchestrator
    this.#server = server
    this.description = `fake ${orchestrator.generation} orchestrator with ${orchestrator.engines.length} fake engines`
    this.url = server.url
    this.apiKey = orchestrator.apiKey
  }

  /** Starts an orchestrator and its engines on free loopback ports. */
  static async start({
    generation,
    apiKey,
    engineCount = ENGINE_COUNT,
    mostEngines = 20,
    provisionMs,
  }: FakeWorldOptions): Promise<FakeWorld> {
    const orchestrator = new EquippedOrchestrator({
      generation,
      engines: engineCount,
      maxReplicas: mostEngines,
      ...(apiKey !== undefined && { apiKey }),
      ...(provisionMs !== undefined && { provisionDelayMs: provisionMs }),
    })
    await orchestrator.equip()
    return new FakeWorld(orchestrator, await orchestrator.listen())
  }

  async engines(): Promise<readonly EngineRow[]> {
    const { peakTotalLoad } = this.#orchestrator.counters
    return this.#orchestrator.engines.map(({ containerId, containerName: name, streamIds }) => {
      return { containerId, name, load: streamIds.length, peak: peakTotalLoad[containerId] ?? 0 }
    })
  }

  async liveStreams(): Promise<readonly string[]> {
    return this.#orchestrator.liveStreamIds()
  }

  insideView(): InsideView {
    const { startsApplied, endsApplied, innocentsEnded, namesakesEnded, requests } = this.#orchestrator.counters
    const engines = this.#orchestrator.behind
    const enginePeak = Math.max(...engines.map(({ peak }) => peak))
    const sessionsLeft = engines.reduce((sum, { sessions }) => sum + sessions.size, 0)
    const provisionRequests = requests.byRoute[PROVISION] ?? 0
    return { startsApplied, endsApplied, innocentsEnded, namesakesEnded, enginePeak, sessionsLeft, provisionRequests }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close()
    await Promise.all(this.#orchestrator.behind.map((engine) => engine.close()))
  }
}
