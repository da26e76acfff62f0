import { InvalidArgumentError } from '../../errors.ts'
import { expectMethods } from '../../runtime/validate.ts'
import type { Script } from './script.ts'

/** The part of a connection of `ioredis` that the store uses, `Redis` or `Cluster`. */
export interface IoRedisClient {
  /** Runs a script that the server knows. */
  evalsha(sha: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
  /** Runs a script, and keeps it on the server. */
  eval(text: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
  /** Makes another connection with the same options. */
  duplicate(...options: never[]): unknown
}

/** Keys and arguments of a script, as node-redis takes them. */
export interface NodeRedisEvalOptions {
  /** The keys that the script uses. */
  keys: string[]
  /** The other arguments. */
  arguments: string[]
}

/** The part of a connection of `redis` (node-redis) that the store uses, of `createClient` or `createCluster`. */
export interface NodeRedisClient {
  /** Runs a script that the server knows. */
  evalSha(sha: string, options: NodeRedisEvalOptions): Promise<unknown>
  /** Runs a script, and keeps it on the server. */
  eval(text: string, options: NodeRedisEvalOptions): Promise<unknown>
  /** Makes another connection with the same options. */
  duplicate(...options: never[]): unknown
}

/**
 * A connection to Redis or Valkey (one server or a cluster) that `ioredis` 5 or 6, or `redis` 5 or 6, made. The host connects and closes
 * it; the store never closes it.
 */
export type RedisClient = IoRedisClient | NodeRedisClient

/** A host's connection, the same for each client library. */
export interface Connection {
  readonly client: RedisClient
  /** Where the server is, for messages. Contains no user and no password. */
  address(): string
  /** The reason why the client has no connection, and advice. `undefined`: it has a connection. */
  state(): string | undefined
  /** The last error of the connection since {@link forgetError}. */
  lastError(): unknown
  /** Call it when Redis answers. */
  forgetError(): void
  /** Passwords that an error of the client may contain. */
  secrets(): readonly string[]
  /** Runs a script by its hash. */
  run(script: Script, keys: string[], args: string[]): Promise<unknown>
  /** Runs a script that the server has not loaded, and loads it. */
  load(script: Script, keys: string[], args: string[]): Promise<unknown>
}

/** @throws {@link InvalidArgumentError} if the client is not of one of the two libraries, or its release is too old */
export function connectionOf(client: RedisClient): Connection {
  const release = oldReleaseOf(client)
  if (release !== undefined) {
    throw new InvalidArgumentError('client', `a client of redis 5 or 6, or of ioredis 5 or 6; found a client of ${release}`)
  }
  const isOfNodeRedis = typeof client === 'object' && client !== null && isNodeRedis(client)
  expectMethods('client', client, [isOfNodeRedis ? 'evalSha' : 'evalsha', 'eval', 'duplicate'])
  const watched = watchErrors(client)
  return {
    client,
    address: () => addressOf(client),
    state: () => stateOf(client),
    lastError: () => watched.last,
    forgetError: () => {
      watched.last = undefined
    },
    secrets: () => passwordsOf(client),
    run: ({ sha }, keys, args) =>
      isNodeRedis(client) ? client.evalSha(sha, { keys, arguments: args }) : client.evalsha(sha, keys.length, ...keys, ...args),
    load: ({ text }, keys, args) =>
      isNodeRedis(client) ? client.eval(text, { keys, arguments: args }) : client.eval(text, keys.length, ...keys, ...args),
  }
}

/** `true`: the client is of `redis`. `false`: it is of `ioredis`. */
export const isNodeRedis = (client: RedisClient): client is NodeRedisClient => 'evalSha' in client

/**
 * Names the release of a client that is too old. Npm installs any release beside this package, and a client does not report its release. So
 * this function checks for properties that only old clients have. An object that the host wrote has none of them.
 */
function oldReleaseOf(client: unknown): string | undefined {
  if (typeof client !== 'object' || client === null) return undefined
  if ('internal_send_command' in client) return 'redis 3 or older'
  if ('evalSha' in client) return 'disconnect' in client && !('destroy' in client) ? 'redis 4' : undefined
  const options = 'options' in client ? client.options : undefined
  const isOldIoRedis =
    typeof options === 'object' && options !== null && 'showFriendlyErrorStack' in options && !('createScanStream' in client)
  return isOldIoRedis ? 'ioredis 4 or older' : undefined
}

type Properties = Readonly<Record<string, unknown>>

const propertiesOf = (value: unknown): Properties => (typeof value === 'object' && value !== null ? (value as Properties) : {})

/** The address of a client's server, as far as its options say. Contains no user and no password. */
export function addressOf(client: unknown): string {
  const { options, isCluster } = propertiesOf(client)
  if (isCluster === true || 'rootNodes' in propertiesOf(options)) return 'the cluster'
  const { host, port, path, socket, url } = propertiesOf(options)
  if (typeof path === 'string') return withoutUser(path)
  const { host: socketHost, port: socketPort, path: socketPath } = propertiesOf(socket)
  if (typeof socketPath === 'string') return withoutUser(socketPath)
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined
  const name = [host, socketHost, parsed?.hostname].find((found) => typeof found === 'string' && found !== '') ?? 'localhost'
  // Client libraries misread an address with a slash in its password: a part of the password may be in the place of the port.
  const number = [port, socketPort, parsed?.port].find((found) => /^\d+$/.test(String(found)))
  return `${withoutUser(String(name))}:${String(number ?? 6_379)}`
}

/** ioredis reads an address without a scheme as the name of a file. */
const withoutUser = (text: string): string => text.replace(/^[\s\S]*@/, '')

function stateOf(client: unknown): string | undefined {
  const { status, isOpen, isReady } = propertiesOf(client)
  // Only ioredis has a status. A cluster client of node-redis has no `isReady`.
  if (status === 'end') return "'end': it was closed, or gave up, and does not connect again; make a new client and a new store"
  if (status === 'ready') return undefined
  if (typeof status === 'string') return `'${status}': it has no connection; check its address, and whether it needs TLS`
  if (isOpen === false) return 'closed: call its connect() before the store is used'
  return isReady === false ? 'open, without a connection: it tries to connect; check its address, and whether it needs TLS' : undefined
}

function passwordsOf(client: unknown): readonly string[] {
  const { options } = propertiesOf(client)
  const { redisOptions, rootNodes, defaults } = propertiesOf(options)
  const nodes: readonly unknown[] = Array.isArray(rootNodes) ? rootNodes : []
  const found = [options, redisOptions, defaults, ...nodes].flatMap((one) => {
    const { password, sentinelPassword, url } = propertiesOf(one)
    const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url).password : ''
    return [password, sentinelPassword, parsed, decoded(parsed)]
  })
  return found.filter((text): text is string => typeof text === 'string' && text !== '')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The last error of each client. Stores may share a client, which then has one listener. */
const errors = new WeakMap<object, { last: unknown }>()

/**
 * Listens to a client's `error` events: a call without a connection fails without the reason, and node-redis ends the process if there is
 * no listener.
 */
function watchErrors(client: object): { last: unknown } {
  const known = errors.get(client)
  if (known !== undefined) return known
  const watched: { last: unknown } = { last: undefined }
  errors.set(client, watched)
  const { on } = propertiesOf(client)
  if (typeof on !== 'function') return watched
  const listener = (error: unknown): void => {
    watched.last = error
  }
  Reflect.apply(on, client, ['error', listener])
  return watched
}
