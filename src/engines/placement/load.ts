import type { Candidate, Engine } from '../../model/engine.ts'
import type { EndedHere } from '../../state/ended-here.ts'
import type { EngineUsage, SlotCandidate } from '../../state/store.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'

/** What decides who is a candidate. */
export interface LoadView {
  snapshot: EngineSnapshot
  usage: ReadonlyMap<string, EngineUsage>
  endedHere: EndedHere
  /** Made for a stream without a readable id, so that it counts as one; random, so that it is the id of no other. */
  unnamedId: string
  /** When an engine was last given out here, milliseconds since the epoch. */
  usedAt: ReadonlyMap<string, number>
}

type ReportView = Pick<LoadView, 'snapshot' | 'endedHere' | 'unnamedId'>

/**
 * The streams an engine is reported to have, less those that are over here. A stream whose entry was left out is load too, whatever its id:
 * otherwise the engine would get one stream too many.
 */
function reportedStreams(engine: Engine, { snapshot, endedHere, unnamedId }: ReportView): string[] {
  const reported = engine.streamIds.filter((streamId) => !endedHere.isOver(streamId, snapshot.sequence))
  snapshot.unreadable?.streams.forEach(({ id, containerId }, index) => {
    if (containerId === engine.containerId) reported.push(id ?? `${unnamedId}/${index}`)
  })
  return reported
}

/** What a store goes by; made as far as it looks. */
export function* slotCandidates(engines: Iterable<Engine>, view: ReportView): Generator<SlotCandidate> {
  for (const engine of engines) yield { containerId: engine.containerId, reportedStreamIds: reportedStreams(engine, view) }
}

/**
 * How many slots of an engine are taken: the union of the ids reported there and those live here, plus leases. A union, not a sum: a
 * stream seen from both sides counts once, and neither a lagging list nor a fast one opens a gap.
 */
function loadOf(engine: Engine, view: LoadView): number {
  const usage = view.usage.get(engine.containerId)
  let load = (usage?.leaseCount ?? 0) + (usage?.streamIds.size ?? 0)
  for (const streamId of reportedStreams(engine, view)) if (!usage?.streamIds.has(streamId)) load += 1
  return load
}

/** How many slots of each listed engine are taken, in the order of the list. */
export function loadsOf(view: LoadView): number[] {
  return view.snapshot.engines.map((engine) => loadOf(engine, view))
}

/** The engines that have room, with what their order goes by. */
export function candidatesOf(view: LoadView, loads: readonly number[], limit: number, isOut: (engine: Engine) => boolean): Candidate[] {
  const vpnLoads = new Map<string, number>()
  view.snapshot.engines.forEach(({ vpnContainer }, index) => {
    if (vpnContainer !== undefined) vpnLoads.set(vpnContainer, (vpnLoads.get(vpnContainer) ?? 0) + (loads[index] ?? 0))
  })
  return view.snapshot.engines.flatMap((engine, index) => {
    const load = loads[index] ?? 0
    if (load >= limit || engine.draining || isOut(engine)) return []
    const vpnLoad = engine.vpnContainer === undefined ? 0 : (vpnLoads.get(engine.vpnContainer) ?? 0)
    const lastUsedAt = Math.max(engine.lastStreamUsage?.getTime() ?? 0, view.usedAt.get(engine.containerId) ?? 0)
    return [{ engine, load, vpnLoad, lastUsedAt }]
  })
}
