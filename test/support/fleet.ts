import {
  type JournalEntry,
  MemoryStore,
  type OrchestratorClient,
  type StateStore,
  StoreError,
  type Transport,
} from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { isOtherLife } from '../../src/state/bounded-id-set.ts'
import { connect } from './setup.ts'

/** Longer without a sign of life, and a process is dead. */
const TTL_MS = 15_000

/** A state that several processes share, and that survives each of them; on virtual time. */
class SharedState {
  readonly memory = new MemoryStore()
  readonly journal = new Map<string, { owner: number; entry: JournalEntry }>()
  readonly slotOwners = new Map<string, number>()
  readonly seenAt = new Map<number, number>()
  readonly listeners = new Map<number, Set<(settledStreamId?: string) => void>>()
  isAway = false
  #members = 0

  /** The store of one process. `isDead`: it does nothing any more. */
  join(clock: ManualClock): StateStore & { isDead: boolean } {
    const { memory, journal, slotOwners, seenAt, listeners } = this
    this.#members += 1
    const me = this.#members
    const hold = new Set<string>()
    const answer = async <T>(act: () => T): Promise<T> => {
      await Promise.resolve()
      if (store.isDead) return new Promise<never>(() => {})
      return act()
    }
    const freed = (settledStreamId?: string): void => {
      for (const [member, own] of listeners) if (member !== me) for (const listener of own) listener(settledStreamId)
    }
    const store: StateStore & { isDead: boolean } = {
      isDead: false,
      renewIntervalMs: TTL_MS / 3,
      take: (request) =>
        answer(() => {
          seenAt.set(me, clock.now())
          if (this.isAway) throw new StoreError('The store is away', { reason: 'unavailable' })
          const taken = memory.take(request)
          if (taken !== undefined) hold.add(request.leaseId)
          return taken
        }),
      promote: (leaseId, streamId) =>
        answer(() => {
          slotOwners.set(streamId, me)
          return memory.promote(leaseId, streamId)
        }),
      occupy: (containerId, streamId) =>
        answer(() => {
          slotOwners.set(streamId, me)
          memory.occupy(containerId, streamId)
        }),
      releaseLease: (leaseId) =>
        answer(() => {
          const containerId = memory.releaseLease(leaseId)
          freed()
          return containerId
        }),
      releaseStream: (streamId) =>
        answer(() => {
          const containerId = memory.releaseStream(streamId)
          freed()
          return containerId
        }),
      expire: (now) => answer(() => memory.expire(now).filter(({ leaseId }) => hold.delete(leaseId))),
      usage: () => memory.usage(),
      claimEnd: (streamId, retention, life) => answer(() => memory.claimEnd(streamId, retention, life)),
      unclaimEnd: (streamId) => answer(() => memory.unclaimEnd(streamId)),
      endedAmong: (streamIds, retention) => answer(() => memory.endedAmong(streamIds, retention)),
      forgetEnded: (retention) => answer(() => memory.forgetEnded(retention)),
      append: (entry) =>
        answer(() => {
          seenAt.set(me, clock.now())
          journal.set(entry.streamId, { owner: me, entry })
        }),
      settle: (streamId, life = '') =>
        answer(() => {
          const record = journal.get(streamId)
          if (record === undefined || (record.owner !== me && isOtherLife(record.entry.life ?? '', life))) return
          journal.delete(streamId)
          freed(streamId)
        }),
      recover: () =>
        answer(() => {
          const isDead = (owner: number): boolean => owner !== me && clock.now() - (seenAt.get(owner) ?? 0) > TTL_MS
          const left = [...journal.values()].filter(({ owner }) => isDead(owner))
          for (const record of left) record.owner = me
          for (const [streamId, owner] of slotOwners) {
            if (!isDead(owner)) continue
            slotOwners.delete(streamId)
            memory.releaseStream(streamId)
          }
          return left.map(({ entry }) => entry)
        }),
      renew: () =>
        answer(() => {
          seenAt.set(me, clock.now())
        }),
      onSlotFreed: (listener) => {
        const own = listeners.get(me) ?? new Set()
        listeners.set(me, own.add(listener))
        return () => own.delete(listener)
      },
    }
    return store
  }
}

/** A proxy that can die at any moment: from then on it sends nothing and writes nothing. */
export interface Member {
  client: OrchestratorClient
  die(): void
}

/** Proxies on one orchestrator and one state. */
export class Fleet {
  readonly clock = new ManualClock()
  readonly state = new SharedState()
  readonly fake: FakeOrchestrator

  constructor(options: FakeOrchestratorOptions = {}) {
    this.fake = new FakeOrchestrator({ clock: this.clock, random: seededRandom(1), ...options })
  }

  /** One more proxy. `change`: methods to put in place of those of its store. */
  join(options: Parameters<typeof connect>[2] = {}, change: (right: StateStore) => Partial<StateStore> = () => ({})): Member {
    const { fake, clock, state } = this
    const store = state.join(clock)
    Object.assign(store, change({ ...store }))
    const transport: Transport = { request: (request) => (store.isDead ? new Promise<never>(() => {}) : fake.request(request)) }
    const client = connect(fake, clock, { store, transport, reconcileIntervalMs: 30_000, watch: false, ...options })
    return {
      client,
      die: () => {
        store.isDead = true
      },
    }
  }
}
