import { type EngineEntry, expectEnginePatch, type FakeEngine, type FakeEnginePatch, healthAt } from './engine-entry.ts'
import type { Generation } from './generation.ts'

/** Returns a snapshot of an engine for tests. */
export function engineSnapshot(generation: Generation, engine: EngineEntry, nowMs: number): FakeEngine {
  const snapshot = {
    containerId: engine.containerId,
    containerName: engine.containerName,
    host: engine.host,
    port: engine.port,
    labels: Object.freeze({ ...engine.labels }),
    healthStatus: healthAt(engine, nowMs),
    forwarded: engine.forwarded,
    draining: engine.draining,
    streamIds: Object.freeze([...engine.live.keys()]),
    streamCount: generation === 'v1' ? engine.driftingCount : engine.live.size,
  }
  return Object.freeze(engine.vpnContainer === null ? snapshot : { ...snapshot, vpnContainer: engine.vpnContainer })
}

/** Changes fields of an engine. */
export function patchEngine(engine: EngineEntry, patch: FakeEnginePatch, now: number): void {
  expectEnginePatch(patch)
  const { containerName, host, port, labels, healthStatus, forwarded, vpnContainer, draining } = patch
  if (containerName !== undefined) engine.containerName = containerName
  if (host !== undefined) engine.host = host
  if (port !== undefined) engine.port = port
  if (labels !== undefined) engine.labels = { ...labels }
  if (forwarded !== undefined) engine.forwarded = forwarded
  if (vpnContainer !== undefined) engine.vpnContainer = vpnContainer
  if (draining !== undefined) engine.draining = draining
  if (healthStatus !== undefined) {
    engine.healthStatus = healthStatus
    engine.healthyAtMs = null
    engine.lastHealthCheck = healthStatus === 'unknown' ? null : now
  }
}
