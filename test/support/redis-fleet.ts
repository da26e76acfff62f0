import { setTimeout as sleep } from 'node:timers/promises'
import { RedisStore, type RedisStoreOptions } from 'acestream-orchestrator-client/redis'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { Redis } from 'ioredis'
import { type Deliver, interceptScripts } from './intercept-scripts.ts'
import { CLIENTS, type TestClient } from './redis-clients.ts'
import { RedisServer, type RedisServerOptions, until } from './redis-server.ts'

/** The clock of all stores in these tests. It does not advance while Redis works, even if Redis is slow. */
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

/** Polls until `isSo` returns true. The clock advances by `stepMs` between two polls. */
export async function eventually(isSo: () => boolean | Promise<boolean>, stepMs = 10): Promise<void> {
  while (!(await isSo())) {
    await clock.advance(stepMs)
    await sleep(1) // for the sockets
  }
}

/** Advances the clock from timer to timer until `work` settles. Resolves with the time that passed, in milliseconds. */
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

/** Advances the clock past the time to live of all stores, and renews only the `living` ones. The other stores are dead afterwards. */
export async function outlive(...living: readonly RedisStore[]): Promise<void> {
  const longest = Math.max(...living.map(({ renewIntervalMs }) => renewIntervalMs))
  for (let third = 0; third < 6; third += 1) {
    for (const store of living) await store.renew()
    await clock.advance(longest)
  }
  for (const store of living) await store.renew()
}

/** Settles like `work`, and advances the clock until then. For calls that Redis does not answer. */
export async function outlasting<T>(work: Promise<T>): Promise<T> {
  await elapsedUntilSettled(work)
  return work
}

const OPENING_MS = 90
const SLOTS = `
local found = {}
local fields = redis.call('HGETALL', KEYS[1])
for n = 1, #fields, 2 do
  if string.sub(fields[n], 1, 2) == 'e:' then
    local slots = {}
    for slot in pairs(cmsgpack.unpack(string.match(fields[n + 1], '^%d+ (.*)$'))) do slots[#slots + 1] = slot end
    table.sort(slots)
    found[#found + 1] = { string.sub(fields[n], 3), slots }
  end
end
return found`

/** Options for a store of a {@link Fleet}. */
export interface FleetStoreOptions extends Partial<RedisStoreOptions> {
  readonly library?: string
  /** Do not wait until the server grants slots: the test does that itself. */
  readonly isFirst?: boolean
  /** Whether commands wait for a connection. @default true */
  readonly waitsOffline?: boolean
  /** Intercepts the commands of the store. */
  readonly deliver?: Deliver
}

/** A server, the stores that use it, and a connection (`inspector`) that inspects the server's data. */
export class Fleet implements AsyncDisposable {
  readonly server: RedisServer
  readonly inspector: Redis
  readonly #opened = new Set<string>()
  readonly #clients: TestClient[] = []
  readonly #stores: RedisStore[] = []

  private constructor(server: RedisServer) {
    this.server = server
    this.inspector = new Redis(server.url, { retryStrategy: () => 30 })
    this.inspector.on('error', () => {})
  }

  static async start(options?: RedisServerOptions): Promise<Fleet> {
    return new Fleet(await RedisServer.start(options))
  }

  /**
   * Creates a store with its own connection and the {@link clock}. A Redis that is used for the first time grants no slots for a while: unless
   * `isFirst` is set, this waits until that time is over.
   */
  async store(options: FleetStoreOptions = {}): Promise<RedisStore> {
    const { isFirst = false, name = 'default' } = options
    const store = await this.#make(options)
    if (!isFirst && !this.#opened.has(name)) await this.open(name)
    return store
  }

  /** Advances the clock until a newly started Redis grants slots. */
  async open(name = 'default'): Promise<void> {
    this.#opened.add(name)
    await using opener = await this.#make({ name, slotTtlMs: OPENING_MS })
    for (const probe of ['1', '2', '3', '4', '5', '6']) {
      await opener.renew()
      if ((await opener.take(slot(`opening ${probe}`, ['(none)'], 99)).catch(() => undefined)) !== undefined) return
      await clock.advance(OPENING_MS / 3)
    }
    throw new Error('Redis grants no slot')
  }

  async #make({ library = 'ioredis', isFirst: _, waitsOffline, deliver, ...options }: FleetStoreOptions): Promise<RedisStore> {
    const opened = await CLIENTS.find((client) => client.library === library)?.open(this.server.url, waitsOffline)
    if (opened === undefined) throw new Error(`No such library: ${library}`)
    this.#clients.push(opened)
    const client = deliver === undefined ? opened.client : interceptScripts(opened.client, deliver)
    const store = new RedisStore({ client, clock, timeoutMs: 10_000, slotTtlMs: 1_500, ...options })
    this.#stores.push(store)
    return store
  }

  /** Waits until all clients are connected. The clock does not advance. */
  async reconnected(): Promise<void> {
    for (const client of this.#clients) await until(() => client.isAnswered?.() ?? true)
  }

  /** The slots in the server's data, by engine. */
  async slots(name = 'default'): Promise<Record<string, string[]>> {
    return Object.fromEntries(((await this.#read(SLOTS, name)) as [string, string[]][]).sort())
  }

  /** The streams in the journal. */
  async journal(name = 'default'): Promise<string[]> {
    return (await this.#fields(name, 'j:')).sort()
  }

  /** The number of members in the server's data. */
  async memberCount(name = 'default'): Promise<number> {
    return (await this.#fields(name, 'm:')).length
  }

  async #fields(name: string, prefix: string): Promise<string[]> {
    const fields = await this.inspector.hkeys(`{acestream:${name}}:state`)
    return fields.filter((field) => field.startsWith(prefix)).map((field) => field.slice(prefix.length))
  }

  #read(script: string, name: string): Promise<unknown> {
    return this.inspector.eval(script, 1, `{acestream:${name}}:state`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.thaw()
    await Promise.all(this.#stores.map((store) => store.close()))
    await Promise.all(this.#clients.map((client) => client.close()))
    this.inspector.disconnect()
    await this.server.stop()
  }
}
