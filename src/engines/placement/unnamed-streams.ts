import { makeRandomId } from '../../runtime/random.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'

/** Part of the ids that stand for streams that are listed without a readable id. It is random, so that no real stream has such an id. */
const UNNAMED = makeRandomId()

/**
 * The ids of the streams whose entries could not be read, by engine. An unreadable id is replaced. These streams count as load: otherwise the
 * engine would get one stream too many.
 */
export function unnamedStreams({ unreadable }: EngineSnapshot): ReadonlyMap<string, readonly string[]> {
  const byEngine = new Map<string, string[]>()
  for (const [index, { containerId, id = `${UNNAMED}/${index}` }] of (unreadable?.streams ?? []).entries()) {
    if (containerId === undefined) continue
    const ids = byEngine.get(containerId)
    if (ids === undefined) byEngine.set(containerId, [id])
    else ids.push(id)
  }
  return byEngine
}
