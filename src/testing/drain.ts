import type { Core } from './core.ts'
import type { EngineEntry } from './engine-entry.ts'
import { vanish } from './vanish.ts'

/** How long a container takes to stop. */
export const STOP_MS = 8_000

/**
 * An engine is to go (hazard 21): it stays listed as `draining`, with its streams, until its container has stopped, and then
 * vanishes. The Python generations show nothing of it before that.
 */
export function drain(core: Core, engine: EngineEntry, stopAfterMs: number): void {
  if (engine.draining) return
  engine.draining = true
  engine.drainReason = 'manual deletion'
  core.after(stopAfterMs, () => {
    if (core.book.engines.get(engine.containerId) === engine) vanish(core, engine)
  })
}
