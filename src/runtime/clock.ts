/** A timer that was armed with {@link Clock.setTimeout}. */
export interface Timer {
  /** Disarms the timer. Does nothing if the timer has fired. */
  cancel(): void
}

/**
 * The only source of time in this library: every delay, expiry, backoff and time-out uses it. A host can therefore run the whole client on
 * virtual time, with `ManualClock` of `acestream-orchestrator-client/testing`. Test a clock of your own with `describeClock` of the same
 * module.
 */
export interface Clock {
  /** The wall clock: milliseconds since the epoch. It may be set forward or back at any time. */
  now(): number
  /**
   * Milliseconds since an arbitrary fixed time, for example `performance.now()`. It never goes back, and a change of the wall clock does
   * not affect it. The client measures all intervals with it.
   *
   * Optional. Without it the client subtracts two readings of `now()`: a step back counts as no time, a step forward as time that passed.
   */
  monotonic?: (() => number) | undefined
  /**
   * Calls `callback` once, after `delayMs` milliseconds.
   *
   * @param options `keepsAlive`: whether the process stays alive until this timer fires or is cancelled; a clock may ignore it. @default
   *   false
   */
  setTimeout(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean | undefined }): Timer
}

/** The longest delay that the platform's `setTimeout` accepts. It fires at once for a longer one. */
const MAX_TIMER_MS = 2_147_483_647

/**
 * Reads the time of the system. Its intervals do not depend on the wall clock. Its timers do not keep the process alive, unless they have
 * the option `keepsAlive`; in browsers this makes no difference.
 *
 * @example
 * import { KyTransport, OrchestratorClient, SystemClock } from 'acestream-orchestrator-client'
 *
 * const clock = new SystemClock()
 * const client = new OrchestratorClient({ baseUrl, clock, transport: new KyTransport({ clock }) })
 */
export class SystemClock implements Clock {
  /** The wall clock: milliseconds since the epoch. */
  now(): number {
    return Date.now()
  }

  /** Whole milliseconds since the process started. */
  monotonic(): number {
    return Math.floor(performance.now())
  }

  /**
   * Calls `callback` once, after `delayMs` milliseconds.
   *
   * @param callback runs once
   * @param delayMs more than 24 days work too
   * @param options `keepsAlive`: whether the process stays alive until this timer fires or is cancelled. @default false
   */
  setTimeout(callback: () => void, delayMs: number, { keepsAlive = false }: { readonly keepsAlive?: boolean | undefined } = {}): Timer {
    let handle: unknown
    const arm = (leftMs: number): void => {
      const onDue = leftMs > MAX_TIMER_MS ? () => arm(leftMs - MAX_TIMER_MS) : callback
      handle = globalThis.setTimeout(onDue, Math.min(leftMs, MAX_TIMER_MS))
      // On Node, Bun and Deno a timer is an object. In a browser it is a number.
      if (!keepsAlive && typeof handle === 'object' && handle !== null && 'unref' in handle && typeof handle.unref === 'function')
        handle.unref()
    }
    arm(delayMs)
    return { cancel: () => globalThis.clearTimeout(handle as Parameters<typeof globalThis.clearTimeout>[0]) }
  }
}

/** The default clock. One object, so that all clients and stores of a process share its time. */
export const systemClock: SystemClock = new SystemClock()

/**
 * Read when this module loads: a test runner that fakes the global timers later does not fake this one. Node, Bun and Deno have
 * `setImmediate`; a time-out of 0 ms replaces it elsewhere.
 */
const schedule: (callback: () => void) => void =
  typeof globalThis.setImmediate === 'function'
    ? globalThis.setImmediate.bind(globalThis)
    : (callback) => void globalThis.setTimeout(callback, 0)

/** Resolves after one turn of the event loop. By then, all promise chains that need no timer and no I/O have run to their end. */
export function waitOneTurn(): Promise<void> {
  return new Promise((resolve) => schedule(resolve))
}
