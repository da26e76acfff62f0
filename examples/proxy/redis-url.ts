import { ConfigError } from './config.ts'

/** The Redis server and the fleet that `ACEXY_STORE` names. */
export interface RedisAddress {
  /** URL for ioredis, without `?name=`. Contains the password. */
  readonly url: string
  /** Name of the fleet, if the URL has one. */
  readonly name: string | undefined
}

const SHAPE = 'redis://[user:password@]host[:port][/database][?name=fleet], or rediss:// for TLS'
/** Advice for a URL that was split inside the password: the rest of the password became a path, a query or a fragment. */
const ENCODE = 'percent-encode / ? # @ and % in a user or a password, as %2F %3F %23 %40 and %25'
const NAME = 'name'
const LONGEST_NAME = 200
/** A parameter name that is safe to quote. Other text may be a part of a password. */
const PARAMETER = /^[a-z]\w{0,31}$/i
const HOST = /^(\[[\da-f:.]+\]|[^\s/?#@\\%]+)$/i
const DATABASE = /^\/?$|^\/\d{1,5}$/

/**
 * Parses a Redis URL. Errors quote no part of it, because each part may contain a password: one with a `/` ends up in the path.
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
  // Remove the parameters: ioredis would use them as options, including `password` and `host`.
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
