import { ConfigError } from './config.ts'

/** A Redis and the fleet on it, as `ACEXY_STORE` names them. */
export interface RedisAddress {
  /** For ioredis: without `?name=`. Holds the password. */
  readonly url: string
  /** Name of the fleet, where the URL has one. */
  readonly name: string | undefined
}

const SHAPE = 'redis://[user:password@]host[:port][/database][?name=fleet], or rediss:// for TLS'
/** Such a URL was cut at the wrong place: the rest of a password became a path, a query or a fragment. */
const ENCODE = 'percent-encode / ? # @ and % in a user or a password, as %2F %3F %23 %40 and %25'
const NAME = 'name'
const LONGEST_NAME = 200
/** Anything else in the place of a parameter's name may be a part of a password. */
const PARAMETER = /^[a-z]\w{0,31}$/i
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
  if (!DATABASE.test(pathname)) throw new ConfigError(variable, `a database number after the host, such as /0, or nothing; ${ENCODE}`)
  const name = fleetName(variable, url.searchParams)
  // Taken off: ioredis would take parameters for options of its own, `password` and `host` too.
  url.search = ''
  return { url: url.href, name }
}

function fleetName(variable: string, parameters: URLSearchParams): string | undefined {
  const unknown = [...parameters.keys()].find((key) => key !== NAME)
  if (unknown !== undefined) {
    const named = PARAMETER.test(unknown) ? `not ${unknown}` : ENCODE
    throw new ConfigError(variable, `no parameter but ?${NAME}=, the name of the fleet; ${named}`)
  }
  const [name, ...others] = parameters.getAll(NAME)
  if (name === undefined) return undefined
  if (others.length > 0 || name === '' || name.length > LONGEST_NAME) {
    throw new ConfigError(variable, `one ?${NAME}= of 1 to ${LONGEST_NAME} characters`)
  }
  return name
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
