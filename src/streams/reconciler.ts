import type { Directory } from '../engines/directory.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { Sequence } from '../state/sequence.ts'
import type { StreamRegistry } from './registry.ts'

/** How our live streams compare with the orchestrator's. All are stream ids. */
export interface ReconcileReport {
  /** Live here, and listed on the engine we put them on. */
  readonly confirmed: readonly string[]
  /** Live here, not listed there, though their engine is. */
  readonly missing: readonly string[]
  /** Live here, but their engine is listed no more. */
  readonly engineGone: readonly string[]
  /** Live here, and listed on another engine. */
  readonly moved: readonly string[]
}

/** What the reconciler is built from. */
export interface ReconcilerParts {
  api: OrchestratorApi
  directory: Directory
  registry: StreamRegistry
  sequence: Sequence
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** Compares our live streams with the orchestrator's. It tells; it changes nothing. */
export class Reconciler {
  readonly #parts: ReconcilerParts

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
  }

  async reconcile(): Promise<ReconcileReport> {
    const { api, directory, registry, sequence, lifetime } = this.#parts
    // A stream that is announced while we look may be in neither list; it is judged next time.
    const live = registry.liveStreams.filter((stream) => stream.state === 'live')
    const [{ engines }, streams] = await Promise.all([
      directory.get({ newerThan: sequence.current }),
      api.listStreams({ status: 'started' }, { signal: lifetime }),
    ])
    const listedEngines = new Set(engines.map((engine) => engine.containerId))
    const engineOf = new Map(streams.map((stream) => [stream.id, stream.containerId]))
    const report = { confirmed: [] as string[], missing: [] as string[], engineGone: [] as string[], moved: [] as string[] }
    for (const { id, engine, isLive } of live) {
      if (!isLive) continue // ended while we looked
      const listedOn = engineOf.get(id)
      if (listedOn !== undefined && listedOn === engine.containerId && listedEngines.has(listedOn)) report.confirmed.push(id)
      else if (listedOn !== undefined && listedEngines.has(listedOn)) report.moved.push(id)
      else if (engine.containerId !== undefined && listedEngines.has(engine.containerId)) report.missing.push(id)
      else report.engineGone.push(id)
    }
    return report
  }
}
