import type { SlotRequest, StateStore, UsageListener } from 'acestream-orchestrator-client'
import { type EngineUsage, type JournalEntry, type LeaseRecord, MemoryStore, type Retention } from 'acestream-orchestrator-client'
import type { StoreUnderTest } from 'acestream-orchestrator-client/testing'
import { BoundedIdSet, isOtherLife } from '../../src/state/bounded-id-set.ts'

/** The state that several simulated processes share. */
class World {
  slots = new MemoryStore()
  ended = new BoundedIdSet()
  readonly journal = new Map<string, { entry: JournalEntry; writer: ProcessStore }>()
  readonly processes = new Set<ProcessStore>()

  start(): ProcessStore {
    const process = new ProcessStore(this)
    this.processes.add(process)
    return process
  }

  forgetSlots(): void {
    this.slots = new MemoryStore()
  }

  forgetEnds(): void {
    this.ended = new BoundedIdSet()
  }

  kill(process: ProcessStore): void {
    this.processes.delete(process)
    for (const leaseId of process.leases.keys()) this.slots.releaseLease(leaseId)
    for (const streamId of process.streams) this.slots.releaseStream(streamId)
  }
}

/** The store of one process of a {@link World}: the simplest store that is durable and shared. */
class ProcessStore implements StateStore {
  readonly world: World
  readonly leases = new Map<string, LeaseRecord>()
  readonly streams = new Set<string>()
  readonly listeners = new Set<() => void>()

  constructor(world: World) {
    this.world = world
  }

  take(request: SlotRequest): string | undefined {
    const { leaseId, expiresAt } = request
    const containerId = this.world.slots.take(request)
    if (containerId !== undefined) this.leases.set(leaseId, { leaseId, containerId, expiresAt })
    return containerId
  }

  promote(leaseId: string, streamId: string): boolean {
    if (!this.leases.delete(leaseId)) return false
    this.streams.add(streamId)
    return this.world.slots.promote(leaseId, streamId)
  }

  occupy(containerId: string, streamId: string): void {
    this.streams.add(streamId)
    this.world.slots.occupy(containerId, streamId)
  }

  releaseLease(leaseId: string): string | undefined {
    if (!this.leases.delete(leaseId)) return undefined
    const containerId = this.world.slots.releaseLease(leaseId)
    this.#notifyOthers()
    return containerId
  }

  releaseStream(streamId: string): string | undefined {
    this.streams.delete(streamId)
    const containerId = this.world.slots.releaseStream(streamId)
    this.#notifyOthers()
    return containerId
  }

  expire(now: number): readonly LeaseRecord[] {
    const due = [...this.leases.values()].filter(({ expiresAt }) => expiresAt <= now)
    for (const { leaseId } of due) this.releaseLease(leaseId)
    return due
  }

  usage(): ReadonlyMap<string, EngineUsage> {
    return this.world.slots.usage()
  }

  claimEnd(streamId: string, retention: Retention, life?: string): boolean {
    return this.world.ended.claim(streamId, retention, life)
  }

  unclaimEnd(streamId: string): void {
    this.world.ended.unclaim(streamId)
  }

  endedAmong(streamIds: readonly string[], retention: Retention): ReadonlyMap<string, string> {
    return this.world.ended.livesAmong(streamIds, retention)
  }

  forgetEnded(retention: Retention): number {
    return this.world.ended.forget(retention)
  }

  append(entry: JournalEntry): void {
    this.world.journal.set(entry.streamId, { entry, writer: this })
  }

  settle(streamId: string, life = ''): void {
    const record = this.world.journal.get(streamId)
    if (record === undefined || (record.writer !== this && isOtherLife(record.entry.life ?? '', life))) return
    this.world.journal.delete(streamId)
  }

  recover(): readonly JournalEntry[] {
    const orphans = [...this.world.journal.values()].filter(({ writer }) => !this.world.processes.has(writer))
    for (const orphan of orphans) orphan.writer = this
    return orphans.map(({ entry }) => entry)
  }

  attach(): void {}

  renew(): void {}

  onSlotFreed(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  onUsageChanged(listener: UsageListener): () => void {
    return this.world.slots.onUsageChanged(listener)
  }

  #notifyOthers(): void {
    for (const process of this.world.processes) if (process !== this) for (const listener of process.listeners) listener()
  }
}

/** A flaw of every process of a world. Gets the correct store `right`, and returns the methods that replace its methods. */
export type Flaw = (right: ProcessStore, world: World) => Partial<StateStore & { kill: () => void; outage: () => void }>

/** The name of a flaw, the rule that must fail because of it, and the flaw. */
export type NamedFlaw = readonly [what: string, rule: string, flaw: Flaw]

/** A store with a flaw, in its own world. */
export function flawed(flaw: Flaw = () => ({})): StoreUnderTest {
  const world = new World()
  const begin = () => {
    const right = world.start()
    const { kill = () => {}, outage = () => {}, ...wrong } = flaw(right, world)
    const methods = ['take', 'promote', 'occupy', 'releaseLease', 'releaseStream', 'expire', 'usage', 'claimEnd', 'unclaimEnd'] as const
    const more = ['endedAmong', 'forgetEnded', 'append', 'settle', 'recover', 'attach', 'renew', 'onSlotFreed', 'onUsageChanged'] as const
    const bound = Object.fromEntries([...methods, ...more].map((method) => [method, right[method].bind(right)]))
    const store = { ...bound, ...wrong } as StateStore
    outages.push(outage)
    return { right, store, kill }
  }
  const outages: (() => void)[] = []
  let current = begin()
  const crash = () => {
    world.kill(current.right)
    current.kill()
    current = begin()
    return current.store
  }
  const outage = () => {
    for (const happens of outages) happens()
  }
  return { store: current.store, crash, outage, peer: () => begin().store }
}
