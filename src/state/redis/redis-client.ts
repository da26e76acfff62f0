import { InvalidArgumentError } from '../../errors.ts'

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

/** One of these words. */
export function expectOneOf<Word extends string>(name: string, value: Word, words: readonly Word[]): Word {
  if (!words.includes(value)) throw new InvalidArgumentError(name, words.map((word) => `'${word}'`).join(' or '))
  return value
}

/** Something that may have anything in it. */
type Anything = Readonly<Record<string, unknown>>

const asObject = (value: unknown): Anything => (typeof value === 'object' && value !== null ? (value as Anything) : {})

/** Where the server of a client is, as far as the client says: never a user or a password. */
export function addressOf(client: unknown): string {
  const { options, isCluster } = asObject(client)
  if (isCluster === true || 'rootNodes' in asObject(options)) return 'the cluster'
  const { host, port, path, socket, url } = asObject(options)
  if (typeof path === 'string') return withoutUser(path)
  const { host: socketHost, port: socketPort, path: socketPath } = asObject(socket)
  if (typeof socketPath === 'string') return withoutUser(socketPath)
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined
  const name = [host, socketHost, parsed?.hostname].find((found) => typeof found === 'string' && found !== '') ?? 'localhost'
  // An address with a slash in its password is misread: then part of the password stands in the place of the port.
  const number = [port, socketPort, parsed?.port].find((found) => /^\d+$/.test(String(found)))
  return `${withoutUser(String(name))}:${String(number ?? 6_379)}`
}

/** ioredis takes an address without a scheme for a file's name. */
const withoutUser = (text: string): string => text.replace(/^[\s\S]*@/, '')

/** What a client says of its connection, where that explains why it does not answer, and what to do. */
export function stateOf(client: unknown): string | undefined {
  const { status, isOpen, isReady } = asObject(client)
  // ioredis has a word for it. A cluster's client of node-redis has no `isReady`.
  if (status === 'end') return "'end': it was closed, or gave up, and does not connect again; make a new client and store"
  if (typeof status === 'string')
    return status === 'ready' ? undefined : `'${status}': it has no connection; check its address, and whether it needs TLS`
  if (isOpen === false) return 'closed: call its connect() before the store is used'
  return isReady === false ? 'open, without a connection: it tries to connect; check its address, and whether it needs TLS' : undefined
}

/** The passwords that a client was made with: none may get into a message. */
export function passwordsOf(client: unknown): readonly string[] {
  const { options } = asObject(client)
  const { redisOptions, rootNodes, defaults } = asObject(options)
  const nodes: readonly unknown[] = Array.isArray(rootNodes) ? rootNodes : []
  const found = [options, redisOptions, defaults, ...nodes].flatMap((one) => {
    const { password, sentinelPassword, url } = asObject(one)
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

/** What the connections of clients failed with since they were last well. Clients are shared by stores, and have one listener each. */
const errors = new WeakMap<object, { last: unknown }>()

/**
 * Notes the errors of a client's connection: calls fail without the reason, and an `error` event of node-redis without a listener ends the
 * process.
 */
export function watchErrors(client: object): { last: unknown } {
  const known = errors.get(client)
  if (known !== undefined) return known
  const watched: { last: unknown } = { last: undefined }
  errors.set(client, watched)
  const { on } = asObject(client)
  if (typeof on !== 'function') return watched
  Reflect.apply(on, client, [
    'error',
    (error: unknown) => {
      watched.last = error
    },
  ])
  return watched
}
