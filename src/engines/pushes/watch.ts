import { OrchestratorError, RequestTimeoutError, ResponseError } from '../../errors.ts'
import { isRefusal, type PushSource } from '../../orchestrator/push-source.ts'
import { pause } from '../../runtime/abort.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { Watchdog } from '../../runtime/periodic.ts'
import type { Random } from '../../runtime/random.ts'
import { believedWaitMs } from '../../runtime/retry.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { EngineList } from '../list/engine-list.ts'
import { PushIntake } from './push-intake.ts'
import type { PushOrder } from './push-order.ts'
import { ServerTime } from './server-time.ts'

/** What the watch is built from. */
export interface PushWatchParts {
  source: PushSource
  order: PushOrder
  engineList: EngineList
  sequence: Sequence
  clock: Clock
  random: Random
  logger: Logger
  /** Whether to watch at all. */
  watch: boolean
  /** Whether callers wait for an engine: the connection stays open as long. */
  isNeeded: () => boolean
}

/** Without an acquire for so long, the connection is closed: pushes come whether or not anybody wants them. */
const IDLE_MS = 60_000
/** A connection that brought no list that is up to date for so long is given up for another one. */
const SILENT_MS = 5_000
/** How long the first push is waited for before lists are asked for meanwhile. */
const FIRST_PUSH_MS = 1_000
/** Where there is no event stream there will be none in a minute either. */
const REFUSED_MS = 600_000
const BASE_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000
/** A connection that lasted so long was a good one: the next attempt is a first one again. */
const STABLE_MS = 10_000

/**
 * Keeps the engine list fresh from v1's pushes, while engines are being acquired. Whatever goes wrong here costs nobody anything but the
 * requests that are made without it: nothing waits for it, and nothing it does rejects.
 */
export class PushWatch {
  readonly #parts: PushWatchParts
  readonly #idle: Watchdog
  readonly #time: ServerTime
  #running: AbortController | undefined
  #isClosed = false
  #refusedUntil = Number.NEGATIVE_INFINITY

  constructor(parts: PushWatchParts) {
    this.#parts = parts
    this.#idle = new Watchdog(parts.clock, IDLE_MS, () => (parts.isNeeded() ? this.#idle.feed() : this.#stop()))
    this.#time = new ServerTime(parts)
    // The first list tells which generation this is. And a push has to be newer than the list it replaces, so the connection comes after.
    parts.engineList.onRefresh(() => this.#open())
  }

  /** An engine is being acquired: opens the connection where there is none, and keeps it open for 60 s more. */
  touch(): void {
    if (!this.#parts.watch || this.#isClosed) return
    this.#idle.feed()
    if (!this.#parts.engineList.isBusy) this.#open()
  }

  /** Ends the connection at once, for good. */
  close(): void {
    this.#isClosed = true
    this.#idle.stop()
    this.#stop()
  }

  #open(): void {
    const { source, clock } = this.#parts
    if (!this.#idle.isAwake || this.#running !== undefined || clock.now() < this.#refusedUntil || !source.isOffered) return
    this.#running = new AbortController()
    void this.#run(this.#running)
  }

  #stop(): void {
    this.#running?.abort()
    this.#running = undefined
  }

  async #run(running: AbortController): Promise<void> {
    const { source, clock, random } = this.#parts
    const { signal } = running
    try {
      for (let failures = 0; source.isOffered; ) {
        const openedAt = clock.now()
        const retryAfterMs = await this.#connect(signal)
        failures = clock.now() - openedAt >= STABLE_MS ? 0 : failures + 1
        const delayMs = random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failures)
        await pause(clock, Math.max(delayMs, retryAfterMs), signal)
      }
    } catch {
      // Stopped, or refused: there is nothing more to do.
    }
    if (this.#running === running) this.#running = undefined
  }

  /**
   * One connection, from its request to its end. Answers how long the orchestrator asks to be left alone, milliseconds, at most 60 s.
   *
   * @throws when it was stopped or refused
   */
  async #connect(stopped: AbortSignal): Promise<number> {
    const { source, order, clock, logger, engineList } = this.#parts
    const connection = new AbortController()
    const stop = (): void => connection.abort(stopped.reason)
    stopped.addEventListener('abort', stop, { once: true })
    const silence = new Watchdog(clock, SILENT_MS, () => {
      connection.abort(new RequestTimeoutError(`The event stream told nothing of use for ${SILENT_MS} ms`, { timeoutMs: SILENT_MS }))
    })
    const onCurrent = (): void => silence.feed()
    const onDoubtful = (): void => this.#time.ask(connection.signal)
    const intake = new PushIntake({ ...this.#parts, onCurrent, onDoubtful })
    silence.feed()
    order.connecting()
    engineList.expectPush(clock.now() + FIRST_PUSH_MS)
    try {
      await source.listen(connection.signal, (lists) => intake.take(lists))
      return 0
    } catch (error) {
      if (stopped.aborted) throw error
      const { code, message } = error instanceof OrchestratorError ? error : { code: 'UNKNOWN', message: String(error) }
      if (isRefusal(error)) {
        logger.info('There is no event stream to be had; engine lists are asked for', { code, message, againInMs: REFUSED_MS })
        this.#refusedUntil = clock.now() + REFUSED_MS
        throw error
      }
      logger.debug('The event stream broke off; engine lists are asked for until there is another', { code, message })
      return error instanceof ResponseError ? believedWaitMs(error.retryAfterMs ?? 0) : 0
    } finally {
      silence.stop()
      engineList.expectPush(Number.NEGATIVE_INFINITY)
      stopped.removeEventListener('abort', stop)
      connection.abort()
    }
  }
}
