/** As much of a connection of `ioredis` as is used, `Redis` or `Cluster`. */
export interface IoRedisClient {
  evalsha(sha: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
  eval(text: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
  duplicate(...options: never[]): unknown
}

/** What a script of node-redis is given. */
export interface NodeRedisEvalOptions {
  keys: string[]
  arguments: string[]
}

/** As much of a connection of `redis` (node-redis) as is used, of `createClient` or `createCluster`. */
export interface NodeRedisClient {
  evalSha(sha: string, options: NodeRedisEvalOptions): Promise<unknown>
  eval(text: string, options: NodeRedisEvalOptions): Promise<unknown>
  duplicate(...options: never[]): unknown
}

/**
 * A connection to Redis or Valkey, one server or a cluster, of `ioredis` 5 or 6, or of `redis` 5 or 6. It stays the host's: it is never closed
 * here.
 */
export type RedisClient = IoRedisClient | NodeRedisClient
