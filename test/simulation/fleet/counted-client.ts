import type { RedisClient } from '../../../src/state/redis/index.ts'
import { type Library, OPEN, OPEN_CLUSTER, type Temper } from './libraries.ts'

/** A connection whose commands are counted. Client libraries retry by real time; the simulation waits for them. */
export class CountedClient {
  readonly client: RedisClient
  readonly #isReady: () => boolean
  readonly #destroy: () => void
  readonly #onAnswer: () => void
  #unansweredCount = 0

  /** `ports`: where to connect, by each server's own port; several servers are a cluster. */
  constructor(library: Library, ports: ReadonlyMap<number, number>, temper: Temper, onAnswer: () => void) {
    this.#onAnswer = onAnswer
    const open = ports.size > 1 ? OPEN_CLUSTER : OPEN
    const { client, isReady, destroy } = open[library](ports, temper)
    this.client = this.#counted(client as object) as RedisClient
    this.#isReady = isReady
    this.#destroy = destroy
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
