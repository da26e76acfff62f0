import { RedisStore, type RedisStoreOptions } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'
import { CLIENTS, type TestClient } from './redis-clients.ts'
import { RedisServer } from './redis-server.ts'

/** A slot wanted on these engines. */
export const slot = (leaseId: string, engines: readonly string[], limit = 1, leaseMs = 60_000) => {
  const now = Date.now()
  return {
    leaseId,
    candidates: engines.map((containerId) => ({ containerId, reportedStreamIds: [] })),
    limit,
    now,
    expiresAt: now + leaseMs,
  }
}

export const retention = (now = Date.now()) => ({ now, retentionMs: 60_000, max: 1_000 })

/** A server, stores on it, and an eye on what the server holds. */
export class Fleet implements AsyncDisposable {
  readonly server: RedisServer
  readonly eye: Redis
  readonly #clients: TestClient[] = []
  readonly #stores: RedisStore[] = []

  private constructor(server: RedisServer) {
    this.server = server
    this.eye = new Redis(server.url, { retryStrategy: () => 30 })
    this.eye.on('error', () => {})
  }

  static async start(): Promise<Fleet> {
    return new Fleet(await RedisServer.start())
  }

  /** A store on a connection of its own, in no hurry. */
  async store(options: Partial<RedisStoreOptions> & { library?: string } = {}): Promise<RedisStore> {
    const { library = 'ioredis', ...rest } = options
    const opened = await CLIENTS.find((client) => client.library === library)?.open(this.server.url)
    if (opened === undefined) throw new Error(`No such library: ${library}`)
    this.#clients.push(opened)
    const store = new RedisStore({ client: opened.client, timeoutMs: 10_000, slotTtlMs: 1_500, ...rest })
    this.#stores.push(store)
    return store
  }

  /** What the server holds of engines: fields by engine. */
  async slots(): Promise<Record<string, string[]>> {
    const keys = await this.eye.keys('*:e:*')
    const entries = await Promise.all(
      keys.sort().map(async (key) => [key.replace(/^.*?:e:/, ''), (await this.eye.hkeys(key)).sort()] as const),
    )
    return Object.fromEntries(entries)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.thaw()
    await Promise.all(this.#stores.map((store) => store.close()))
    await Promise.all(this.#clients.map((client) => client.close()))
    this.eye.disconnect()
    await this.server.stop()
  }
}
