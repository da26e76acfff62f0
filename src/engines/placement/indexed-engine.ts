import type { Engine } from '../../model/engine.ts'
import type { EngineUsage, SlotCandidate } from '../../state/store.ts'
import { isUnhealthy } from './ranking.ts'
import { type RankOf, Tournament } from './tournament.ts'

/** No id: shared by all engines without streams, so that they need no list of their own. */
const NONE: readonly string[] = Object.freeze([])

/** The ranking of a node until all its engines are known. */
const NO_RANKING = new Tournament<IndexedEngine>(0, { length: 0, write() {} })

/** A VPN node of a list with its engines; or all engines that have none, whose loads are not added up. */
export class IndexedNode {
  /** Its place among the nodes of the list. */
  readonly place: number
  readonly #isVpn: boolean
  readonly engines: IndexedEngine[] = []
  /** The slots that are taken on all its engines. */
  load = 0
  /** Decides among its engines that have room. */
  ranking: Tournament<IndexedEngine> = NO_RANKING

  constructor(place: number, isVpn: boolean) {
    this.place = place
    this.#isVpn = isVpn
  }

  /** Adds the change of the load of one of its engines. */
  add(change: number): void {
    if (this.#isVpn) this.load += change
  }
}

/** The facts of an engine that no caller changes. */
export interface EngineFacts {
  readonly engine: Engine
  readonly node: IndexedNode
  /** Its position in the list. */
  readonly position: number
  /** Stand for the streams there whose entries could not be read. */
  readonly unnamedIds: readonly string[] | undefined
  /** Streams there that appeared in the last list. */
  readonly appearedIds: readonly string[] | undefined
}

/** An engine of a list, with all facts that decide about its rank. */
export class IndexedEngine {
  readonly engine: Engine
  readonly node: IndexedNode
  readonly position: number
  readonly unnamedIds: readonly string[]
  readonly appearedIds: readonly string[]
  /** Its place among the engines of its node. */
  readonly place: number
  readonly containerId: string
  readonly isUnhealthy: boolean
  readonly isDraining: boolean
  /** Whether the list reports streams there. */
  readonly mayReport: boolean
  /** 0: its VPN forwards a port to it. 1: it does not. */
  readonly forwardingRank: number
  /** When a stream last ran on it by the list, milliseconds since the epoch. */
  readonly listedUseMs: number
  /** The slots that are taken on it. `undefined`: none. */
  usage: EngineUsage | undefined = undefined
  /** The streams that the list reports there and that count: those that are not over. */
  reportedStreamIds: readonly string[] = NONE
  /** Slots that are taken. */
  load = 0
  /** Streams of {@link appearedIds} that other proxies have started. */
  peerStreamCount = 0
  /** When this client last took a slot on it, milliseconds by the client's clock. */
  usedAt: number = Number.NEGATIVE_INFINITY
  /**
   * The group in which it competes. A lower one is always better: healthy engines before unhealthy ones, and among those with the same health
   * engines on which no slot was taken a moment ago.
   */
  standing: number
  isEjected = false
  /** Whether the caller that is choosing now cannot use it. */
  isSetAside = false
  /** Whether its facts must be computed again before the next choice. */
  isOutdated = false
  /** Whether it is in the ranking. */
  isRanked = false
  /** Its position in its group of `LoadGroups`. */
  positionInGroup: number = -1

  constructor({ engine, node, position, unnamedIds = NONE, appearedIds = NONE }: EngineFacts) {
    this.engine = engine
    this.node = node
    this.position = position
    this.unnamedIds = unnamedIds
    this.appearedIds = appearedIds
    this.place = node.engines.length
    this.containerId = engine.containerId
    this.isUnhealthy = isUnhealthy({ engine })
    this.isDraining = engine.draining
    this.mayReport = engine.streamIds.length + unnamedIds.length > 0
    this.forwardingRank = engine.forwarded ? 0 : 1
    this.standing = this.isUnhealthy ? 2 : 0
    this.listedUseMs = Math.max(engine.lastStreamUsage?.getTime() ?? 0, 0)
    node.engines.push(this)
  }

  /** When a stream last ran on it, by this client or by the list. */
  get lastUsedAt(): number {
    return Math.max(this.listedUseMs, this.usedAt)
  }

  /** Records whether a slot was taken on it within the last `settleMs`. */
  setUnsettled(isUnsettled: boolean): void {
    this.standing = (this.isUnhealthy ? 2 : 0) + (isUnsettled ? 1 : 0)
  }

  /** The engine for the store. */
  get candidate(): SlotCandidate {
    return { containerId: this.containerId, reportedStreamIds: this.reportedStreamIds }
  }

  /** Finds the streams that count. */
  updateReported(isOver: (streamId: string) => boolean): void {
    const { streamIds } = this.engine
    const reported = streamIds.some(isOver) ? streamIds.filter((streamId) => !isOver(streamId)) : streamIds
    this.reportedStreamIds = this.unnamedIds.length === 0 ? reported : reported.concat(this.unnamedIds)
  }
}

/**
 * The rank of an engine among the engines of its node, as the built-in ranking has it. The load of the node is left out: it is the same for all
 * of them, and changes with each.
 */
export const RANK_IN_NODE: RankOf<IndexedEngine> = {
  length: 4,
  write({ standing, load, forwardingRank, lastUsedAt }, ranks, start) {
    ranks[start] = standing
    ranks[start + 1] = load
    ranks[start + 2] = forwardingRank
    ranks[start + 3] = lastUsedAt
  },
}

/** The rank of a node by its best engine. */
export const RANK_OF_NODE: RankOf<IndexedEngine> = {
  length: 5,
  write({ standing, load, node, forwardingRank, lastUsedAt }, ranks, start) {
    ranks[start] = standing
    ranks[start + 1] = load
    ranks[start + 2] = node.load
    ranks[start + 3] = forwardingRank
    ranks[start + 4] = lastUsedAt
  },
}
