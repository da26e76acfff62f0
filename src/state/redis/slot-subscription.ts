import type { Logger } from '../../runtime/logger.ts'
import { type IoRedisClient, isNodeRedis, type NodeRedisClient, type RedisClient } from './redis-client.ts'
import { withoutSecrets } from './reply-error.ts'

/** Dependencies of {@link SlotSubscription}. */
export interface SlotSubscriptionParts {
  client: RedisClient
  logger: () => Logger
  /** Whether a member id is this process's own. */
  isOwn: (memberId: string) => boolean
  /** Whether a caller of this process waits. */
  isAwaited: () => boolean
  /** Called when free slots are offered to members in the line. `isOwn`: also to this one. `containerId`: of one of them; `''`: not known. */
  onOffer: (isOwn: boolean, containerId: string) => void
  /** Called when no slot is offered any more. `isSlotLeft`: a slot is free that not all members in the line were offered. */
  onTurnEnd: (isSlotLeft: boolean) => void
  /** Called when a slot is free on an engine that is not known, before the listeners are called. */
  onAnyFree: () => void
}

/**
 * Calls listeners when another member has released a slot or settled a stream. Subscribes on a duplicate of the host's connection, which is
 * made for the first listener and closed after the last. Without a subscription callers find free slots later, so a failure is only a
 * warning.
 */
export class SlotSubscription {
  readonly #parts: SlotSubscriptionParts
  readonly #listeners = new Set<{ readonly call: (settledStreamId?: string) => void }>()
  #channel: string | undefined
  #unsubscribe: (() => void) | undefined
  #hasWarned = false
  #isClosed = false
  #isReady = false

  constructor(parts: SlotSubscriptionParts) {
    this.#parts = parts
  }

  /** Whether messages arrive. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Adds a listener. Returns a function that removes it. */
  listen(listener: (settledStreamId?: string) => void): () => void {
    const entry = { call: listener }
    this.#listeners.add(entry)
    this.#subscribe()
    return () => {
      this.#listeners.delete(entry)
      if (this.#listeners.size === 0) this.#stop()
    }
  }

  /** Sets the channel. Only the server knows it: the client may put a prefix before all keys. */
  setChannel(channel: string): void {
    this.#channel = channel
    if (this.#listeners.size > 0) this.#subscribe()
  }

  /** Removes all listeners, and closes the connection. */
  close(): void {
    this.#isClosed = true
    this.#listeners.clear()
    this.#stop()
  }

  #subscribe(): void {
    const { client } = this.#parts
    const channel = this.#channel
    if (channel === undefined || this.#unsubscribe !== undefined || this.#isClosed) return
    const events: ChannelEvents = {
      onMessage: (message) => this.#receive(message),
      onFailure: (error) => this.#warn(error),
      onReady: () => {
        this.#isReady = true
        // A slot may have become free before.
        if (this.#parts.isAwaited()) this.#notifyOfAnyFree()
      },
      onLost: () => {
        this.#isReady = false
      },
    }
    try {
      this.#unsubscribe = isNodeRedis(client)
        ? subscribeWithNodeRedis(client, channel, events)
        : subscribeWithIoRedis(client, channel, events)
    } catch (error) {
      this.#warn(error)
    }
  }

  #stop(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
    this.#hasWarned = false
    this.#isReady = false
  }

  /** Calls all listeners. @param settledStreamId the stream that was settled. @default a slot is free */
  notify(settledStreamId?: string): void {
    for (const { call } of this.#listeners) {
      try {
        call(settledStreamId)
      } catch (error) {
        this.#parts.logger().warn('A listener of onSlotFreed() threw; the other listeners are called', { error })
      }
    }
  }

  /**
   * A message is the id of its member: a slot is free for any member. If a stream was settled, a space and its id follow. If a slot is offered
   * to members in the line, `|`, their ids, `|` and the engine that was freed last follow. Without ids: no slot is offered any more; with `*` as
   * the engine, not all members were offered the free slot.
   */
  #receive(message: string): void {
    const { isOwn, onOffer, onTurnEnd } = this.#parts
    this.#hasWarned = false
    // A client of a cluster reports that its connection broke, but not that it has another.
    this.#isReady = this.#unsubscribe !== undefined
    const [, sender = '', kind = '', subject = ''] = /^([^ |]*)([ |]?)([\s\S]*)$/.exec(message) ?? []
    if (kind === '|') {
      const [members = ''] = subject.split('|', 1)
      const engine = subject.slice(members.length + 1)
      if (members === '') onTurnEnd(engine === '*')
      else onOffer(members.split(' ').some(isOwn), engine)
    } else if (isOwn(sender)) return
    else if (kind === ' ') this.notify(subject)
    else this.#notifyOfAnyFree()
  }

  #notifyOfAnyFree(): void {
    this.#parts.onAnyFree()
    this.notify()
  }

