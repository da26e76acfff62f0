import type { Engine } from 'acestream-orchestrator-client'
import type { ActiveSession, Activity } from './activity.ts'
import { addressName, engineName } from './names.ts'

/** The state of one slot. `reserved`: a session is being opened. `other`: another proxy uses it. */
export type Slot = 'own' | 'reserved' | 'other' | 'free'

/** An engine with its slots. */
export interface EngineTile {
  /** Identifies the tile in the page. */
  readonly id: string
  readonly name: string
  /** `null`: the engine is not listed. */
  readonly health: Engine['healthStatus'] | null
  readonly isDraining: boolean
  /** Used slots first. */
  readonly slots: readonly Slot[]
  /** `undefined` if there is no limit. */
  readonly limit: number | undefined
}

/**
 * Combines the engine list, which shows the streams of all proxies and is a little old, with the sessions of this proxy. An engine with a
 * session gets a tile even if it is not listed: the fallback engine is never listed, and an engine that vanished is not listed any more.
 *
 * @param limit maximum number of streams per engine
 */
export function engineTiles(
  engines: readonly Engine[],
  activity: Pick<Activity, 'sessions' | 'contentOf'>,
  limit: number | undefined,
): readonly EngineTile[] {
  const byEngine = new Map<string, ActiveSession[]>()
  for (const session of activity.sessions) {
    const id = idOf(session)
    const others = byEngine.get(id)
    if (others === undefined) byEngine.set(id, [session])
    else others.push(session)
  }
  const listed = engines.map((engine): EngineTile => {
    const own = byEngine.get(engine.containerId) ?? []
    byEngine.delete(engine.containerId)
    const { containerId: id, healthStatus: health, draining: isDraining } = engine
    // A list may still show streams of this proxy that have ended.
    const othersCount = engine.streamIds.filter((streamId) => activity.contentOf(streamId) === undefined).length
    return { id, name: engineName(engine), health, isDraining, limit, slots: slotsOf(own, othersCount, limit) }
  })
  const unlisted = Array.from(byEngine, ([id, own]): EngineTile => {
    const engine = own[0]?.engine
    const name = engine === undefined ? id : addressName(engine)
    return { id, name, health: null, isDraining: false, limit: undefined, slots: slotsOf(own, 0, undefined) }
  })
  return [...listed, ...unlisted]
}

function idOf({ engine }: ActiveSession): string {
  return engine.containerId || addressName(engine)
}

function slotsOf(own: readonly ActiveSession[], othersCount: number, limit: number | undefined): readonly Slot[] {
  const reservedCount = own.filter(({ state }) => state === 'opening').length
  const used = [...slots(own.length - reservedCount, 'own'), ...slots(reservedCount, 'reserved'), ...slots(othersCount, 'other')]
  return [...used, ...slots(Math.max(0, (limit ?? 0) - used.length), 'free')]
}

function slots(count: number, slot: Slot): readonly Slot[] {
  return Array.from({ length: count }, () => slot)
}
