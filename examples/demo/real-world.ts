import { type Engine, OrchestratorClient } from 'acestream-orchestrator-client'
import type { EngineRow, InsideView, World } from './world.ts'

/** Interval between reads of the engine list. Changes in between stay unseen. */
const READ_EVERY_MS = 250

/** URL and key of a real orchestrator, and the host of its engines. */
export type RealWorldOptions = Pick<World, 'url' | 'apiKey' | 'engineHost'>

/** A real orchestrator. Only its public lists are known. */
export class RealWorld implements World {
  readonly description: string
  readonly url: string
  readonly apiKey: string | undefined
  readonly engineHost: string | undefined
  readonly #observer: OrchestratorClient
  readonly #peaks = new Map<string, number>()
  #engines: readonly Engine[] = []
  #timer: NodeJS.Timeout | undefined
  #isReading = false

  private constructor(observer: OrchestratorClient, { url, apiKey, engineHost }: RealWorldOptions) {
    this.#observer = observer
    this.engineHost = engineHost
    this.url = url
    this.apiKey = apiKey
    this.description = `orchestrator at ${url}`
  }

  /** Starts to read the engine list of an orchestrator. Rejects if the first request fails. */
  static async connect(options: RealWorldOptions): Promise<RealWorld> {
    const { url, apiKey } = options
    // Use a separate client: the demo checks the client of the proxy.
    const observer = new OrchestratorClient({ baseUrl: url, apiKey, cacheTtlMs: 0, watch: false, healthIntervalMs: 0 })
    const world = new RealWorld(observer, options)
    await world.#read()
    world.#timer = setInterval(() => void world.#read().catch(() => undefined), READ_EVERY_MS)
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

  async #read(): Promise<void> {
    // Make one request at a time, so that a slow orchestrator is not overloaded.
    if (this.#isReading) return
    this.#isReading = true
    try {
      this.#engines = await this.#observer.listEngines({ fresh: true })
      for (const { containerId, streamIds } of this.#engines) {
        this.#peaks.set(containerId, Math.max(streamIds.length, this.#peaks.get(containerId) ?? 0))
      }
    } finally {
      this.#isReading = false
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#observer.close()
  }
}
