import type { Logger, StateStore } from 'acestream-orchestrator-client'
import { ConfigError, type Environment } from './config.ts'
import { parseDuration } from './durations.ts'
import { parseRedisUrl, type RedisAddress } from './redis-url.ts'

const VARIABLE = 'ACEXY_STORE'
const TTL_VARIABLE = 'ACEXY_STORE_TTL'
const TTL_ADVICE = 'a duration with its unit, from 1s to 1h, such as 15s, the default; give every proxy of a fleet the same'

/** A store, and the function that closes it after the client is closed. */
export interface OpenStore {
  readonly store: StateStore
  /** For people. Never contains the address: it may hold a password. */
  readonly name: string
  close(): Promise<void>
}

/**
 * Opens the store that `ACEXY_STORE` names: `redis://host:port?name=fleet`, which the proxies of that name share, or
 * `sqlite:/path/to/file`, which survives a crash. Returns `undefined` if the variable is not set: the client then keeps its state in
 * memory. Each store is imported only when it is used.
 *
 * @throws {@link ConfigError} if `ACEXY_STORE` is invalid, or `ACEXY_STORE_TTL` is, even if no store uses it
 */
export async function openStore(env: Environment, logger: Logger): Promise<OpenStore | undefined> {
  const value = env[VARIABLE]?.trim() ?? ''
  const ttlMs = slotTtlMs(env)
  if (value === '') return undefined
  if (/^rediss?:\/\//i.test(value)) return openRedis(parseRedisUrl(VARIABLE, value), ttlMs, logger)
  if (/^sqlite:./.test(value)) return openSqlite(value.slice('sqlite:'.length), logger)
  throw new ConfigError(VARIABLE, 'redis://host:port[?name=fleet] or sqlite:/path/to/file')
}

async function openRedis({ url, name }: RedisAddress, ttlMs: number | undefined, logger: Logger): Promise<OpenStore> {
  const [{ Redis }, { RedisStore }] = await Promise.all([import('ioredis'), import('acestream-orchestrator-client/redis')])
  const client = new Redis(url)
  let isSelectLogged = false
  // The store logs that Redis cannot be reached. Without this listener ioredis prints every attempt.
  client.on('error', (error) => {
    if (isSelectLogged || !isSelectRefused(error)) return
    isSelectLogged = true
    logger.error(`Redis refused the database of ${VARIABLE}, so database 0 is used; correct the number after the host`)
  })
  const store = new RedisStore({ client, logger, name, slotTtlMs: ttlMs })
  return {
    store,
    name: 'Redis',
    async close() {
      await store.close()
      client.disconnect()
    },
  }
}

/**
 * Whether Redis refused the database. ioredis then uses database 0 and logs nothing. Never log its errors: they contain the failed
 * command, and that of `AUTH` contains the password.
 */
function isSelectRefused(error: Error & { readonly command?: { readonly name?: unknown } }): boolean {
  return error.name === 'ReplyError' && error.command?.name === 'select'
}

async function openSqlite(path: string, logger: Logger): Promise<OpenStore> {
  const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
  const store = new SqliteStore({ path, logger })
  return { store, name: 'SQLite', close: async () => store.close() }
}

function slotTtlMs(env: Environment): number | undefined {
  const value = env[TTL_VARIABLE]?.trim() ?? ''
  if (value === '') return undefined
  const ms = parseDuration(value)
  if (ms === undefined || ms < 1_000 || ms > 3_600_000) throw new ConfigError(TTL_VARIABLE, TTL_ADVICE)
  return Math.round(ms)
}
