import { OrchestratorError, RequestTimeoutError, ResponseError } from '../../errors.ts'
import { isRefusal, PushSource } from '../../orchestrator/push-source.ts'
import type { Wire } from '../../orchestrator/wire.ts'
import { pause } from '../../runtime/abort.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Random } from '../../runtime/random.ts'
import { capWaitMs } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import { Watchdog } from '../../runtime/timers.ts'
import type { EngineList } from '../list/engine-list.ts'
import { FIRST_PUSH_MS } from '../list/freshness.ts'
import { PushIntake } from './push-intake.ts'
import type { PushOrder } from './push-order.ts'

/** Dependencies of {@link PushConnection}. */
export interface PushConnectionParts {
  order: PushOrder
  engineList: EngineList
  sequence: Sequence
  clock: Clock
  random: Random
  logger: Logger
}

/** A connection that delivers no complete and fresh list for this long is replaced. */
const SILENT_MS = 5_000
/** If the orchestrator offers no event stream, the client tries again after this time. */
const REFUSED_MS = 600_000
const BASE_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000
/** After a connection that lasted this long, the delays start from the shortest again. */
const STABLE_MS = 10_000
/** Shortest time between two requests for the time. It is shorter than a pushed list is fresh (3 s). */
const TIME_INTERVAL_MS = 2_000

/** Receives v1's pushes. It is loaded when the first connection is opened: see `PushWatch`. */
export class PushConnection {
  readonly #parts: PushConnectionParts
  readonly #source: PushSource
  #refusedUntil = Number.NEGATIVE_INFINITY
  #timeNotBefore = Number.NEGATIVE_INFINITY

  constructor(parts: PushConnectionParts, { requester, dialects, reports }: Wire) {
    this.#parts = parts
    this.#source = new PushSource(requester, dialects, reports)
  }

  /**
   * Connects, again after each connection that ends, until `signal` aborts or the orchestrator refuses. Never rejects.
   *
   * @returns the time before which a new attempt is useless, by the client's clock
   */
  async keep(signal: AbortSignal): Promise<number> {
    const { clock, random } = this.#parts
    try {
      signal.throwIfAborted()
      for (let failures = 0; this.#source.isOffered; ) {
        const openedAt = clock.now()
        const retryAfterMs = await this.#connect(signal)
        failures = clock.now() - openedAt >= STABLE_MS ? 0 : failures + 1
        const delayMs = random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failures)
        await pause(clock, Math.max(delayMs, retryAfterMs), signal)
      }
    } catch {
      // Stopped or refused.
    }
    return this.#refusedUntil
  }

  /**
   * Makes one connection, and receives its pushes until it ends.
   *
   * @returns how long the orchestrator asks to wait before the next one, milliseconds, at most 60 s
   * @throws if the connection was stopped or refused
   */
  async #connect(stopped: AbortSignal): Promise<number> {
    const { order, clock, logger, engineList } = this.#parts
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
      await this.#source.listen(connection.signal, (lists) => intake.take(lists))
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
    const { order, sequence, clock } = this.#parts
    const now = clock.now()
    if (now < this.#timeNotBefore) return
    this.#timeNotBefore = Number.POSITIVE_INFINITY // one request at a time
    const number = sequence.next()
    let isRefused = false
    try {
      order.addAnchor(number, await this.#source.time({ signal }))
    } catch (error) {
      // If refused, do not request the time again: the first list of the next connection is complete too.
      isRefused = isRefusal(error)
    }
    if (!isRefused) this.#timeNotBefore = now + TIME_INTERVAL_MS
  }
}
