import type { Core } from './core.ts'
import type { EngineEntry } from './engine-entry.ts'

/** 2025-10 looks this often whether the containers of its list are still there. */
const MONITOR_INTERVAL_MS = 10_000

/** An engine's container is gone; what becomes of its entry and its streams is each generation's own (hazard 10). */
export function vanish(core: Core, engine: EngineEntry): void {
  engine.real = false
  switch (core.settings.generation) {
    case '2025-10':
      expectMonitor(core)
      return
    case '2026-04':
      core.book.engines.delete(engine.containerId)
      failOver(core, engine)
      return
    case 'v1':
      // Its streams stay `started`, for ever, on an engine that is no longer listed.
      core.book.engines.delete(engine.containerId)
      core.onEngineGone()
  }
}

/** 2025-10: whatever is listed without a container goes with the next round of the monitor, and its streams with it (hazards 8, 10). */
export function expectMonitor(core: Core): void {
  const sinceStart = core.clock.now() - core.startedAtMs
  core.after(MONITOR_INTERVAL_MS - (sinceStart % MONITOR_INTERVAL_MS), () => {
    for (const engine of [...core.book.engines.values()]) {
      if (engine.real) continue
      core.book.engines.delete(engine.containerId)
      for (const stream of [...engine.live.values()]) core.book.end(stream, core.stamps.next(), { by: 'orchestrator' }, true)
    }
  })
}

/** 2026-04: the streams move to the engine with the fewest; with none left they wait as `pending_failover`. */
function failOver(core: Core, gone: EngineEntry): void {
  for (const stream of [...gone.live.values()]) {
    const target = leastLoaded(core)
    if (target === undefined) {
      stream.status = 'pending_failover'
    } else {
      core.book.move(stream, target)
      target.hasFigures = true
    }
  }
}

function leastLoaded(core: Core): EngineEntry | undefined {
  let best: EngineEntry | undefined
  for (const engine of core.book.engines.values()) {
    if (engine.real && (best === undefined || engine.live.size < best.live.size)) best = engine
  }
  return best
}
