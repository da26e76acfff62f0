import { setTimeout as sleep } from 'node:timers/promises'
import type { EngineAddress } from 'acestream-orchestrator-client'
import { type FakeServer, type Fault, type FaultHandle, type Generation, seededRandom } from 'acestream-orchestrator-client/testing'
import { EquippedOrchestrator, PROVISION } from './equipped-orchestrator.ts'
import type { RequestFaults } from './request-faults.ts'
import type { EngineRow, InsideView, World } from './world.ts'

/** Number of engines in the trace. */
const ENGINE_COUNT = 17
/** Another process may hold the port for a moment at the end of an outage, so listening is retried. */
const PORT_TRIES = 100
const PORT_PAUSE_MS = 100

/** Options of {@link FakeWorld.start}. */
export interface FakeWorldOptions {
  generation: Generation
  apiKey?: string | undefined
  /** Number of engines at the beginning. @default 17 */
  engineCount?: number
  /** Maximum number of engines. @default 20 */
  maxEngines?: number
  /** Milliseconds until a new engine is listed. @default that of the generation */
  provisionMs?: number
  /** Seed of all random choices. @default 1 */
  seed?: number
}

/** The effects of a restart. */
export interface Restart {
  /** Ids of the streams that the orchestrator forgot. */
  forgotten: readonly string[]
  /** The new stream of the other proxy, and its engine. It is listed before any client can read the list. */
  elsewhere: { streamId: string; engine: EngineAddress }
}

/** A fake orchestrator and fake engines, on real sockets. */
export class FakeWorld implements World {
  /** The engines listen on this machine, so the listed hosts work. */
  readonly engineHost = undefined
  readonly description: string
  readonly url: string
  readonly apiKey: string
  readonly #orchestrator: EquippedOrchestrator
  #server: FakeServer

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
    maxEngines = 20,
    provisionMs,
    seed = 1,
  }: FakeWorldOptions): Promise<FakeWorld> {
    const orchestrator = new EquippedOrchestrator({
      generation,
      engines: engineCount,
      maxReplicas: maxEngines,
      random: seededRandom(seed),
      ...(apiKey !== undefined && { apiKey }),
      ...(provisionMs !== undefined && { provisionDelayMs: provisionMs }),
    })
    await orchestrator.equip()
    return new FakeWorld(orchestrator, await orchestrator.listen())
  }

  /** Random faults for requests. */
  set faults(faults: RequestFaults | undefined) {
    this.#orchestrator.faults = faults
  }

  /** Injects a fault into requests. */
  inject(fault: Fault): FaultHandle {
    return this.#orchestrator.inject(fault)
  }

  /** Refuses connections while `work` runs. Breaks the requests in flight. */
  async refuseWhile<T>(work: () => Promise<T>): Promise<T> {
    const { port } = this.#server
    await this.#server.close()
    return work().finally(async () => {
      this.#server = await this.#listenAgain(port)
    })
  }

  /** Restarts the orchestrator (H9): it forgets everything, replaces every engine, and refuses connections while `downtime` runs. */
  async restart(downtime: () => Promise<void>): Promise<Restart> {
    const orchestrator = this.#orchestrator
    const { forgotten, containerId, streamId } = await this.refuseWhile(async () => {
      const forgotten = orchestrator.liveStreamIds()
      orchestrator.restart()
      const containerId = orchestrator.engines[0]?.containerId ?? ''
      const streamId = orchestrator.startElsewhere({ containerId })
      await downtime()
      return { forgotten, containerId, streamId }
    })
    // Start the new engines only now, so that none of them takes the port of the orchestrator.
    const { host, port } = await orchestrator.fakeEngineOf(containerId)
    return { forgotten, elsewhere: { streamId, engine: { host, port } } }
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
    const { counters, fakeEngines: engines, contentSessions } = this.#orchestrator
    const { startsApplied, endsApplied, repeatedStarts, repeatedEnds, innocentsEnded, namesakesEnded, enginesInvented, requests } = counters
    return {
      startsApplied,
      endsApplied,
      repeatedStarts,
      repeatedEnds,
      innocentsEnded,
      namesakesEnded,
      enginesInvented,
      loadPeak: Math.max(...Object.values(counters.peakTotalLoad)),
      enginePeak: Math.max(...engines.map(({ peak }) => peak)),
      sessionsOpened: engines.reduce((sum, { opened }) => sum + opened, 0),
      contentPeak: contentSessions.peak,
      sessionsLeft: engines.reduce((sum, { sessions }) => sum + sessions.size, 0),
      provisionRequests: requests.byRoute[PROVISION] ?? 0,
      requests: requests.total,
    }
  }

  async #listenAgain(port: number): Promise<FakeServer> {
    for (let triesLeft = PORT_TRIES; ; triesLeft--) {
      try {
        return await this.#orchestrator.listen({ port })
      } catch (error) {
        if (triesLeft === 0) throw error
        await sleep(PORT_PAUSE_MS)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close()
    await Promise.all(this.#orchestrator.fakeEngines.map((engine) => engine.close()))
  }
}
