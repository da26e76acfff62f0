import { StoreError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Connection } from './connection.ts'
import { withoutSecrets } from './reply-error.ts'
import type { Script } from './script.ts'

/** While Redis is away it is tried this often, so that not every caller waits for a time-out of its own. */
const TRY_EVERY_MS = 1_000

/** What a link is built from. */
export interface LinkParts {
  connection: Connection
  clock: Clock
  timeoutMs: number
  logger: Logger
  /** Called when Redis answers again. */
  onBack: () => void
}

/** Runs scripts, each within its time, whatever the client library does while there is no connection. */
export class RedisLink {
  readonly #parts: LinkParts
  #isAway = false
  #triedAt = Number.NEGATIVE_INFINITY

  constructor(parts: LinkParts) {
    this.#parts = parts
  }

  /** The next call is tried, however short a while ago another failed. */
  tryNow(): void {
    this.#triedAt = Number.NEGATIVE_INFINITY
  }

  /** @throws {@link StoreError} `unavailable`, and nothing else, after `withinMs` at the latest */
  async run(script: Script, keys: string[], args: string[], withinMs: number): Promise<unknown> {
    const { clock } = this.#parts
    if (this.#isAway) {
      if (clock.now() - this.#triedAt < TRY_EVERY_MS) throw new StoreError('Redis is away', { reason: 'unavailable' })
      this.#triedAt = clock.now()
    }
    try {
      const answer = await this.#inTime(this.#send(script, keys, args), Math.max(1, withinMs))
      this.#answered()
      return answer
    } catch (cause) {
      throw this.#failed(cause)
    }
  }

  async #send(script: Script, keys: string[], args: string[]): Promise<unknown> {
    const { connection } = this.#parts
    try {
      return await connection.run(script, keys, args)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return connection.load(script, keys, args)
    }
  }

  #inTime(answer: Promise<unknown>, withinMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = this.#parts.clock.setTimeout(() => reject(new Error(`no answer within ${Math.round(withinMs)} ms`)), withinMs)
      answer.then(resolve, reject).finally(() => timer.cancel())
    })
  }

  #answered(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#parts.logger.info('Redis answers again')
    this.#parts.onBack()
  }

  #failed(error: unknown): StoreError {
    const { clock, logger } = this.#parts
    const cause = withoutSecrets(error)
    this.#triedAt = clock.now()
    if (!this.#isAway) logger.warn('Redis is away; the store goes by what is known here until it answers again', { error: cause })
    this.#isAway = true
    return new StoreError(`Redis is away: ${cause.message}`, { reason: 'unavailable', cause })
  }
}
