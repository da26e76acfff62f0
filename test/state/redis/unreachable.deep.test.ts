import { CapacityError, type OrchestratorClient } from 'acestream-orchestrator-client'
import { type RedisClient, RedisStore } from 'acestream-orchestrator-client/redis'
import { FakeOrchestrator, seededRandom } from 'acestream-orchestrator-client/testing'
import { Cluster, Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clock, elapsedUntilSettled, eventually, slot } from '../../support/redis-fleet.ts'
import { freePort, isRedisMissing, RedisServer } from '../../support/redis-server.ts'
import { openClient } from '../../support/setup.ts'
import { recordedLog } from './recorded-log.ts'

const WAIT_MS = 3_000
const PASSWORD = 'p@ss/w"rd with spaces'

interface Problem {
  /** The mistake or failure, in a host's words. */
  readonly problem: string
  readonly open: (deadPort: number, livePort: number) => Promise<{ client: RedisClient; close: () => void }>
  /** The log line and the errors of viewers must match this. */
  readonly message: RegExp
}

const ioredis = (client: Redis | Cluster) => Promise.resolve({ client, close: () => client.disconnect() })
/** Without an `error` listener of the host, on purpose. */
const nodeRedis = (client: ReturnType<typeof createClient>, isConnecting = true) => {
  if (isConnecting) client.connect().catch(() => {})
  const close = (): void => {
    if (client.isOpen) client.destroy()
  }
  return Promise.resolve({ client: client as RedisClient, close })
}
const at = (port: number) => ({ host: '127.0.0.1', port, retryStrategy: () => 30, password: PASSWORD })
const url = (port: number) => `redis://user:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}`

const PROBLEMS: readonly Problem[] = [
  {
    problem: 'new Redis() on a port without a server',
    open: (dead) => ioredis(new Redis(at(dead))),
    message: /ECONNREFUSED.*client is '\w+'/,
  },
  {
    problem: 'a host name that does not resolve',
    open: (dead) => ioredis(new Redis({ ...at(dead), host: 'redis.invalid' })),
    message: /redis\.invalid.*(ENOTFOUND|EAI_AGAIN)/,
  },
  {
    problem: 'enableOfflineQueue: false',
    open: (dead) => ioredis(new Redis({ ...at(dead), enableOfflineQueue: false })),
    message: /enableOfflineQueue.*client is '\w+'/,
  },
  { problem: 'lazyConnect: true', open: (dead) => ioredis(new Redis({ ...at(dead), lazyConnect: true })), message: /ECONNREFUSED/ },
  {
    problem: 'maxRetriesPerRequest: 1',
    open: (dead) => ioredis(new Redis({ ...at(dead), maxRetriesPerRequest: 1 })),
    message: /ECONNREFUSED/,
  },
  {
    problem: 'a client that was closed by the host (ioredis)',
    open: async (_, live) => {
      const client = new Redis(at(live))
      client.disconnect()
      return ioredis(client)
    },
    message: /Connection is closed.*make a new client/,
  },
  {
    problem: 'TLS on a plain port (ioredis)',
    open: (_, live) => ioredis(new Redis({ ...at(live), tls: {} })),
    message: /client is '\w+'.*TLS/,
  },
  {
    problem: 'a cluster that is not there (ioredis)',
    open: (dead) => ioredis(new Cluster([{ host: '127.0.0.1', port: dead }], { clusterRetryStrategy: () => 30 })),
    message: /the cluster.*Failed to refresh slots cache/,
  },
  {
    problem: 'createClient() without connect()',
    open: (_, live) => nodeRedis(createClient({ url: url(live) }), false),
    message: /call its connect\(\)/,
  },
  {
    problem: 'createClient() on a port without a server',
    open: (dead) => nodeRedis(createClient({ url: url(dead) })),
    message: /ECONNREFUSED/,
  },
  {
    problem: 'disableOfflineQueue: true',
    open: (dead) => nodeRedis(createClient({ url: url(dead), disableOfflineQueue: true })),
    message: /offline.*it tries to connect/,
  },
  {
    problem: 'TLS on a plain port (node-redis)',
    open: (_, live) => nodeRedis(createClient({ url: url(live).replace('redis:', 'rediss:') })),
    message: /client is open.*TLS/,
  },
]

/** The text of an error and of its causes. */
function shown(value: unknown): string {
  if (!(value instanceof Error)) return JSON.stringify(value) ?? ''
  return [value.message, value.stack, JSON.stringify(value), shown(value.cause)].join(' ')
}

