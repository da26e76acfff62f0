/**
 * The store for a fleet: several proxies that share engines through Redis or Valkey. Needs `ioredis` or `redis`.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { RedisStore } from 'acestream-orchestrator-client/redis'
 * import { createClient } from 'redis'
 *
 * const redis = await createClient({ url: 'redis://redis:6379' }).connect()
 * const store = new RedisStore({ client: redis, name: 'stadium' })
 * const client = new OrchestratorClient({ baseUrl, apiKey, store, maxStreamsPerEngine: 2 })
 * @module acestream-orchestrator-client/redis
 */
import '../../runtime/supported.ts'

export type { IoRedisClient, NodeRedisClient, NodeRedisEvalOptions, RedisClient } from './redis-client.ts'
export { RedisStore, type RedisStoreOptions } from './redis-store.ts'
