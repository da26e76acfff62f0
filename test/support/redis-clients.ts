import type { RedisClient } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'
import { createClient } from 'redis'

/** A client library's connection, and how the test closes it. */
export interface TestClient {
  readonly client: RedisClient
  readonly close: () => Promise<void>
  /** Whether it has a connection on which the server answers. */
  readonly isAnswered?: () => Promise<boolean>
}

/**
 * Both client libraries. They reconnect 30 ms after a lost connection and ignore its errors. With `waitsOffline`, commands wait for a
 * connection.
 */
export const CLIENTS: readonly { readonly library: string; readonly open: (url: string, waitsOffline?: boolean) => Promise<TestClient> }[] =
  [
    {
      library: 'ioredis',
      async open(url, waitsOffline = true) {
        const client = new Redis(url, { retryStrategy: () => 30, enableOfflineQueue: waitsOffline })
        client.on('error', () => {})
        if (!waitsOffline) await new Promise((resolve) => client.once('ready', resolve))
        return { client, close: async () => client.disconnect(), isAnswered: () => isFulfilled(client.ping()) }
      },
    },
    {
      library: 'node-redis',
      async open(url, waitsOffline = true) {
        const client = createClient({ url, disableOfflineQueue: !waitsOffline, socket: { reconnectStrategy: () => 30 } })
        client.on('error', () => {})
        await client.connect()
        return { client, close: async () => client.destroy(), isAnswered: () => isFulfilled(client.ping()) }
      },
    },
  ]

const isFulfilled = (promise: Promise<unknown>): Promise<boolean> =>
  promise.then(
    () => true,
    () => false,
  )
