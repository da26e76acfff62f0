import type { Core } from '../core.ts'
import type { EngineEntry } from '../engine-entry.ts'
import { type FakeResponse, jsonResponse } from '../http.ts'

const STREAMS_PER_ENGINE = 2
/** An engine is not assigned again within this time. */
const ASSIGN_PAUSE_MS = 5_000

/** `GET /internal/proxy/select-engine` of port 8083: claims a slot that only a start releases (H22). */
export function selectEngine(core: Core): FakeResponse {
  const nowMs = core.clock.now()
  const load = (engine: EngineEntry): number => engine.driftingCount + engine.claims
  let best: EngineEntry | undefined
  for (const engine of core.records.engines.values()) {
    const isPaused = engine.lastAssigned !== null && nowMs - engine.lastAssigned / 1000 < ASSIGN_PAUSE_MS
    if (engine.draining || isPaused || load(engine) >= STREAMS_PER_ENGINE) continue
    if (best === undefined || load(engine) < load(best)) best = engine
  }
  if (best === undefined) return jsonResponse(503, { error: `no eligible engine (total=${core.records.engines.size})` })
  best.claims++
  best.lastAssigned = core.stamps.next()
  return jsonResponse(200, {
    api_port: best.apiPort,
    container_id: best.containerId,
    control_mode: 'api',
    forwarded: best.forwarded,
    host: best.host,
    max_streams_per_engine: STREAMS_PER_ENGINE,
    pacing_bitrate_multiplier: 1.5,
    port: best.port,
    proxy_prebuffer_seconds: 3,
    stream_mode: 'TS',
  })
}
