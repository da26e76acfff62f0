import type { RedisClient } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'
import { createClient } from 'redis'

/** A client library's connection, and how the test closes it. */
export interface TestClient {
  readonly client: RedisClient
  readonly close: () => Promise<void>
}

/** Both client libraries. A lost connection is sought again soon, and its errors are nobody's. */
export const CLIENTS: readonly { readonly library: string; readonly open: (url: string) => Promise<TestClient> }[] = [
  {
    library: 'ioredis',
    async open(url) {
      const client = new Redis(url, { retryStrategy: () => 30 })
      client.on('error', () => {})
      return { client, close: async () => client.disconnect() }
    },
  },
  {
    library: 'node-redis',
    async open(url) {
      const client = createClient({ url, socket: { reconnectStrategy: () => 30 } })
      client.on('error', () => {})
      await client.connect()
      return { client, close: async () => client.destroy() }
    },
  },
]
