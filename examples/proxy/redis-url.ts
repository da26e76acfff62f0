import { ConfigError } from './config.ts'

/** A Redis and the fleet on it, as `ACEXY_STORE` names them. */
export interface RedisAddress {
  /** For ioredis: without `?name=`. Holds the password. */
  readonly url: string
}

const SHAPE = 'redis://[user:password@]host[:port][/database], or rediss:// for TLS'
/** Such a URL was cut at the wrong place: the rest of a password became a path, a query or a fragment. */
const ENCODE = 'percent-encode / ? # @ and % in a user or a password, as %2F %3F %23 %40 and %25'
const HOST = /^(\[[\da-f:.]+\]|[^\s/?#@\\%]+)$/i
const DATABASE = /^\/?$|^\/\d{1,5}$/

/**
 * Reads a URL of Redis. No error quotes any part of it, since each part may hold a password: one with a `/` in it ends up in the path.
 *
 * @throws {@link ConfigError}
 */
export function parseRedisUrl(variable: string, value: string): RedisAddress {
  const url = URL.parse(value)
  if (url === null || !HOST.test(url.hostname)) throw new ConfigError(variable, `${SHAPE}; ${ENCODE}`)
  const { username, password, pathname, search, hash } = url
  if (/@/.test(pathname + search + hash) || hash !== '') throw new ConfigError(variable, `${SHAPE}; ${ENCODE}`)
  if (!isDecodable(username) || !isDecodable(password)) throw new ConfigError(variable, `each % to begin an escape; ${ENCODE}`)
  if (!DATABASE.test(pathname))
    throw new ConfigError(variable, `the number of a database after the host, such as /0, or nothing; ${ENCODE}`)
  if (search !== '') throw new ConfigError(variable, `no parameters; ${ENCODE}`)
  return { url: url.href }
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
