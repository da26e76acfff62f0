import { OrchestratorError, RequestTimeoutError, ResponseError } from '../../errors.ts'
import { isRefusal, type PushSource } from '../../orchestrator/push-source.ts'
import { pause } from '../../runtime/abort.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Random } from '../../runtime/random.ts'
import { capWaitMs } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import { Watchdog } from '../../runtime/timers.ts'
import type { EngineList } from '../list/engine-list.ts'
import { PushIntake, type PushOrder } from './push-order.ts'

/** Dependencies and options of {@link PushWatch}. */
export interface PushWatchParts {
  source: PushSource
  order: PushOrder
  engineList: EngineList
  sequence: Sequence
  clock: Clock
  random: Random
  logger: Logger
  /** The host's option: whether to connect. */
  watch: boolean
  /** Whether callers wait for an engine: the connection stays open while they do. */
  isNeeded: () => boolean
}

/** The connection is closed after this time without an acquire: v1 pushes every second, needed or not. */
const IDLE_MS = 60_000
/** A connection that delivers no complete and fresh list for this long is replaced. */
const SILENT_MS = 5_000
/** How long callers wait for the first push of a connection instead of requesting a list. */
const FIRST_PUSH_MS = 1_000
/** If the orchestrator offers no event stream, the client tries again after this time. */
const REFUSED_MS = 600_000
const BASE_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000
/** After a connection that lasted this long, the delays start from the shortest again. */
const STABLE_MS = 10_000
/** Shortest time between two requests for the time. It is shorter than a pushed list is fresh (3 s). */
const TIME_INTERVAL_MS = 2_000

/**
 * Keeps the engine list fresh with v1's pushes while engines are being acquired. It is optional: without pushes, the client requests lists. No
 * other part waits for it, and nothing rejects.
 */
export class PushWatch {
  readonly #parts: PushWatchParts
  readonly #idle: Watchdog
  #connection: AbortController | undefined
  #isClosed = false
  #refusedUntil = Number.NEGATIVE_INFINITY
  #timeNotBefore = Number.NEGATIVE_INFINITY

  constructor(parts: PushWatchParts) {
    this.#parts = parts
    this.#idle = new Watchdog(parts.clock, IDLE_MS, () => (parts.isNeeded() ? this.#idle.feed() : this.#stop()))
    // Connect after the first list: it shows the generation of the orchestrator, and a push must be newer than the list that it replaces.
    parts.engineList.onRefresh(() => this.#open())
  }

  /** Opens the connection if there is none, and keeps it open for 60 s more. Call when an engine is acquired. */
  touch(): void {
    if (!this.#parts.watch || this.#isClosed) return
    this.#idle.feed()
    if (!this.#parts.engineList.isBusy) this.#open()
  }

  /** Closes the connection at once and for good. */
  close(): void {
    this.#isClosed = true
    this.#idle.stop()
    this.#stop()
  }

  #open(): void {
    const { source, clock } = this.#parts
    if (!this.#idle.isAwake || this.#connection !== undefined || clock.now() < this.#refusedUntil || !source.isOffered) return
    this.#connection = new AbortController()
    void this.#keepConnected(this.#connection)
  }

  #stop(): void {
    this.#connection?.abort()
    this.#connection = undefined
  }

  /** Connects again after each connection that ends, until it is stopped or refused. */
  async #keepConnected(connection: AbortController): Promise<void> {
    const { source, clock, random } = this.#parts
    const { signal } = connection
    try {
      for (let failures = 0; source.isOffered; ) {
        const openedAt = clock.now()
        const retryAfterMs = await this.#connect(signal)
        failures = clock.now() - openedAt >= STABLE_MS ? 0 : failures + 1
        const delayMs = random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failures)
        await pause(clock, Math.max(delayMs, retryAfterMs), signal)
      }
    } catch {
      // Stopped or refused.
    }
    if (this.#connection === connection) this.#connection = undefined
  }

  /**
   * Makes one connection, and receives its pushes until it ends.
   *
   * @returns how long the orchestrator asks to wait before the next one, milliseconds, at most 60 s
   * @throws if the connection was stopped or refused
   */
  async #connect(stopped: AbortSignal): Promise<number> {
    const { source, order, clock, logger, engineList } = this.#parts
    const connection = new AbortController()
    const stop = (): void => connection.abort(stopped.reason)
    stopped.addEventListener('abort', stop, { once: true })
    const silence = new Watchdog(clock, SILENT_MS, () => {
      const message = `The event stream brought no complete and fresh list for ${SILENT_MS} ms`
      connection.abort(new RequestTimeoutError(message, { timeoutMs: SILENT_MS }))
    })
    const onCurrent = (): void => silence.feed()
    const onDoubtful = (): void => void this.#requestTime(connection.signal)
    const intake = new PushIntake({ ...this.#parts, onCurrent, onDoubtful })
    silence.feed()
    order.beginConnection()
    engineList.expectPush(clock.now() + FIRST_PUSH_MS)
    try {
      await source.listen(connection.signal, (lists) => intake.take(lists))
      return 0
    } catch (error) {
      if (stopped.aborted) throw error
      const { code, message } = error instanceof OrchestratorError ? error : { code: 'UNKNOWN', message: String(error) }
      if (isRefusal(error)) {
        logger.info('The orchestrator offers no event stream; engine lists are requested instead', { code, message, againInMs: REFUSED_MS })
        this.#refusedUntil = clock.now() + REFUSED_MS
        throw error
      }
      logger.debug('The event stream broke off; engine lists are requested until it is connected again', { code, message })
      return error instanceof ResponseError ? capWaitMs(error.retryAfterMs ?? 0) : 0
    } finally {
      silence.stop()
      engineList.expectPush(clock.now())
      stopped.removeEventListener('abort', stop)
      connection.abort()
    }
  }

  /**
   * Requests the time of the clock that stamps the pushes: lists that are pushed later then count as complete. Neither answers to ends nor
   * requested lists of v1 have a stamp. One small request every 2 s replaces two large requests. Never rejects.
   */
  async #requestTime(signal: AbortSignal): Promise<void> {
    const { source, order, sequence, clock } = this.#parts
    const now = clock.now()
    if (now < this.#timeNotBefore) return
    this.#timeNotBefore = Number.POSITIVE_INFINITY // one request at a time
    const number = sequence.next()
    let isRefused = false
    try {
      order.addAnchor(number, await source.time({ signal }))
    } catch (error) {
      // If refused, do not request the time again: the first list of the next connection is complete too.
      isRefused = isRefusal(error)
    }
    if (!isRefused) this.#timeNotBefore = now + TIME_INTERVAL_MS
  }
}
