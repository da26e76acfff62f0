import { InvalidArgumentError } from '../../errors.ts'
import { expectMethods } from '../../runtime/validate.ts'
import { addressOf, type IoRedisClient, type NodeRedisClient, passwordsOf, type RedisClient, stateOf, watchErrors } from './redis-client.ts'
import type { Script } from './script.ts'

/** What happens on a connection that listens. */
interface ChannelEvents {
  onMessage: (message: string) => void
  onFailure: (error: unknown) => void
}

/** What is asked of a client library. */
export interface Connection {
  /** Where the server is, for messages: no user and no password. */
  address(): string
  /** What the client says of its connection, unless it is as it should be. */
  state(): string | undefined
  /** What the connection failed with since Redis answered last. */
  lastError(): unknown
  /** Redis answers. */
  forgetError(): void
  /** Passwords that may be in an error. */
  secrets(): readonly string[]
  /** Runs a script by its name. */
  run(script: Script, keys: string[], args: string[]): Promise<unknown>
  /** Runs a script that the server has not loaded, and loads it. */
  load(script: Script, keys: string[], args: string[]): Promise<unknown>
  /** Listens on a connection of its own. Answers what closes that. */
  listen(channel: string, events: ChannelEvents): () => void
}

/** @throws {@link InvalidArgumentError} if the client is of neither library, or of a release that is too old */
export function connectionOf(client: RedisClient): Connection {
  const release = oldReleaseOf(client)
  if (release !== undefined) {
    throw new InvalidArgumentError('client', `a client of redis 5 or 6, or of ioredis 5 or 6; found a client of ${release}`)
  }
  if (typeof client === 'object' && client !== null && 'evalSha' in client) {
    expectMethods('client', client, ['evalSha', 'eval', 'duplicate'])
    return byNodeRedis(client)
  }
  expectMethods('client', client, ['evalsha', 'eval', 'duplicate'])
  return byIoRedis(client as IoRedisClient)
}

type Facts = Pick<Connection, 'address' | 'state' | 'lastError' | 'forgetError' | 'secrets'>

function factsOf(client: RedisClient): Facts {
  const watched = watchErrors(client)
  return {
    address: () => addressOf(client),
    state: () => stateOf(client),
    lastError: () => watched.last,
    forgetError: () => {
      watched.last = undefined
    },
    secrets: () => passwordsOf(client),
  }
}

const byIoRedis = (client: IoRedisClient): Connection => ({
  ...factsOf(client),
  run: (script, keys, args) => client.evalsha(script.sha, keys.length, ...keys, ...args),
  load: (script, keys, args) => client.eval(script.text, keys.length, ...keys, ...args),
  listen: (channel, events) => listenByIoRedis(client, channel, events),
})

const byNodeRedis = (client: NodeRedisClient): Connection => ({
  ...factsOf(client),
  run: (script, keys, args) => client.evalSha(script.sha, { keys, arguments: args }),
  load: (script, keys, args) => client.eval(script.text, { keys, arguments: args }),
  listen: (channel, events) => listenByNodeRedis(client, channel, events),
})

/**
 * Names the release of a client that is too old. Npm installs any release beside this package, and a client does not say its release, so
 * the check looks for parts that only old clients have, and that new ones replaced. An object of the host's own has neither.
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

/** A connection of `ioredis` that was made here. */
interface IoRedisListener {
  on(event: string, listener: (...args: unknown[]) => void): unknown
  subscribe(channel: string): Promise<unknown>
  disconnect(): void
}

/** A connection of `redis` that was made here. */
interface NodeRedisListener {
  on(event: string, listener: (...args: unknown[]) => void): unknown
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: unknown) => void): Promise<unknown>
  destroy(): void
}

/**
 * What the host's connection may be set to, and one that listens must not: to fail instead of waiting for the server. When it connects again
 * it is subscribed here: where the library does so, nobody hears of its failure, and that ends the process.
 */
const PATIENT = { enableOfflineQueue: true, maxRetriesPerRequest: null, lazyConnect: false, autoResubscribe: false }

/** Client libraries connect again by themselves, and that Redis is away is told once, by the store. */
const ignore = (): void => {}

/** Listens on a duplicate of the host's connection. An `error` event that nobody listens to would end the process. */
function listenByIoRedis(client: IoRedisClient, channel: string, { onMessage, onFailure }: ChannelEvents): () => void {
  const isCluster = 'isCluster' in client && client.isCluster === true
  const duplicate = client.duplicate as (...options: unknown[]) => unknown
  const listener = (isCluster ? duplicate.call(client) : duplicate.call(client, PATIENT)) as IoRedisListener
  listener.on('error', ignore)
  listener.on('message', (_, message) => onMessage(String(message)))
  const subscribe = (): void => void listener.subscribe(channel).catch(onFailure)
  // A cluster's remembers by itself.
  if (isCluster) subscribe()
  else listener.on('ready', subscribe)
  return () => listener.disconnect()
}

/** The same for node-redis, whose duplicates have to be told to connect. */
function listenByNodeRedis(client: NodeRedisClient, channel: string, { onMessage, onFailure }: ChannelEvents): () => void {
  const listener = client.duplicate() as NodeRedisListener
  let isClosed = false
  const close = (): void => {
    try {
      listener.destroy()
    } catch {
      // It was never open, or is closed already.
    }
  }
  let isSubscribed = false
  // The library subscribes again where it was subscribed, and gives a subscription up whose connection breaks before the answer.
  const subscribe = async (): Promise<void> => {
    if (isClosed || isSubscribed) return
    isSubscribed = true
    try {
      await listener.subscribe(channel, (message) => onMessage(String(message)))
    } catch (error) {
      isSubscribed = false
      onFailure(error)
    }
  }
  listener.on('error', ignore)
  listener.on('ready', () => void subscribe())
  const begin = async (): Promise<void> => {
    await listener.connect()
    if (isClosed) return close()
    // A cluster's client has no such event.
    await subscribe()
  }
  begin().catch(onFailure)
  return () => {
    isClosed = true
    close()
  }
}
