import {
  FakeOrchestrator,
  type FakeRequest,
  type FakeResponse,
  type FakeServer,
  type Generation,
} from 'acestream-orchestrator-client/testing'
import { FakeEngine } from './fake-engine.ts'
import type { EngineRow, InsideView, World } from './world.ts'

/** As many as the proxy of the trace had. */
const ENGINE_COUNT = 17

/**
 * A fake orchestrator whose engines can be played from. Those it begins with have addresses on this machine; those that it makes up when
 * it is asked for more have none yet, and get one before anybody is told of them.
 */
class EquippedOrchestrator extends FakeOrchestrator {
  readonly behind: FakeEngine[] = []
  readonly #equipped = new Map<string, Promise<void>>()

  override async handle(request: FakeRequest): Promise<FakeResponse> {
    await this.equip()
    return super.handle(request)
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
  static async start(generation: Generation, apiKey: string | undefined): Promise<FakeWorld> {
    const engines = ENGINE_COUNT
    const orchestrator = new EquippedOrchestrator({ generation, engines, maxReplicas: 20, ...(apiKey !== undefined && { apiKey }) })
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
    const { startsApplied, endsApplied, innocentsEnded, namesakesEnded } = this.#orchestrator.counters
    const engines = this.#orchestrator.behind
    const enginePeak = Math.max(...engines.map(({ peak }) => peak))
    const sessionsLeft = engines.reduce((sum, { sessions }) => sum + sessions.size, 0)
    return { startsApplied, endsApplied, innocentsEnded, namesakesEnded, enginePeak, sessionsLeft }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close()
    await Promise.all(this.#orchestrator.behind.map((engine) => engine.close()))
  }
}
