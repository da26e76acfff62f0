/** A timer that was armed with {@link Clock.setTimeout}. */
export interface Timer {
  /** Disarms the timer; harmless once it has fired. */
  cancel(): void
}

/**
 * The only source of time in this library. Whatever waits, expires, backs off or times out asks it, so a host can run the
 * whole client on virtual time (see `ManualClock` in `acestream-orchestrator-client/testing`; `describeClock` there proves one).
 */
export interface Clock {
  /** Milliseconds since the epoch, by the wall clock. It may be set forward or back at any time. */
  now(): number
  /**
   * Milliseconds since any fixed point in time. Never goes back, and a wall clock that is set changes nothing here (`performance.now()`). The
   * client measures all intervals with it. Optional: without it the client counts the time between two readings of `now()`, where a step
   * back counts as no time passed and a step forward as time passed.
   */
  monotonic?: (() => number) | undefined
  /**
   * Calls `callback` once, `delayMs` milliseconds from now.
   *
   * @param options `keepsAlive`: keep the process alive until this timer fires or is cancelled; a clock may ignore it. @default false
   */
  setTimeout(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean | undefined }): Timer
}

/** `setTimeout` fires at once for anything longer than this. */
const LONGEST_TIMER_MS = 2_147_483_647

/**
 * The system's time. Its intervals do not depend on the wall clock. Its timers are unref'd where the platform can, unless they ask for
 * `keepsAlive`.
 */
export class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }

  /** Whole milliseconds since the process started. */
  monotonic(): number {
    return Math.floor(performance.now())
  }

  setTimeout(callback: () => void, delayMs: number, { keepsAlive = false }: { readonly keepsAlive?: boolean | undefined } = {}): Timer {
    let handle: unknown
    const arm = (leftMs: number): void => {
      const onDue = leftMs > LONGEST_TIMER_MS ? () => arm(leftMs - LONGEST_TIMER_MS) : callback
      handle = globalThis.setTimeout(onDue, Math.min(leftMs, LONGEST_TIMER_MS))
      // Node, Bun and Deno's node timers are objects; a browser's is a number.
      if (!keepsAlive && typeof handle === 'object' && handle !== null && 'unref' in handle && typeof handle.unref === 'function')
        handle.unref()
    }
    arm(delayMs)
    return { cancel: () => globalThis.clearTimeout(handle as Parameters<typeof globalThis.clearTimeout>[0]) }
  }
}

/** The default clock: one object, so that the clients and stores of a process share its time. */
export const systemClock: SystemClock = new SystemClock()
