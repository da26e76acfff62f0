import { StoreError } from '../../errors.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { Outages } from '../../runtime/outages.ts'
import type { Connection } from './connection.ts'
import { explain } from './reply-error.ts'
import { SCRIPT } from './script.ts'

/** While Redis is away it is tried this often, so that not every caller waits for a time-out of its own. */
const TRY_EVERY_MS = 1_000
/** A cluster that moves the keys to another server cannot run a script for a moment. */
const RETRY_MS = 50
/** An outage is over when Redis answers and has not failed for this time: one that fails now and then has one outage, and one line. */
const QUIET_MS = 5_000

/**
 * A client library may keep commands until it has a connection again. So many are left to it; then one more in a long while, in case it has
 * lost them.
 */
const MOST_UNANSWERED = 3
const LONG_WHILE_MS = 30_000

/** What a {@link RedisLink} needs. */
export interface LinkParts {
  connection: Connection
  clock: Clock
  timeoutMs: number
  logger: () => Logger
  /** Called when it is time to try again. */
  onTry: () => void
  /** Called when a call has failed. */
  onFailed: () => void
}

/** Runs the script within its time, whatever the client library does while there is no connection, and knows whether Redis answers. */
export class RedisLink {
  readonly #parts: LinkParts
  #outages: Outages | undefined
  #failure: StoreError | undefined
  #triedAt = Number.NEGATIVE_INFINITY
  #sentAt = Number.NEGATIVE_INFINITY
  #unansweredCount = 0
  #timer: Timer | undefined
  #isClosed = false
  #failedAt = Number.NEGATIVE_INFINITY

  constructor(parts: LinkParts) {
    this.#parts = parts
  }

  /** Why Redis is not asked just now. */
  get failure(): StoreError | undefined {
    const isResting = this.#failure !== undefined && this.#parts.clock.now() - this.#triedAt < TRY_EVERY_MS
    return isResting ? this.#failure : undefined
  }

  /** The next call is tried, however short a while ago another failed. */
  tryNow(): void {
    this.#triedAt = Number.NEGATIVE_INFINITY
  }

  /** Tries again in a second, unless a call succeeds before. */
  tryLater(): void {
    if (this.#isClosed) return
    this.#timer ??= this.#parts.clock.setTimeout(() => {
      this.#timer = undefined
      if (this.#failure !== undefined) this.#parts.onTry()
    }, TRY_EVERY_MS)
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /**
   * `check` throws for what is no answer of the script.
   *
   * @throws {@link StoreError} after `timeoutMs` at the latest
   */
  async run<T>(keys: readonly string[], args: string[], check: (answer: unknown) => T): Promise<T> {
    const { clock } = this.#parts
    this.#triedAt = clock.now()
    const isWaiting = this.#unansweredCount >= MOST_UNANSWERED && clock.now() - this.#sentAt < LONG_WHILE_MS
    if (isWaiting && this.#failure !== undefined) throw this.#failure
    try {
      const answer = check(await this.#inTime([...keys], args))
      this.#answered()
      return answer
    } catch (error) {
      throw this.#failed(error, keys)
    }
  }

  #inTime(keys: string[], args: string[]): Promise<unknown> {
    const { clock, timeoutMs } = this.#parts
    return new Promise((resolve, reject) => {
      let retry: Timer | undefined
      let last: unknown
      const end = (): void => {
        timer.cancel()
        retry?.cancel()
      }
      let hasEnded = false
      const settle = (act: () => void): void => {
        if (hasEnded) return
        hasEnded = true
        end()
        act()
      }
      const timer = clock.setTimeout(() => settle(() => reject(last ?? new Error(`no answer within ${timeoutMs} ms`))), timeoutMs)
      const attempt = (isLoaded: boolean): void => {
        this.#send(keys, args, isLoaded).then(
          (answer) => settle(() => resolve(answer)),
          (error: unknown) => {
            if (hasEnded) return
            if (startsWith(error, 'NOSCRIPT') && isLoaded) return attempt(false)
            if (!isMoving(error)) return settle(() => reject(error))
            last = error
            retry = clock.setTimeout(() => attempt(true), RETRY_MS)
          },
        )
      }
      attempt(true)
    })
  }

  /** A batch is sent again with its number, so it does not matter which of the two is applied. */
  async #send(keys: string[], args: string[], isLoaded: boolean): Promise<unknown> {
    const { connection, clock } = this.#parts
    this.#sentAt = clock.now()
    this.#unansweredCount += 1
    try {
      return await (isLoaded ? connection.run(SCRIPT, keys, args) : connection.load(SCRIPT, keys, args))
    } finally {
      this.#unansweredCount -= 1
    }
  }

  #answered(): void {
    const { clock, connection } = this.#parts
    this.#failure = undefined
    connection.forgetError()
    if (clock.now() - this.#failedAt >= QUIET_MS) this.#outages?.works(this.#work)
  }

  #failed(error: unknown, keys: readonly string[]): StoreError {
    const { clock, connection, onFailed } = this.#parts
    const place = { address: connection.address(), state: connection.state(), keys, secrets: connection.secrets() }
    const { message, reason, cause } = explain(error, { ...place, connectionError: connection.lastError() })
    const failure = new StoreError(message, { reason, cause })
    this.#triedAt = clock.now()
    this.#failedAt = clock.now()
    this.#failure = failure
    const isAway = reason === 'unavailable'
    const line = isAway ? `${message}; the store uses what this process knows until Redis answers again` : message
    // The client's logger is known from the first use on.
    this.#outages ??= new Outages({ clock, logger: this.#parts.logger() })
    // Each right that is missing has a line; the same right may be missing at several lines of the script.
    const kind = reason === 'unwritable' ? message.replace(/user_script:\d+/g, '') : reason
    this.#outages.failed(this.#work, line, { key: keys[0], error: cause }, { level: 'error', cause: kind })
    onFailed()
    return failure
  }

  get #work(): string {
    return `Redis at ${this.#parts.connection.address()}`
  }
}

/** The keys of the script are on two servers just now. ioredis gives up after a number of redirections, which may take no time. */
const isMoving = (error: unknown): boolean => startsWith(error, 'TRYAGAIN') || startsWith(error, 'Too many Cluster redirections')

const startsWith = (error: unknown, prefix: string): boolean => error instanceof Error && error.message.startsWith(prefix)
