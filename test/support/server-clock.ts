import type { Clock } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'

/** The clock of an orchestrator on another machine. It advances together with `clock`, but a step of that clock's wall clock does not move it. */
export function serverClock(clock: ManualClock, aheadMs = 0): Clock {
  return { now: () => clock.monotonic() + aheadMs, setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs) }
}
