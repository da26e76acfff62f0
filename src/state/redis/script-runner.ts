import { StoreError } from '../../errors.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { Outages } from '../../runtime/outages.ts'
import type { Connection } from './redis-client.ts'
import { explain } from './reply-error.ts'
import { SCRIPT } from './script.ts'

/** While Redis is unavailable one call is sent in this time. All other callers get the failure at once instead of a time-out each. */
const PAUSE_MS = 1_000
/** How long to wait if a cluster cannot run the script because it moves the keys to another server. */
const MOVING_RETRY_MS = 50
/** An outage is over when Redis has answered without a failure for this time. So a Redis that fails now and then causes one log line. */
const QUIET_MS = 5_000
/** A client library may keep commands until it is connected again. If this many are unanswered, nothing more is sent... */
const MAX_UNANSWERED = 3
/** ...except one command after this time, in case the library has lost them. */
const LOST_AFTER_MS = 30_000

/** Dependencies and options of {@link ScriptRunner}. */
export interface ScriptRunnerParts {
  connection: Connection
  clock: Clock
  /** How long a call may take, milliseconds. */
  timeoutMs: number
  logger: () => Logger
  /** Called when a retry that {@link ScriptRunner.scheduleRetry} has scheduled is due. */
  onRetry: () => void
  /** Called after each call that failed. */
  onFailed: () => void
}

/**
 * Runs the script within `timeoutMs`, even if the client library has no connection. Knows whether Redis answers, and logs outages.
 */
export class ScriptRunner {
  readonly #parts: ScriptRunnerParts
  #outages: Outages | undefined
  #lastFailure: StoreError | undefined
  #triedAt = Number.NEGATIVE_INFINITY
  #sentAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  #unansweredCount = 0
  #retryTimer: Timer | undefined
  #isClosed = false

  constructor(parts: ScriptRunnerParts) {
    this.#parts = parts
  }

  /** For messages: `Redis at redis:6379`. */
  get place(): string {
    return `Redis at ${this.#parts.connection.address()}`
  }

  /** The failure of the last call, if it is less than a second ago: then nothing is sent. `undefined`: a call may be sent. */
  get failure(): StoreError | undefined {
    return this.#parts.clock.now() - this.#triedAt < PAUSE_MS ? this.#lastFailure : undefined
  }

  /** Allows the next call at once, however recently another one failed. */
  skipPause(): void {
    this.#triedAt = Number.NEGATIVE_INFINITY
  }

  /** Calls `onRetry` in a second, unless a call succeeds before. */
  scheduleRetry(): void {
    if (this.#isClosed) return
    this.#retryTimer ??= this.#parts.clock.setTimeout(() => {
      this.#retryTimer = undefined
      if (this.#lastFailure !== undefined) this.#parts.onRetry()
    }, PAUSE_MS)
  }

  /** Cancels the retry. Calls are possible until the process ends. */
  close(): void {
    this.#isClosed = true
    this.#retryTimer?.cancel()
    this.#retryTimer = undefined
  }

  /**
   * Runs the script.
   *
   * @param parse throws if the script cannot have made this answer
   * @throws {@link StoreError} after `timeoutMs` at the latest
   */
  async run<T>(keys: readonly string[], args: string[], parse: (answer: unknown) => T): Promise<T> {
    const { clock } = this.#parts
    this.#triedAt = clock.now()
    const isStuck = this.#unansweredCount >= MAX_UNANSWERED && clock.now() - this.#sentAt < LOST_AFTER_MS
    if (isStuck && this.#lastFailure !== undefined) throw this.#lastFailure
    try {
      const answer = parse(await this.#runInTime([...keys], args))
      this.#noteSuccess()
      return answer
    } catch (error) {
      throw this.#noteFailure(error, keys)
    }
  }

  #runInTime(keys: string[], args: string[]): Promise<unknown> {
    const { clock, timeoutMs } = this.#parts
    return new Promise((resolve, reject) => {
      let retry: Timer | undefined
      let lastError: unknown
      let isSettled = false
      const settle = (act: () => void): void => {
        if (isSettled) return
        isSettled = true
        timeout.cancel()
        retry?.cancel()
        act()
      }
      const timeout = clock.setTimeout(
        () => settle(() => reject(lastError ?? new Error(`no answer within ${timeoutMs} ms (timeoutMs)`))),
        timeoutMs,
      )
      const attempt = (isLoaded: boolean): void => {
        this.#send(keys, args, isLoaded).then(
          (answer) => settle(() => resolve(answer)),
          (error: unknown) => {
            if (isSettled) return
            if (startsWith(error, 'NOSCRIPT') && isLoaded) return attempt(false)
            if (!isMoving(error)) return settle(() => reject(error))
            lastError = error
            retry = clock.setTimeout(() => attempt(true), MOVING_RETRY_MS)
          },
        )
      }
      attempt(true)
    })
  }

  /** May be called twice for one batch: the script recognizes its number and applies it once. */
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

  #noteSuccess(): void {
    const { clock, connection } = this.#parts
    this.#lastFailure = undefined
    connection.forgetError()
    if (clock.now() - this.#failedAt >= QUIET_MS) this.#outages?.works(this.place)
  }

  #noteFailure(error: unknown, keys: readonly string[]): StoreError {
    const { clock, connection, logger, onFailed } = this.#parts
    const { message, reason, cause } = explain(error, {
      address: connection.address(),
      state: connection.state(),
      connectionError: connection.lastError(),
      secrets: connection.secrets(),
      keys,
    })
    const failure = new StoreError(message, { reason, cause })
    this.#triedAt = clock.now()
    this.#failedAt = clock.now()
    this.#lastFailure = failure
    const next = 'the store retries every second, and until then uses what this process knows'
    // The logger may be the client's, which is known only after the first use.
    this.#outages ??= new Outages({ clock, logger: logger() })
    // Each missing right gets a line. The same right may be missing at several lines of the script.
    const kind = reason === 'unwritable' ? message.replace(/user_script:\d+/g, '') : reason
    const line = reason === 'unavailable' ? `${message}; ${next}` : message
    this.#outages.failed(this.place, line, { key: keys[0], error: cause }, { level: 'error', cause: kind })
    onFailed()
    return failure
  }
}

/** Whether a cluster has the keys on two servers now. ioredis gives up after a number of redirections, which may take no time. */
const isMoving = (error: unknown): boolean => startsWith(error, 'TRYAGAIN') || startsWith(error, 'Too many Cluster redirections')

const startsWith = (error: unknown, prefix: string): boolean => error instanceof Error && error.message.startsWith(prefix)
