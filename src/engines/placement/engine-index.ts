import type { Random } from '../../runtime/random.ts'
import { loadWith } from '../../state/load.ts'
import type { EngineUsage } from '../../state/store.ts'
import type { EndedIds, EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'
import { IndexedEngine, IndexedNode, RANK_IN_NODE, RANK_OF_NODE } from './indexed-engine.ts'
import { LoadGroups } from './load-groups.ts'
import { countPeerStreams, MIN_UNSEEN_COUNT, type PeerSpread, pickFromGroups } from './peer-spread.ts'
import { Tournament } from './tournament.ts'
import { unnamedStreams } from './unnamed-streams.ts'

/** Dependencies and options of {@link EngineIndex}. */
export interface EngineIndexParts {
  snapshot: EngineSnapshot
  /** The slots that are taken now, by engine. */
  usage: ReadonlyMap<string, EngineUsage>
  /** When this client last took a slot on each engine. */
  usedAt: ReadonlyMap<string, number>
  endedIds: Pick<EndedIds, 'isOver'>
  ejectionPolicy: EjectionPolicy
  peers: PeerSpread
  random: Random
  /** Number of slots of each engine, free or taken. */
  limit: number
  /** Milliseconds. */
  settleMs: number
}

/** The engine at this position among the best engines of a node. */
const engineAt = ({ node }: IndexedEngine, position: number): IndexedEngine | undefined => node.ranking.at(position)

/** What one caller needs, see {@link EngineIndex.find}. */
export interface IndexFilter {
  readonly exclude: ReadonlySet<string>
  readonly allowUnhealthy: boolean
  /** The engines that have the caller's content. */
  readonly withContent?: ReadonlySet<string> | undefined
}

/**
 * The engines of one list, in an order that is kept up to date: finding the best engine reads only the engines that have changed since the
 * last caller. It finds the engines that `LinearRanking` finds by reading all of them; a test compares the two over random histories.
 *
 * Each VPN node has a ranking of its engines, and one ranking compares the best engines of the nodes. So a change of one engine, which also
 * changes the load of its node, moves no other engine. Report every change with {@link noteUsage}, {@link noteStream} or {@link noteUse}; it
 * reads the ejections by itself.
 */
export class EngineIndex {
  readonly snapshot: EngineSnapshot
  /** Changes whenever a fact of an engine changes. */
  changeCount: number = 0
  readonly #parts: EngineIndexParts
  readonly #byId = new Map<string, IndexedEngine>()
  /** The engine, or the engines, on which the list shows each stream. Made when the first stream changes. */
  #byStream: Map<string, IndexedEngine | IndexedEngine[]> | undefined
  readonly #nodes: IndexedNode[] = []
  readonly #best: Tournament<IndexedEngine>
  /** The engine that was found last: most often the next change is there. */
  #lastFound: IndexedEngine | undefined
  /** Engines whose facts have changed since the last choice. */
  #outdated: IndexedEngine[] = []
  /** Engines that are not settled, with the time when a slot was taken there. Earliest first. */
  #unsettled: { readonly indexed: IndexedEngine; readonly usedAt: number }[] = []
  #ejected: ReadonlySet<string> = new Set()
  #ejectionChanges = -1
  #ejectionsCheckedUntil = Number.NEGATIVE_INFINITY
  /** Streams that other proxies have started, of those that appeared in the last list. */
  #peerStreamCount = 0
  /** Made when other proxies start streams. */
  #groups: LoadGroups | undefined

  constructor(parts: EngineIndexParts) {
    const { snapshot, usage, usedAt, peers } = parts
    this.snapshot = snapshot
    this.#parts = parts
    const unnamed = unnamedStreams(snapshot)
    const vpnNodes = new Map<string | undefined, IndexedNode>()
    for (const engine of snapshot.engines) {
      const { containerId, vpnContainer } = engine
      const node = vpnNodes.get(vpnContainer) ?? new IndexedNode(this.#nodes.length, vpnContainer !== undefined)
      if (node.engines.length === 0) this.#nodes.push(node)
      vpnNodes.set(vpnContainer, node)
      const unnamedIds = unnamed.get(containerId)
      const facts = { engine, node, position: this.#byId.size, unnamedIds, appearedIds: peers.appearedOn(containerId) }
      const indexed = new IndexedEngine(facts)
      indexed.usage = usage.get(containerId)
      this.#byId.set(containerId, indexed)
      const used = usedAt.get(containerId)
      if (used !== undefined) indexed.usedAt = used
      this.#compute(indexed)
    }
    if (parts.settleMs > 0) this.#addUnsettled()
    for (const node of this.#nodes) {
      node.ranking = new Tournament(node.engines.length, RANK_IN_NODE)
      for (const indexed of node.engines) indexed.isRanked = this.#hasPlace(indexed)
      node.ranking.fill(node.engines.map((indexed) => (indexed.isRanked ? indexed : undefined)))
    }
    this.#best = new Tournament(this.#nodes.length, RANK_OF_NODE)
    this.#best.fill(
      this.#nodes.map(({ ranking }) => ranking.best),
      ({ node }) => node.ranking.bestCount,
    )
  }

  /** Number of engines in the list. */
  get size(): number {
    return this.#byId.size
  }

  /** The position of an engine in the list; `undefined` if the list does not show it. */
  positionOf(containerId: string): number | undefined {
    return this.#byId.get(containerId)?.position
  }

  /** The indexed engine of this id; `undefined` if the list does not show it. */
  get(containerId: string): IndexedEngine | undefined {
    return this.#lastFound?.containerId === containerId ? this.#lastFound : this.#byId.get(containerId)
  }

  /** When this client last took a slot on each engine. */
  *used(): Generator<[containerId: string, usedAt: number]> {
    for (const { containerId, usedAt } of this.#byId.values()) if (usedAt !== Number.NEGATIVE_INFINITY) yield [containerId, usedAt]
  }

  /** Records that the slots of an engine have changed. */
  noteUsage(containerId: string, usage: EngineUsage | undefined): void {
    const indexed = this.get(containerId)
    if (indexed === undefined) return
    indexed.usage = usage
    this.#markOutdated(indexed)
  }

  /** Records that a stream is over, or is no longer over. */
  noteStream(streamId: string): void {
    this.#byStream ??= this.#groupByStream()
    const found = this.#byStream.get(streamId)
    if (found instanceof IndexedEngine) this.#markOutdated(found)
    else for (const indexed of found ?? []) this.#markOutdated(indexed)
  }

  /** Records that this client took a slot on an engine of this index. */
  noteUse(indexed: IndexedEngine, now: number): void {
    indexed.usedAt = now
    if (this.#parts.settleMs > 0) {
      indexed.setUnsettled(true)
      this.#unsettled.push({ indexed, usedAt: now })
    }
    this.#markOutdated(indexed)
  }

  /**
   * The best engine that a caller can use and that has room, or one of them if several are equally good. `undefined`: there is none. While other
   * proxies start streams, one of the engines that they have probably filled least.
   */
  find({ exclude, allowUnhealthy, withContent }: IndexFilter, now: number): IndexedEngine | undefined {
    this.#update(now)
    if (exclude.size === 0 && withContent === undefined) {
      this.#lastFound = this.#pick(allowUnhealthy, now)
      return this.#lastFound
    }
    const setAside = this.#setAside(exclude)
    const standing = this.#best.best?.standing
    const others = this.#setAside(withContent ?? [])
    // If all engines of the best standing have the content, it makes no difference.
    if (this.#best.best?.standing === standing) setAside.push(...others)
    else this.#putBack(others)
    this.#lastFound = this.#pick(allowUnhealthy, now)
    this.#putBack(setAside)
    return this.#lastFound
  }

  /** The best engines that {@link find} finds one after the other, up to this number, without the engines in `except`. */
  findSome(filter: IndexFilter, now: number, count: number, except: ReadonlySet<string>): readonly IndexedEngine[] {
    const setAside = this.#setAside(except)
    const found: IndexedEngine[] = []
    while (found.length < count) {
      const best = this.find(filter, now)
      if (best === undefined) break
      found.push(best)
      setAside.push(...this.#setAside([best.containerId]))
    }
    this.#putBack(setAside)
    return found
  }

  /** Whether a caller can use this engine, apart from its load. */
  accepts(containerId: string, { exclude, allowUnhealthy }: IndexFilter, now: number): boolean {
    this.#updateEjected(now)
    const indexed = this.#byId.get(containerId)
    if (indexed === undefined || exclude.has(containerId)) return false
    return !(indexed.isDraining || indexed.isEjected || (indexed.isUnhealthy && !allowUnhealthy))
  }

  /** Reports the load of each engine of the list. */
  *loads(): Generator<[containerId: string, load: number]> {
    this.#updateOutdated()
    for (const [containerId, { load }] of this.#byId) yield [containerId, load]
  }

  #pick(allowUnhealthy: boolean, now: number): IndexedEngine | undefined {
    const { random, peers } = this.#parts
    const { best } = this.#best
    if (best === undefined || (best.isUnhealthy && !allowUnhealthy)) return undefined
    const unseenCount = peers.estimate(this.#peerStreamCount, now)
    if (unseenCount >= MIN_UNSEEN_COUNT && !best.isUnhealthy) {
      const found = pickFromGroups(this.#loadGroups().of(best.standing), unseenCount, random)
      if (found !== undefined) return found
    }
    const { bestCount } = this.#best
    // One number decides. Another one for the engine of a node could depend on the first, in a host's `random`.
    return bestCount === 1 ? best : this.#best.at(Math.floor(random() * bestCount), engineAt)
  }

  #loadGroups(): LoadGroups {
    if (this.#groups === undefined) {
      this.#groups = new LoadGroups()
      for (const indexed of this.#byId.values()) this.#groups.update(indexed)
    }
    return this.#groups
  }

  /** Takes these engines out of the ranking until {@link #putBack}. Returns those that were in it. */
  #setAside(containerIds: Iterable<string>): IndexedEngine[] {
    const taken: IndexedEngine[] = []
    for (const containerId of containerIds) {
      const indexed = this.#byId.get(containerId)
      if (indexed?.isRanked !== true) continue
      indexed.isSetAside = true
      taken.push(indexed)
      this.#rank(indexed)
    }
    return taken
  }

  #putBack(taken: readonly IndexedEngine[]): void {
    for (const indexed of taken) {
      indexed.isSetAside = false
      this.#rank(indexed)
    }
  }

  /** Brings the ranking up to date. */
  #update(now: number): void {
    if (this.#unsettled.length > 0) this.#settle(now)
    this.#updateEjected(now)
    this.#updateOutdated()
  }

  #updateOutdated(): void {
    if (this.#outdated.length === 0) return
    for (const indexed of this.#outdated) {
      indexed.isOutdated = false
      this.#compute(indexed)
      this.#rank(indexed)
    }
    this.#outdated.length = 0
  }

  #markOutdated(indexed: IndexedEngine): void {
    this.changeCount += 1
    if (indexed.isOutdated) return
    indexed.isOutdated = true
    this.#outdated.push(indexed)
  }

  /** Computes the load of an engine, and adds the change to its node. */
  #compute(indexed: IndexedEngine): void {
    if (indexed.mayReport) indexed.updateReported(this.#isOver)
    const load = loadWith(indexed.reportedStreamIds, indexed.usage)
    indexed.node.add(load - indexed.load)
    indexed.load = load
    if (indexed.appearedIds.length === 0) return
    const peerStreamCount = countPeerStreams(indexed.appearedIds, indexed.usage, this.#isOver)
    this.#peerStreamCount += peerStreamCount - indexed.peerStreamCount
    indexed.peerStreamCount = peerStreamCount
  }

  /** Updates the place of an engine in the ranking of its node, and the place of its node. */
  #rank(indexed: IndexedEngine): void {
    const { node, place } = indexed
    indexed.isRanked = this.#hasPlace(indexed)
    node.ranking.set(place, indexed.isRanked ? indexed : undefined)
    this.#best.set(node.place, node.ranking.best, node.ranking.bestCount)
    this.#groups?.update(indexed)
  }

  #hasPlace({ isDraining, load, isEjected, isSetAside }: IndexedEngine): boolean {
    return load < this.#parts.limit && !isDraining && !isEjected && !isSetAside
  }

  readonly #isOver = (streamId: string): boolean => this.#parts.endedIds.isOver(streamId, this.snapshot.sequence)

  /** The engines on which a slot was taken `settleMs` ago are settled now. */
  #settle(now: number): void {
    const settledBefore = now - this.#parts.settleMs
    let count = 0
    for (const { indexed, usedAt } of this.#unsettled) {
      if (usedAt > settledBefore) break
      count += 1
      if (indexed.usedAt > settledBefore) continue // another slot was taken since
      indexed.setUnsettled(false)
      this.#markOutdated(indexed)
    }
    if (count > 0) this.#unsettled.splice(0, count)
  }

  #addUnsettled(): void {
    const used = [...this.#byId.values()].filter(({ usedAt }) => usedAt !== Number.NEGATIVE_INFINITY)
    for (const indexed of used.sort((a, b) => a.usedAt - b.usedAt)) {
      indexed.setUnsettled(true) // until the next choice
      this.#unsettled.push({ indexed, usedAt: indexed.usedAt })
    }
  }

  #updateEjected(now: number): void {
    const { ejectionPolicy } = this.#parts
    if (ejectionPolicy.changeCount === this.#ejectionChanges && now < this.#ejectionsCheckedUntil) return
    const before = this.#ejected
    this.#ejected = ejectionPolicy.ejectedIn(this)
    this.#ejectionChanges = ejectionPolicy.changeCount
    this.#ejectionsCheckedUntil = ejectionPolicy.nextEndMs
    for (const containerId of [...before, ...this.#ejected]) {
      const indexed = this.#byId.get(containerId)
      if (indexed === undefined || indexed.isEjected === this.#ejected.has(containerId)) continue
      indexed.isEjected = !indexed.isEjected
      this.#markOutdated(indexed)
    }
  }

  #groupByStream(): Map<string, IndexedEngine | IndexedEngine[]> {
    const byStream = new Map<string, IndexedEngine | IndexedEngine[]>()
    for (const indexed of this.#byId.values()) {
      for (const streamId of indexed.engine.streamIds) {
        const found = byStream.get(streamId)
        byStream.set(streamId, found === undefined ? indexed : [found, indexed].flat())
      }
    }
    return byStream
  }
}
