import { randomBytes } from 'node:crypto'
import { type EngineAddress, OrchestratorClient } from 'acestream-orchestrator-client'
import { openSession, type Session, stopSession } from '../proxy/playback.ts'
import type { World } from './world.ts'

/** A content that no viewer plays: on 2026-04 the end of another stream of the same content would end this one too (H6). */
const CONTENT = { keyType: 'infohash', key: randomBytes(20).toString('hex') } as const
const TIMEOUT_MS = 5_000

/**
 * A stream of another proxy, on the first engine during the whole demo. A misapplied end (H1) could hit it, because the orchestrator then
 * ends the newest stream of an engine.
 */
export class OtherStream implements AsyncDisposable {
  readonly #client: OrchestratorClient
  #session: Session
  #streamId: string

  private constructor(client: OrchestratorClient, session: Session, streamId: string) {
    this.#client = client
    this.#session = session
    this.#streamId = streamId
  }

  /** Starts the stream on the first engine. */
  static async start({ url, apiKey, engineHost }: Pick<World, 'url' | 'apiKey' | 'engineHost'>): Promise<OtherStream> {
    const toReachable = ({ host, port }: EngineAddress): EngineAddress => ({ host: engineHost ?? host, port })
    const client = new OrchestratorClient({
      baseUrl: url,
      apiKey,
      mapEngine: toReachable,
      watch: false,
      healthIntervalMs: 0,
      reconcileIntervalMs: 0,
    })
    const [engine] = await client.listEngines()
    if (engine === undefined) throw new Error('the orchestrator has no engine')
    const reached = { ...toReachable(engine), containerId: engine.containerId }
    const session = await open(reached)
    const { id } = await client.streamStarted({ ...CONTENT, session: session.announced, engine: reached })
    return new OtherStream(client, session, id)
  }

  get streamId(): string {
    return this.#streamId
  }

  /** Moves to another engine after its own is gone. The orchestrator already lists the new stream under this id. */
  async moveTo(engine: EngineAddress, streamId: string): Promise<void> {
    this.#session = await open(engine)
    this.#streamId = streamId
  }

  /** Ends the stream. Nothing else may end it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.streamEnded(this.#streamId, 'demo_over')
    await stopSession(this.#session, TIMEOUT_MS)
    await this.#client.close()
  }
}

function open(engine: EngineAddress): Promise<Session> {
  return openSession(engine, CONTENT, { scheme: 'http', headerTimeoutMs: TIMEOUT_MS })
}
