import { type Engine, OrchestratorClient } from 'acestream-orchestrator-client'
import type { EngineRow, InsideView, World } from './world.ts'

/** How often the engines are looked at: what happens in between is not seen. */
const LOOK_EVERY_MS = 250

/** Where a real orchestrator is, and how its engines are reached. */
export type RealWorldOptions = Pick<World, 'url' | 'apiKey' | 'engineHost'>

/** A real orchestrator, of which no more is known than it tells anybody. */
export class RealWorld implements World {
  readonly description: string
  readonly url: string
  readonly apiKey: string | undefined
  readonly engineHost: string | undefined
  readonly #observer: OrchestratorClient
  readonly #peaks = new Map<string, number>()
  #engines: readonly Engine[] = []
  #timer: NodeJS.Timeout | undefined
  #isLooking = false

  private constructor(observer: OrchestratorClient, { url, apiKey, engineHost }: RealWorldOptions) {
    this.#observer = observer
    this.engineHost = engineHost
    this.url = url
    this.apiKey = apiKey
    this.description = `orchestrator at ${url}`
  }

  /** Begins to look at an orchestrator. Rejects where it cannot be asked. */
  static async connect(options: RealWorldOptions): Promise<RealWorld> {
    const { url, apiKey } = options
    // An observer of its own: the proxy's view is what is to be checked.
    const observer = new OrchestratorClient({ baseUrl: url, apiKey, cacheTtlMs: 0, watch: false, healthIntervalMs: 0 })
    const world = new RealWorld(observer, options)
    await world.#look()
    world.#timer = setInterval(() => void world.#look().catch(() => undefined), LOOK_EVERY_MS)
    return world
  }

  async engines(): Promise<readonly EngineRow[]> {
    return this.#engines.map(({ containerId, containerName, host, port, streamIds }) => {
      const name = containerName ?? `${host}:${port}`
      return { containerId, name, load: streamIds.length, peak: this.#peaks.get(containerId) ?? 0 }
    })
  }

  async liveStreams(): Promise<readonly string[]> {
    const streams = await this.#observer.listStreams()
    return streams.filter(({ status }) => status !== 'ended').map(({ id }) => id)
  }

  insideView(): InsideView {
    return {}
  }

  async #look(): Promise<void> {
    // One look at a time: a slow orchestrator is not to be asked faster than it answers.
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      this.#engines = await this.#observer.listEngines({ fresh: true })
      for (const { containerId, streamIds } of this.#engines) {
        this.#peaks.set(containerId, Math.max(streamIds.length, this.#peaks.get(containerId) ?? 0))
      }
    } finally {
      this.#isLooking = false
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#observer.close()
  }
}