describe.skipIf(isRedisMissing)('a Redis that cannot be reached', () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  let server: RedisServer
  let deadPort: number
  beforeEach(async () => {
    unhandled.length = 0
    process.on('unhandledRejection', note)
    server = await RedisServer.start()
    deadPort = await freePort()
  })
  afterEach(async () => {
    process.off('unhandledRejection', note)
    await server.stop()
  })

  const viewerOf = (client: OrchestratorClient) => client.acquireEngine({ waitMs: WAIT_MS }).catch((error: unknown) => error)

  it.each(PROBLEMS)('causes one line in the client’s log, and the same message for viewers: $problem', async ({ open, message }) => {
    const { client: connection, close } = await open(deadPort, server.port)
    const { logger, lines } = recordedLog()
    const store = new RedisStore({ client: connection, clock, timeoutMs: 500 })
    const fake = new FakeOrchestrator({ clock, random: seededRandom(1), engines: 2 })
    const client = openClient(fake, clock, { transport: fake, store, logger })
    const undo = store.onSlotFreed(() => {})
    // The connection fails in real time, not on the manual clock.
    const isOpening = /ECONN|ENOTF|refresh/.test(message.source)
    if (isOpening) await eventually(() => new Promise((resolve) => setTimeout(resolve, 300, true)), 0)
    const viewers = Promise.all([1, 2, 3].map(() => viewerOf(client)))
    await elapsedUntilSettled(viewers)
    for (const error of await viewers) {
      expect(error).toBeInstanceOf(CapacityError)
      expect(error).toMatchObject({ reason: 'store_unavailable' })
      expect(`${(error as Error).message} ${shown(error)}`).toMatch(message)
      expect(shown(error)).not.toContain('p@ss')
      expect(shown(error)).not.toContain(encodeURIComponent(PASSWORD))
    }
    const ofStore = lines.filter((line) => line.includes('Redis at'))
    expect(ofStore).toHaveLength(1)
    expect(ofStore[0]).toMatch(/^error Redis at (127\.0\.0\.1:\d+|redis\.invalid:\d+|the cluster) is unavailable: /)
    expect(ofStore[0]).toMatch(message)
    expect(ofStore[0]).not.toMatch(/p@ss|p%40ss/)
    expect(unhandled).toEqual([])
    undo()
    await elapsedUntilSettled(store.close())
    close()
  })

  it('causes one error line while it comes and goes, and one info line when it stays', async () => {
    await server.kill()
    // Calls on this connection fail at once, without any time on the clock.
    const failsAtOnce = { enableOfflineQueue: false, maxRetriesPerRequest: 0, retryStrategy: () => 10 }
    const connection = new Redis({ host: '127.0.0.1', port: server.port, ...failsAtOnce })
    const { logger, lines } = recordedLog()
    const store = new RedisStore({ client: connection, clock, timeoutMs: 600_000, logger, slotTtlMs: 3_000 })
    await store.renew()
    const isAway = async (): Promise<boolean> => {
      const answer = await store.take(slot('probe', ['a'])).then(String, String)
      return answer.includes('is unavailable')
    }
    for (let flap = 0; flap < 3; flap += 1) {
      await server.start()
      await eventually(async () => !(await isAway()), 100)
      await server.kill()
      await eventually(isAway, 100)
    }
    expect(lines.map((line) => line.slice(0, 20))).toEqual(['error Redis at 127.0'])
    await server.start()
    await eventually(async () => {
      await store.renew()
      return lines.length > 1
    }, 500)
    expect(lines).toHaveLength(2)
    expect(lines[1]).toMatch(/^info Redis at 127\.0\.0\.1:\d+ works again/)
    await store.close()
    connection.disconnect()
  })

  it('crashes no process whose host has no `error` listener on the connection, even if 20 stores share it', async () => {
    const connection = createClient({ url: server.url, socket: { reconnectStrategy: () => 10 } })
    await connection.connect()
    const warnings: unknown[] = []
    const warn = (warning: unknown): void => void warnings.push(warning)
    process.on('warning', warn)
    const stores = Array.from({ length: 20 }, (_, i) => new RedisStore({ client: connection, clock, timeoutMs: 500, name: `${i}` }))
    expect(connection.listenerCount('error')).toBe(1)
    await stores[0]?.renew()
    await server.kill()
    await eventually(() => !connection.isReady)
    await server.start()
    await eventually(() => connection.isReady)
    for (const store of stores) await elapsedUntilSettled(store.close())
    process.off('warning', warn)
    expect([warnings, unhandled]).toEqual([[], []])
    connection.destroy()
  })
})
