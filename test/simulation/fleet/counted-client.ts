import type { RedisClient } from '../../../src/state/redis/index.ts'
import { type Library, type OfflineSettings, OPEN, OPEN_CLUSTER } from './libraries.ts'

/** A connection of ioredis, or of node-redis, which has `destroy`. */
interface Duplicate {
  readonly destroy?: () => void
  disconnect(): void
}

/** A connection that counts its unanswered commands. Client libraries retry in real time, and the simulation waits for them. */
export class CountedClient {
  readonly client: RedisClient
  readonly #isReady: () => boolean
  readonly #destroy: () => void
  readonly #onAnswer: () => void
  /** Connections that the store has made of this one, for its subscription. */
  readonly #duplicates: Duplicate[] = []
  #unansweredCount = 0

  /** `ports`: the port to connect to, by the server's own port. Several servers are a cluster. */
  constructor(library: Library, ports: ReadonlyMap<number, number>, settings: OfflineSettings, onAnswer: () => void) {
    this.#onAnswer = onAnswer
    const open = ports.size > 1 ? OPEN_CLUSTER : OPEN
    const { client, isReady, destroy } = open[library](ports, settings)
    this.client = this.#counted(client as object) as RedisClient
    this.#isReady = isReady
    this.#destroy = destroy
  }

  /** Whether the client is connected and every command was answered. */
  get isAtRest(): boolean {
    return this.#unansweredCount === 0 && this.#isReady()
  }

  get unansweredCount(): number {
    return this.#unansweredCount
  }

  /** Closes all connections at once, as the end of the process would. */
  destroy(): void {
    this.#destroy()
    for (const duplicate of this.#duplicates) {
      try {
        if (duplicate.destroy === undefined) duplicate.disconnect()
        else duplicate.destroy()
      } catch {
        // The store has closed it.
      }
    }
  }

  #counted<T extends object>(client: T): T {
    return new Proxy(client, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown => {
          const result: unknown = value.apply(target, args)
          if (key === 'duplicate') this.#duplicates.push(result as Duplicate)
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
