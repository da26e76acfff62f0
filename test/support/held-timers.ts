import { vi } from 'vitest'

/** Timers that fire when the test says so. */
export interface HeldTimers {
  /** How many timers were armed so far, including cancelled ones. */
  readonly armed: number
  /** Fires all timers that are armed now, in the order in which they were armed. */
  fire(): void
}

/** A delay that is longer than any test. */
export const HELD_MS = 77_777_777

/**
 * Holds every timer of this process whose delay is `delayMs`, until the test ends. A test of a time-out over real sockets fires the timer
 * after the request has arrived, so a slow machine cannot change the result.
 */
export function holdTimers(delayMs: number = HELD_MS): HeldTimers {
  const held = new Map<unknown, () => void>()
  const { setTimeout: arm, clearTimeout: cancel } = globalThis
  let armed = 0
  const arming = (callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): unknown => {
    const isHeld = ms === delayMs
    const timer = arm(callback, isHeld ? HELD_MS : ms, ...args)
    if (isHeld) {
      armed += 1
      held.set(timer, () => callback(...args))
    }
    return timer
  }
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(arming as typeof setTimeout)
  vi.spyOn(globalThis, 'clearTimeout').mockImplementation((timer) => {
    held.delete(timer)
    cancel(timer)
  })
  return {
    get armed() {
      return armed
    },
    fire() {
      const due = [...held]
      held.clear()
      for (const [timer, callback] of due) {
        cancel(timer as NodeJS.Timeout)
        callback()
      }
    },
  }
}
