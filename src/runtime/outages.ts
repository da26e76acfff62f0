import type { Logger } from './logger.ts'

/** Dependencies of {@link Outages}. */
export interface OutagesParts {
  logger: Logger
  clock: { now(): number }
}

/** The levels of a failure, in order. An `error` needs a change by an operator. */
const RANKS = { debug: 0, warn: 1, error: 2 } as const

/** How {@link Outages.failed} logs a failure. */
export interface FailureOptions {
  /** @default 'warn' */
  level?: keyof typeof RANKS
  /** Each cause is logged once per outage. @default '' */
  cause?: string
}

interface OpenOutage {
  readonly startedAt: number
  failureCount: number
  failedAt: number
  /** Successes since the last failure. */
  successCount: number
  /** When the outage is over, if nothing fails until then. Infinite until a success follows the last failure. */
  overAt: number
  /** The rank at which each cause was logged. */
  readonly loggedRanks: Map<string, number>
}

/** This many successes in a row end an outage, even if the last failure is recent. */
const ENOUGH_SUCCESSES = 10

/** More causes of one outage are logged at `debug`: a server whose message differs each time must not fill the log. */
const MAX_CAUSES = 20

/**
 * Logs a failure that lasts with two lines, however many calls it affects: one when it begins, and one, with its length, when it is over.
 * Each kind of work has its own outage. Repeated failures are logged at `debug`.
 */
export class Outages {
  readonly #parts: OutagesParts
  readonly #outages = new Map<string, OpenOutage>()

  constructor(parts: OutagesParts) {
    this.#parts = parts
  }

  /**
   * Records that this kind of work failed. Logs `message` and `fields` the first time, and again only for another `cause` or a higher
   * level.
   *
   * @param work the kind of work, as a noun that also begins the line of its recovery: `Reading the engine list`
   * @param message what failed, for what, and what happens next
   */
  failed(work: string, message: string, fields: object, { level = 'warn', cause = '' }: FailureOptions = {}): void {
    const { logger, clock } = this.#parts
    const now = clock.now()
    if (now >= (this.#outages.get(work)?.overAt ?? Number.POSITIVE_INFINITY)) this.#end(work)
    const outage = this.#outages.get(work) ?? beginOutage(now)
    this.#outages.set(work, outage)
    outage.failureCount += 1
    outage.failedAt = now
    outage.successCount = 0
    outage.overAt = Number.POSITIVE_INFINITY
    if ((outage.loggedRanks.get(cause) ?? -1) >= RANKS[level] || outage.loggedRanks.size >= MAX_CAUSES) {
      logger.debug(message, fields)
      return
    }
    outage.loggedRanks.set(cause, RANKS[level])
    logger[level](message, fields)
  }

  /**
   * Records that this kind of work succeeded. If it had failed, the outage is over, and that is logged: `Reading the engine list works
   * again`.
   *
   * @param quietMs the outage is over only this long after its last failure, or after ten successes in a row. For work of which a part may
   *   fail while another part succeeds @default 0
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
    const { startedAt, failureCount } = outage
    this.#parts.logger.info(`${work} works again`, { failureCount, durationMs: this.#parts.clock.now() - startedAt })
  }
}

function beginOutage(now: number): OpenOutage {
  return {
    startedAt: now,
    failureCount: 0,
    successCount: 0,
    failedAt: now,
    overAt: Number.POSITIVE_INFINITY,
    loggedRanks: new Map(),
  }
}
