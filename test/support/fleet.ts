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

/** A process that takes, appends or renews nothing for longer than this is dead. */
const TTL_MS = 15_000

/** A state that several processes share and that survives the death of each process. It uses virtual time. */
class SharedState {
  readonly memory = new MemoryStore()
  readonly journal = new Map<string, { owner: number; entry: JournalEntry }>()
  readonly slotOwners = new Map<string, number>()
  readonly seenAt = new Map<number, number>()
  readonly listeners = new Map<number, Set<(settledStreamId?: string) => void>>()
  isAway = false
  #members = 0

  /** Adds a process and returns its store. While `isDead` is true, calls to the store never settle. */
  join(clock: ManualClock): StateStore & { isDead: boolean } {
    const { memory, journal, slotOwners, seenAt, listeners } = this
    this.#members += 1
    const me = this.#members
    const ownLeases = new Set<string>()
    const answer = async <T>(act: () => T): Promise<T> => {
      await Promise.resolve()
      if (store.isDead) return new Promise<never>(() => {})
      return act()
    }
    const notifyOthers = (settledStreamId?: string): void => {
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
          if (taken !== undefined) ownLeases.add(request.leaseId)
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
          notifyOthers()
          return containerId
        }),
      releaseStream: (streamId) =>
        answer(() => {
          const containerId = memory.releaseStream(streamId)
          notifyOthers()
          return containerId
        }),
      expire: (now) => answer(() => memory.expire(now).filter(({ leaseId }) => ownLeases.delete(leaseId))),
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
          notifyOthers(streamId)
        }),
      recover: () =>
        answer(() => {
          const isDead = (owner: number): boolean => owner !== me && clock.now() - (seenAt.get(owner) ?? 0) > TTL_MS
          const orphans = [...journal.values()].filter(({ owner }) => isDead(owner))
          for (const record of orphans) record.owner = me
          for (const [streamId, owner] of slotOwners) {
            if (!isDead(owner)) continue
            slotOwners.delete(streamId)
            memory.releaseStream(streamId)
          }
          return orphans.map(({ entry }) => entry)
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

/** A proxy that can die at any moment: afterwards it sends no request and writes nothing to the store. */
export interface Member {
  client: OrchestratorClient
  die(): void
}

/** Several proxies with one orchestrator and one shared state. */
export class Fleet {
  readonly clock = new ManualClock()
  readonly state = new SharedState()
  readonly fake: FakeOrchestrator

  constructor(options: FakeOrchestratorOptions = {}) {
    this.fake = new FakeOrchestrator({ clock: this.clock, random: seededRandom(1), ...options })
  }

  /** Adds a proxy. `change` returns methods that replace the methods of its store. */
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
