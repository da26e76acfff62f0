import { InvalidArgumentError } from '../errors.ts'
import { loadChunks } from '../runtime/chunk.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { waitOneTurn } from '../runtime/clock.ts'
import { type TimerEntry, TimerHeap } from './timer-heap.ts'

/** Turns of the event loop that `settle()` waits: a promise chain may need a few macrotasks (streams, imports). */
const SETTLE_TURNS = 3
const DEFAULT_START_MS = Date.UTC(2026, 0, 1)

/**
 * A {@link Clock} that moves only when a test calls {@link advance}. Pass the same clock to the client and to the fake orchestrator:
 * hours pass in milliseconds, and every run is the same. {@link setWallClock} and {@link stepWallClock} set its wall clock, as an operator
 * or NTP does.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
 *
 * const clock = new ManualClock()
 * const client = new OrchestratorClient({ baseUrl, clock, transport: new FakeOrchestrator({ clock }) })
 * const acquiring = client.acquireEngine()
 * await clock.advance(30_000)
 */
export class ManualClock implements Clock {
  /** The monotonic time, on which timers are armed. */
  #nowMs: number
  /** Difference of the wall clock from the monotonic time. */
  #wallAheadMs = 0
  #sequence = 0
  readonly #timers = new TimerHeap()

  /**
   * @param startMs the first time of both clocks, milliseconds since the epoch; default 2026-01-01
   * @throws {@link InvalidArgumentError} if `startMs` is no finite number
   */
  constructor(startMs: number = DEFAULT_START_MS) {
    if (!Number.isFinite(startMs)) throw new InvalidArgumentError('startMs', 'a finite number of milliseconds since the epoch')
    this.#nowMs = startMs
  }

  /** Returns the wall clock time, milliseconds since the epoch. */
  now(): number {
    return this.#nowMs + this.#wallAheadMs
  }

  /** Returns the monotonic time in milliseconds. Only `advance()` moves it; setting the wall clock does not. */
  monotonic(): number {
    return this.#nowMs
  }

  /**
   * Sets the wall clock to `epochMs`, milliseconds since the epoch, forward or back. No time passes: no timer fires, and the remaining
   * delay of each timer stays the same.
   *
   * @throws `RangeError` if `epochMs` is no finite number
   */
  setWallClock(epochMs: number): void {
    if (!Number.isFinite(epochMs)) throw new RangeError(`epochMs: expected a finite number of milliseconds, got ${epochMs}`)
    this.#wallAheadMs = epochMs - this.#nowMs
  }

  /**
   * Moves the wall clock by `deltaMs` milliseconds; a negative number moves it back.
   *
   * @throws `RangeError` if `deltaMs` is no finite number
   */
  stepWallClock(deltaMs: number): void {
    if (!Number.isFinite(deltaMs)) throw new RangeError(`deltaMs: expected a finite number of milliseconds, got ${deltaMs}`)
    this.#wallAheadMs += deltaMs
  }

  /** Arms a timer that fires during an `advance()`, `delayMs` milliseconds from now. */
  setTimeout(callback: () => void, delayMs: number): Timer {
    // Like the platform's setTimeout: a negative delay, or one that is no number, counts as 0.
    const delay = delayMs > 0 ? delayMs : 0
    const entry: TimerEntry = { dueMs: this.#nowMs + delay, sequence: this.#sequence++, callback, cancelled: false }
    this.#timers.push(entry)
    return { cancel: () => this.#timers.cancel(entry) }
  }

  /** Number of timers that are armed. */
  get pendingCount(): number {
    return this.#timers.size
  }

  /** When the next timer is due by the present wall clock, milliseconds since the epoch; `undefined` if none is armed. */
  get nextDueMs(): number | undefined {
    const next = this.#timers.peek()
    return next && next.dueMs + this.#wallAheadMs
  }

  /**
   * Moves the time forward by `ms` milliseconds. Timers that become due fire in order of due time, then in the order in which they were
   * armed; this includes timers that are armed on the way. Pending promise chains run to their end before the first timer and after each.
   *
   * @throws `RangeError` if `ms` is negative or no number; after all due timers have fired, the error that a callback threw, or an
   * `AggregateError` if several threw
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`ms: expected a number of milliseconds, 0 or more, got ${ms}`)
    const errors: unknown[] = []
    await this.settle()
    const untilMs = this.#nowMs + ms
    for (let next = this.#timers.peek(); next !== undefined && next.dueMs <= untilMs; next = this.#timers.peek()) {
      this.#timers.pop()
      // An overlapping advance() may already have moved the time further: never move it back.
      if (next.dueMs > this.#nowMs) this.#nowMs = next.dueMs
      try {
        next.callback()
      } catch (error) {
        errors.push(error)
      }
      await this.settle()
    }
    if (untilMs > this.#nowMs) this.#nowMs = untilMs
    if (errors.length === 1) throw errors[0]
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} timer callbacks threw`)
  }

  /** Runs pending promise chains to their end. No time passes. */
  async settle(): Promise<void> {
    await loadChunks()
    for (let turns = 0; turns < SETTLE_TURNS; turns++) await waitOneTurn()
  }
}
