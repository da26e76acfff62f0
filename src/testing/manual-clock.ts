import { InvalidArgumentError } from '../errors.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { turn } from '../runtime/turn.ts'
import { type TimerEntry, TimerHeap } from './timer-heap.ts'

/** Turns of the event loop before time moves on: a promise chain may pass through a few macrotasks (streams, imports) of its own. */
const TURNS_TO_REST = 3
const DEFAULT_START_MS = Date.UTC(2026, 0, 1)

/**
 * A {@link Clock} that stands still until told to move. Give it to the client and to the fake orchestrator, and hours pass in
 * milliseconds, the same way every time. Its wall clock can be set while time stands still, as an operator or NTP does:
 * {@link setWallClock}, {@link stepWallClock}.
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
  /** Never goes back; also what timers are armed on. */
  #nowMs: number
  /** How far the wall clock was set ahead of that. */
  #wallAheadMs = 0
  #sequence = 0
  readonly #timers = new TimerHeap()

  /**
   * @param startMs what both clocks show first, milliseconds since the epoch; default 2026-01-01
   * @throws {@link InvalidArgumentError} where it is no finite number
   */
  constructor(startMs: number = DEFAULT_START_MS) {
    if (!Number.isFinite(startMs)) throw new InvalidArgumentError('startMs', 'a finite number of milliseconds since the epoch')
    this.#nowMs = startMs
  }

  /** Milliseconds since the epoch, by the wall clock. */
  now(): number {
    return this.#nowMs + this.#wallAheadMs
  }

  /** Milliseconds that only `advance()` moves: setting the wall clock changes nothing here. */
  monotonic(): number {
    return this.#nowMs
  }

  /**
   * Sets the wall clock to `epochMs`, milliseconds since the epoch, forward or back. No time passes: no timer fires, and each timer that is
   * armed still fires after the same delay.
   */
  setWallClock(epochMs: number): void {
    if (!Number.isFinite(epochMs)) throw new RangeError(`epochMs: expected a finite number of milliseconds, got ${epochMs}`)
    this.#wallAheadMs = epochMs - this.#nowMs
  }

  /** As {@link setWallClock}, by `deltaMs` milliseconds; negative: back. */
  stepWallClock(deltaMs: number): void {
    if (!Number.isFinite(deltaMs)) throw new RangeError(`deltaMs: expected a finite number of milliseconds, got ${deltaMs}`)
    this.#wallAheadMs += deltaMs
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    // As the platform's: a delay that is no number, or negative, is none.
    const delay = delayMs > 0 ? delayMs : 0
    const entry: TimerEntry = { dueMs: this.#nowMs + delay, sequence: this.#sequence++, callback, cancelled: false }
    this.#timers.push(entry)
    return { cancel: () => this.#timers.cancel(entry) }
  }

  /** Timers armed and not yet fired. */
  get pendingCount(): number {
    return this.#timers.size
  }

  /** When the next timer is due, milliseconds since the epoch by the wall clock as it is now; `undefined` if none is armed. */
  get nextDueMs(): number | undefined {
    const next = this.#timers.peek()
    return next && next.dueMs + this.#wallAheadMs
  }

  /**
   * Moves time on by `ms`. Due timers fire in order of time, those of the same time in the order they were armed, including such
   * as are armed on the way; before the first, after each and after the last, pending promise chains run until they rest.
   * An error thrown by a callback is thrown here after all due timers have fired; several come as one `AggregateError`.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`ms: expected a number of milliseconds, 0 or more, got ${ms}`)
    const errors: unknown[] = []
    await this.settle()
    const untilMs = this.#nowMs + ms
    for (let next = this.#timers.peek(); next !== undefined && next.dueMs <= untilMs; next = this.#timers.peek()) {
      this.#timers.pop()
      // Two overlapping calls of advance() must not turn time back.
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

  /** Lets pending promise chains run until they rest; no time passes. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < TURNS_TO_REST; turns++) await turn()
  }
}
