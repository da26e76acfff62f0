import type { ChannelEvents } from './connection.ts'
import type { IoRedisClient, NodeRedisClient } from './redis-client.ts'

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
export function listenByIoRedis(client: IoRedisClient, channel: string, { onMessage, onFailure }: ChannelEvents): () => void {
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
export function listenByNodeRedis(client: NodeRedisClient, channel: string, { onMessage, onFailure }: ChannelEvents): () => void {
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
