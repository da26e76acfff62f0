import { randomBytes } from 'node:crypto'
import { type EngineAddress, OrchestratorClient } from 'acestream-orchestrator-client'
import { openSession, type Session, stopSession } from '../proxy/playback.ts'
import type { World } from './world.ts'

/** Nobody else's content: on 2026-04 it would rightly end with a namesake. */
const CONTENT = { keyType: 'infohash', key: randomBytes(20).toString('hex') } as const
const TIMEOUT_MS = 5_000

/**
 * A stream of another proxy, on one of the engines for as long as the demo lasts. Ends that hit the wrong stream would hit this one: the
 * orchestrator's own choice of a victim is whatever started last, or anything on that engine.
 */
export class Bystander implements AsyncDisposable {
  readonly #client: OrchestratorClient
  #session: Session
  #streamId: string

  private constructor(client: OrchestratorClient, session: Session, streamId: string) {
    this.#client = client
    this.#session = session
    this.#streamId = streamId
  }

  /** Starts it on the first engine. */
  static async start({ url, apiKey, engineHost }: Pick<World, 'url' | 'apiKey' | 'engineHost'>): Promise<Bystander> {
    const reach = ({ host, port }: EngineAddress): EngineAddress => ({ host: engineHost ?? host, port })
    const client = new OrchestratorClient({
      baseUrl: url,
      apiKey,
      mapEngine: reach,
      watch: false,
      healthIntervalMs: 0,
      reconcileIntervalMs: 0,
    })
    const [engine] = await client.listEngines()
    if (engine === undefined) throw new Error('the orchestrator has no engine')
    const reached = { ...reach(engine), containerId: engine.containerId }
    const session = await open(reached)
    const { id } = await client.streamStarted({ ...CONTENT, session: session.announced, engine: reached })
    return new Bystander(client, session, id)
  }

  get streamId(): string {
    return this.#streamId
  }

  /** Its engine is gone: it plays from this one now, under this id, as the orchestrator knows already. */
  async moveTo(engine: EngineAddress, streamId: string): Promise<void> {
    this.#session = await open(engine)
    this.#streamId = streamId
  }

  /** Ends it, which is nobody else's right. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.streamEnded(this.#streamId, 'demo_over')
    await stopSession(this.#session, TIMEOUT_MS)
    await this.#client.close()
  }
}

function open(engine: EngineAddress): Promise<Session> {
  return openSession(engine, CONTENT, { scheme: 'http', headerTimeoutMs: TIMEOUT_MS })
}
