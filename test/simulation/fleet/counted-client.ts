import { Redis } from 'ioredis'
import { createClient } from 'redis'
import type { RedisClient } from '../../../src/state/redis/index.ts'

export type Library = 'ioredis' | 'node-redis'
export const LIBRARIES: readonly Library[] = ['ioredis', 'node-redis']

/** A client's own settings that matter while there is no connection. */
export interface Temper {
  /** Whether commands wait for a connection. */
  readonly waitsOffline: boolean
  /** Whether a command is rejected after some attempts to connect. */
  readonly givesUp: boolean
}

const RETRY_MS = 10

/** A connection whose commands are counted. Client libraries retry by real time; the simulation waits for them. */
export class CountedClient {
  readonly client: RedisClient
  readonly #isReady: () => boolean
  readonly #destroy: () => void
  readonly #onAnswer: () => void
  #unansweredCount = 0

  constructor(library: Library, port: number, { waitsOffline, givesUp }: Temper, onAnswer: () => void) {
    this.#onAnswer = onAnswer
    if (library === 'ioredis') {
      const client = new Redis({
        port,
        retryStrategy: () => RETRY_MS,
        enableOfflineQueue: waitsOffline,
        maxRetriesPerRequest: givesUp ? 20 : null,
      })
      client.on('error', () => {})
      this.client = this.#counted(client)
      this.#isReady = () => client.status === 'ready'
      this.#destroy = () => client.disconnect()
    } else {
      const client = createClient({
        url: `redis://127.0.0.1:${port}`,
        disableOfflineQueue: !waitsOffline,
        socket: { reconnectStrategy: () => RETRY_MS },
      })
      client.on('error', () => {})
      client.connect().catch(() => {})
      this.client = this.#counted(client) as RedisClient
      this.#isReady = () => client.isReady
      this.#destroy = () => client.destroy()
    }
  }

  /** Whether it is connected and every command was answered. */
  get isAtRest(): boolean {
    return this.#unansweredCount === 0 && this.#isReady()
  }

  get unansweredCount(): number {
    return this.#unansweredCount
  }

  /** As the death of its process does it. */
  destroy(): void {
    this.#destroy()
  }

  #counted<T extends object>(client: T): T {
    return new Proxy(client, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown => {
          const result: unknown = value.apply(target, args)
          return result instanceof Promise ? this.#count(result) : result
        }
      },
    })
  }

  #count(command: Promise<unknown>): Promise<unknown> {
    this.#unansweredCount += 1
    return command.then(
      (answer) => {
        this.#unansweredCount -= 1
        this.#onAnswer()
        return answer
      },
      (error: unknown) => {
        this.#unansweredCount -= 1
        throw error
      },
    )
  }
}
