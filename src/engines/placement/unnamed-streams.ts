import { makeRandomId } from '../../runtime/random.ts'
import type { EngineSnapshot } from '../list/snapshot.ts'

/**
 * Part of the ids that stand for streams that are listed without a readable id. It is random, so that no real stream has such an id. Made when it is
 * first needed: Node.js takes 10 ms to load its cryptography, which an `import` of this package must not cost.
 */
let unnamed: string | undefined

/**
 * The ids of the streams whose entries could not be read, by engine. An unreadable id is replaced. These streams count as load: otherwise the
 * engine would get one stream too many.
 */
export function unnamedStreams({ unreadable }: EngineSnapshot): ReadonlyMap<string, readonly string[]> {
  const byEngine = new Map<string, string[]>()
  for (const [index, { containerId, id: named }] of (unreadable?.streams ?? []).entries()) {
    if (containerId === undefined) continue
    unnamed ??= makeRandomId()
    const id = named ?? `${unnamed}/${index}`
    const ids = byEngine.get(containerId)
    if (ids === undefined) byEngine.set(containerId, [id])
    else ids.push(id)
  }
  return byEngine
}
