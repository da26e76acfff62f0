import type { Core } from './core.ts'
import type { EngineEntry } from './engine-entry.ts'
import { vanish } from './vanish.ts'

/** Default duration of a container's stop. */
export const STOP_MS = 8_000

/**
 * Removes an engine (H21): it stays listed as `draining`, with its streams, until its container has stopped, and then vanishes. The Python
 * generations do not show that it is draining.
 */
export function drain(core: Core, engine: EngineEntry, stopAfterMs: number): void {
  if (engine.draining) return
  engine.draining = true
  engine.drainReason = 'manual deletion'
  core.after(stopAfterMs, () => {
    if (core.records.engines.get(engine.containerId) === engine) vanish(core, engine)
  })
}
