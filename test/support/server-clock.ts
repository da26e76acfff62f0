import type { Clock } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'

/** The clock of an orchestrator on another machine: time passes with `clock`, and setting the wall clock there changes nothing here. */
export function serverClock(clock: ManualClock, aheadMs = 0): Clock {
  return { now: () => clock.monotonic() + aheadMs, setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs) }
}
