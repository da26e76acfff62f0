/** A timer that was armed with {@link Clock.setTimeout}. */
export interface Timer {
  /** Disarms the timer; harmless once it has fired. */
  cancel(): void
}

/**
 * The only source of time in this library. Whatever waits, expires, backs off or times out asks it, so a host can run the
 * whole client on virtual time (see `ManualClock` in `acestream-orchestrator-client/testing`).
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /**
   * Calls `callback` once, `delayMs` milliseconds from now.
   *
   * @param options `keepsAlive`: somebody waits for this, so the process should not end before; a clock need not heed it. Default: it may
   */
  setTimeout(callback: () => void, delayMs: number, options?: { readonly keepsAlive?: boolean }): Timer
}

/** `setTimeout` fires at once for anything longer than this. */
const LONGEST_TIMER_MS = 2_147_483_647

/** The system's time. Its timers are unref'd where the platform can, but for those somebody waits for: an idle client never keeps a host alive. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }

  setTimeout(callback: () => void, delayMs: number, { keepsAlive = false }: { readonly keepsAlive?: boolean } = {}): Timer {
    const handle: unknown = globalThis.setTimeout(callback, Math.min(delayMs, LONGEST_TIMER_MS))
    // Node, Bun and Deno's node timers are objects; a browser's is a number.
    if (!keepsAlive && typeof handle === 'object' && handle !== null && 'unref' in handle && typeof handle.unref === 'function')
      handle.unref()
    return { cancel: () => globalThis.clearTimeout(handle as Parameters<typeof globalThis.clearTimeout>[0]) }
  }
}
