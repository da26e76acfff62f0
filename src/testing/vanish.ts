import type { Core } from './core.ts'
import type { EngineEntry } from './engine-entry.ts'

/** Interval at which 2025-10 checks whether the containers of its engines still exist. */
const MONITOR_INTERVAL_MS = 10_000

/** Makes the container of an engine vanish. Each generation treats the engine and its streams differently (H10). */
export function vanish(core: Core, engine: EngineEntry): void {
  engine.real = false
  switch (core.settings.generation) {
    case '2025-10':
      scheduleMonitorRound(core)
      return
    case '2026-04':
      core.records.engines.delete(engine.containerId)
      failOver(core, engine)
      return
    case 'v1':
      // Its streams stay `started` for ever, on an engine that is no longer listed.
      core.records.engines.delete(engine.containerId)
      core.onEngineGone()
  }
}

/** 2025-10: the next round of the monitor removes engines without a container and ends their streams (H8, H10). */
export function scheduleMonitorRound(core: Core): void {
  const sinceStart = core.clock.now() - core.startedAtMs
  core.after(MONITOR_INTERVAL_MS - (sinceStart % MONITOR_INTERVAL_MS), () => {
    for (const engine of [...core.records.engines.values()]) {
      if (engine.real) continue
      core.records.engines.delete(engine.containerId)
      for (const stream of [...engine.live.values()]) core.records.end(stream, core.stamps.next(), { by: 'orchestrator' }, true)
    }
  })
}

/** 2026-04: the streams move to the engine with the fewest streams. If no engine is left, they wait as `pending_failover`. */
function failOver(core: Core, gone: EngineEntry): void {
  for (const stream of [...gone.live.values()]) {
    const target = leastLoaded(core)
    if (target === undefined) {
      stream.status = 'pending_failover'
    } else {
      core.records.move(stream, target)
      target.hasFigures = true
    }
  }
}

function leastLoaded(core: Core): EngineEntry | undefined {
  let best: EngineEntry | undefined
  for (const engine of core.records.engines.values()) {
    if (engine.real && (best === undefined || engine.live.size < best.live.size)) best = engine
  }
  return best
}
