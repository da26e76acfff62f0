import { setTimeout as sleep } from 'node:timers/promises'
import { RedisStore, type RedisStoreOptions } from 'acestream-orchestrator-client/redis'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { Redis } from 'ioredis'
import { CLIENTS, type TestClient } from './redis-clients.ts'
import { RedisServer } from './redis-server.ts'

/** The time of all stores in these tests. It stands still while Redis works, however long that takes. */
export const clock = new ManualClock()

/** A request for a slot on one of these engines. */
export const slot = (leaseId: string, engines: readonly string[], limit = 1, leaseMs = 60_000) => {
  const now = clock.now()
  return {
    leaseId,
    candidates: engines.map((containerId) => ({ containerId, reportedStreamIds: [] })),
    limit,
    now,
    expiresAt: now + leaseMs,
  }
}

export const retention = (now: number = clock.now()) => ({ now, retentionMs: 60_000, max: 1_000 })

/** Polls until it is so. Between two polls `stepMs` pass on the clock. */
export async function eventually(isSo: () => boolean | Promise<boolean>, stepMs = 10): Promise<void> {
  while (!(await isSo())) {
    await clock.advance(stepMs)
    await sleep(1) // for the sockets
  }
}

/** Moves the clock to one timer after the other until `work` settles. Answers how much time passed. */
export async function elapsedUntilSettled(work: Promise<unknown>): Promise<number> {
  const from = clock.now()
  let isSettled = false
  const settle = (): void => {
    isSettled = true
  }
  work.then(settle, settle)
  await clock.settle()
  while (!isSettled) {
    await clock.advance(Math.max(0, (clock.nextDueMs ?? 0) - clock.now()))
    await sleep(1) // for the sockets
  }
  return clock.now() - from
}

/** What `work` settles with, where Redis does not answer and time has to pass. */
export async function outlasting<T>(work: Promise<T>): Promise<T> {
  await elapsedUntilSettled(work)
  return work
}

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

  /** A store on a connection of its own and on the {@link clock}. */
  async store(options: Partial<RedisStoreOptions> & { library?: string } = {}): Promise<RedisStore> {
    const { library = 'ioredis', ...rest } = options
    const opened = await CLIENTS.find((client) => client.library === library)?.open(this.server.url)
    if (opened === undefined) throw new Error(`No such library: ${library}`)
    this.#clients.push(opened)
    const store = new RedisStore({ client: opened.client, clock, time: 'proxy', timeoutMs: 10_000, slotTtlMs: 1_500, ...rest })
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
