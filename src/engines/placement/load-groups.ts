import type { IndexedEngine } from './indexed-engine.ts'

const NO_GROUPS: ReadonlyMap<number, readonly IndexedEngine[]> = new Map()

/** The healthy engines of a list that have room, grouped by standing and load. Each change moves one engine. */
export class LoadGroups {
  readonly #byStanding = new Map<number, Map<number, IndexedEngine[]>>()
  readonly #groupOf = new Map<IndexedEngine, { readonly group: IndexedEngine[]; readonly standing: number; readonly load: number }>()

  /** Puts an engine into its group, or removes it if it is not ranked or not healthy. Call it when one of these facts has changed. */
  update(indexed: IndexedEngine): void {
    const { standing, load } = indexed
    const before = this.#groupOf.get(indexed)
    const belongs = indexed.isRanked && !indexed.isUnhealthy
    if (belongs && before?.standing === standing && before.load === load) return
    if (before !== undefined) this.#remove(indexed, before)
    if (!belongs) return
    const groups = this.#byStanding.get(standing) ?? new Map<number, IndexedEngine[]>()
    this.#byStanding.set(standing, groups)
    const group = groups.get(load) ?? []
    groups.set(load, group)
    indexed.positionInGroup = group.push(indexed) - 1
    this.#groupOf.set(indexed, { group, standing, load })
  }

  /** The groups of a standing, by load. */
  of(standing: number): ReadonlyMap<number, readonly IndexedEngine[]> {
    return this.#byStanding.get(standing) ?? NO_GROUPS
  }

  #remove(indexed: IndexedEngine, { group, standing, load }: { group: IndexedEngine[]; standing: number; load: number }): void {
    const last = group.pop()
    if (last !== undefined && last !== indexed) {
      group[indexed.positionInGroup] = last
      last.positionInGroup = indexed.positionInGroup
    }
    if (group.length === 0) this.#byStanding.get(standing)?.delete(load)
    this.#groupOf.delete(indexed)
  }
}