  #warn(error: unknown): void {
    if (this.#hasWarned || this.#unsubscribe === undefined) return
    this.#hasWarned = true
    const message = `Free slots of other proxies are found late: the subscription to ${this.#channel} in Redis failed`
    this.#parts.logger().warn(message, { error: withoutSecrets(error) })
  }
}

interface ChannelEvents {
  onMessage: (message: string) => void
  onFailure: (error: unknown) => void
  /** Messages arrive from now on. */
  onReady: () => void
  /** The connection broke. */
  onLost: () => void
}

/** A duplicate of an `ioredis` connection. */
interface IoRedisListener {
  on(event: string, listener: (...args: unknown[]) => void): unknown
  subscribe(channel: string): Promise<unknown>
  disconnect(): void
}

/** A duplicate of a `redis` connection. */
interface NodeRedisListener {
  on(event: string, listener: (...args: unknown[]) => void): unknown
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: unknown) => void): Promise<unknown>
  destroy(): void
}

/**
 * The host's connection may be set to fail instead of waiting for the server. A subscription must wait. This file renews it on each new
 * connection: if the library renewed it, a failure would be an unhandled rejection, which ends the process.
 */
const PATIENT = { enableOfflineQueue: true, maxRetriesPerRequest: null, lazyConnect: false, autoResubscribe: false }

/** An `error` event without a listener ends the process. Client libraries connect again by themselves, and the store logs the outage. */
const ignore = (): void => {}

/** Returns a function that closes the duplicate. */
function subscribeWithIoRedis(
  client: IoRedisClient,
  channel: string,
  { onMessage, onFailure, onReady, onLost }: ChannelEvents,
): () => void {
  const isCluster = 'isCluster' in client && client.isCluster === true
  const duplicate = client.duplicate as (...options: unknown[]) => unknown
  const listener = (isCluster ? duplicate.call(client) : duplicate.call(client, PATIENT)) as IoRedisListener
  listener.on('error', ignore)
  listener.on('message', (_, message) => onMessage(String(message)))
  listener.on('close', onLost)
  const subscribe = (): void => void listener.subscribe(channel).then(onReady, onFailure)
  // A cluster client subscribes again by itself.
  if (isCluster) subscribe()
  else listener.on('ready', subscribe)
  return () => listener.disconnect()
}

/** Returns a function that closes the duplicate. A duplicate of node-redis does not connect by itself. */
function subscribeWithNodeRedis(
  client: NodeRedisClient,
  channel: string,
  { onMessage, onFailure, onReady, onLost }: ChannelEvents,
): () => void {
  const listener = client.duplicate() as NodeRedisListener
  let isClosed = false
  let isSubscribed = false
  const close = (): void => {
    try {
      listener.destroy()
    } catch {
      // It was never open, or is closed already.
    }
  }
  // The library renews a subscription, but drops one whose connection broke before the answer.
  const subscribe = async (): Promise<void> => {
    if (isClosed || isSubscribed) return
    isSubscribed = true
    try {
      await listener.subscribe(channel, (message) => onMessage(String(message)))
      onReady()
    } catch (error) {
      isSubscribed = false
      onFailure(error)
    }
  }
  listener.on('error', onLost)
  // The library renews the subscription before it is ready again.
  listener.on('ready', () => (isSubscribed ? onReady() : void subscribe()))
  const connect = async (): Promise<void> => {
    await listener.connect()
    if (isClosed) return close()
    // A cluster client has no `ready` event.
    await subscribe()
  }
  connect().catch(onFailure)
  return () => {
    isClosed = true
    close()
  }
}
