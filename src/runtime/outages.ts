import type { Logger } from './logger.ts'

/** What the outages are logged with. */
export interface OutagesParts {
  logger: Logger
  clock: { now(): number }
}

/** Levels by how much they ask of an operator. An `error` asks for something to be changed. */
const RANKS = { debug: 0, warn: 1, error: 2 } as const

interface Outage {
  readonly since: number
  failureCount: number
  failedAt: number
  /** Since the last failure. */
  successCount: number
  /** A success came since the last failure; the outage is over at this time, unless it fails again before. */
  overAt: number
  /** The causes that were logged. */
  readonly causes: Map<string, number>
}

/** How a failure is logged. */
export interface FailureOptions {
  /** @default 'warn' */
  level?: keyof typeof RANKS
  /** Another cause within one outage is logged too, once. @default '' */
  cause?: string
}

/** So many successes in a row end an outage, however short ago the last failure was. */
const ENOUGH_SUCCESSES = 10

const NEVER = Number.POSITIVE_INFINITY

/** Further causes share one line: a server that answers with a new text each time must not fill the log. */
const MOST_CAUSES = 20

/**
 * Log lines of trouble that lasts: one when it begins, and one when it is over, however many viewers meet it meanwhile. Each kind of work has
 * an outage of its own. What is not logged is logged at debug.
 */
export class Outages {
  readonly #parts: OutagesParts
  readonly #outages = new Map<string, Outage>()

  constructor(parts: OutagesParts) {
    this.#parts = parts
  }

  /**
   * This kind of work failed: logged the first time, and again only for another `cause` or at a higher level.
   *
   * @param work as {@link works} names it in its line: `Reading the engine list`
   */
  failed(work: string, message: string, fields: object, { level = 'warn', cause = '' }: FailureOptions = {}): void {
    const { logger, clock } = this.#parts
    const now = clock.now()
    if (now >= (this.#outages.get(work)?.overAt ?? now + 1)) this.#end(work)
    const outage = this.#outages.get(work) ?? {
      since: now,
      failureCount: 0,
      successCount: 0,
      failedAt: now,
      overAt: NEVER,
      causes: new Map(),
    }
    this.#outages.set(work, outage)
    outage.failureCount += 1
    outage.failedAt = now
    outage.successCount = 0
    outage.overAt = NEVER
    if ((outage.causes.get(cause) ?? -1) >= RANKS[level] || outage.causes.size >= MOST_CAUSES) {
      logger.debug(message, fields)
      return
    }
    outage.causes.set(cause, RANKS[level])
    logger[level](message, fields)
  }

  /**
   * This kind of work succeeded: if it had failed, that is over.
   *
   * @param quietMs only if it did not fail in this time, or succeeds ten times in a row: some of it may fail while other work succeeds
   */
  works(work: string, quietMs = 0): void {
    const outage = this.#outages.get(work)
    if (outage === undefined) return
    outage.successCount += 1
    outage.overAt = outage.failedAt + quietMs
    if (this.#parts.clock.now() >= outage.overAt || outage.successCount >= ENOUGH_SUCCESSES) this.#end(work)
  }

  #end(work: string): void {
    const outage = this.#outages.get(work)
    if (outage === undefined) return
    this.#outages.delete(work)
    const { since, failureCount } = outage
    this.#parts.logger.info(`${work} works again`, { failureCount, durationMs: this.#parts.clock.now() - since })
  }
}
