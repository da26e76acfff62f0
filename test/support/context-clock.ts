import { AsyncResource } from 'node:async_hooks'
import type { Clock, Timer } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'

/** A manual clock whose timers run in the asynchronous context in which they were armed, as those of the platform do. */
export class ContextClock implements Clock {
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    return this.#clock.setTimeout(AsyncResource.bind(callback), delayMs)
  }
}
