import { AsyncResource } from 'node:async_hooks'
import type { Clock } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'

/** This manual clock with timers that run in the asynchronous context in which they were armed, as those of the platform do. */
export function contextClock(clock: ManualClock): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimeout: (callback, delayMs) => clock.setTimeout(AsyncResource.bind(callback), delayMs),
  }
}
