import { setTimeout as sleep } from 'node:timers/promises'
import type { EngineAddress } from 'acestream-orchestrator-client'
import { type FakeServer, type Fault, type FaultHandle, type Generation, seededRandom } from 'acestream-orchestrator-client/testing'
import { EquippedOrchestrator, PROVISION } from './equipped-orchestrator.ts'
import type { RequestFaults } from './request-faults.ts'
import type { EngineRow, InsideView, World } from './world.ts'

/** As many as the proxy of the trace had. */
const ENGINE_COUNT = 17
/** An outage may end with the port taken, for a moment. */
const PORT_TRIES = 100
const PORT_PAUSE_MS = 100

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
  /** Of whatever is left to chance. @default 1 */
  seed?: number
}

/** What a restart did. */
export interface Restart {
  /** Streams that it forgot. */
  forgotten: readonly string[]
  /** Another proxy's new stream, and where it plays: the orchestrator was told before anybody else could ask. */
  elsewhere: { streamId: string; engine: EngineAddress }
}

/** Everything fake but the sockets. */
export class FakeWorld implements World {
  /** They are on this machine. */
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
    mostEngines = 20,
    provisionMs,
    seed = 1,
  }: FakeWorldOptions): Promise<FakeWorld> {
    const orchestrator = new EquippedOrchestrator({
      generation,
      engines: engineCount,
      maxReplicas: mostEngines,
      random: seededRandom(seed),
      ...(apiKey !== undefined && { apiKey }),
      ...(provisionMs !== undefined && { provisionDelayMs: provisionMs }),
    })
    await orchestrator.equip()
    return new FakeWorld(orchestrator, await orchestrator.listen())
  }

  /** What goes wrong with requests by chance. */
  set faults(faults: RequestFaults | undefined) {
    this.#orchestrator.faults = faults
  }

  /** Lets something go wrong with requests. */
  inject(fault: Fault): FaultHandle {
    return this.#orchestrator.inject(fault)
  }

  /** Refuses connections for as long as `work` takes. What was in flight is broken off. */
  async refuseWhile<T>(work: () => Promise<T>): Promise<T> {
    const { port } = this.#server
    await this.#server.close()
    return work().finally(async () => {
      this.#server = await this.#listenAgain(port)
    })
  }

  /** Forgets everything, replaces every engine (hazard 9), and is down for as long as `downtime` takes, which is called when the old ones are dead. */
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
    // Only now do engines get ports: none of them may take the orchestrator's.
    const { host, port } = await orchestrator.engineBehind(containerId)
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
    const { counters, behind: engines } = this.#orchestrator
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
    await Promise.all(this.#orchestrator.behind.map((engine) => engine.close()))
  }
}
