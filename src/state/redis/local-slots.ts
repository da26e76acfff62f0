import type { Logger } from '../../runtime/logger.ts'
import { MemoryStore } from '../memory.ts'
import type { LeaseRecord, SlotCandidate, SlotRequest } from '../store.ts'
import type { Connection } from './connection.ts'
import { withoutSecrets } from './reply-error.ts'
import type { Operation } from './write-queue.ts'

/** The name of a lease's slot, and of a stream's. */
export const leaseSlot = (leaseId: string): string => `l:${leaseId}`
export const streamSlot = (streamId: string): string => `s:${streamId}`

/** The slots that this process holds, and where Redis may have others down for it. */
export class LocalSlots {
  readonly #memory = new MemoryStore()
  readonly #leases = new Map<string, LeaseRecord>()
  readonly #engineOfStream = new Map<string, string>()
  /** Slot -> the engines on which Redis may have it down for this member. */
  readonly #placed = new Map<string, Set<string>>()
  /** Leases that Redis gave out, and lost: they are held again only if no slot was given out since. */
  readonly #recalled = new Set<string>()
  /** Leases taken while Redis was away. */
  readonly #unwritten = new Set<string>()

  get memory(): MemoryStore {
    return this.#memory
  }

  /** The names of all slots held. */
  get names(): readonly string[] {
    return [...[...this.#engineOfStream.keys()].map(streamSlot), ...[...this.#leases.keys()].map(leaseSlot)]
  }

  /** Writes down a lease that Redis gave. */
  hold(request: SlotRequest, containerId: string): void {
    this.#write(request, containerId)
    this.mayBeOn(leaseSlot(request.leaseId), [containerId])
  }

  #write({ leaseId, expiresAt }: SlotRequest, containerId: string): void {
    this.#memory.releaseLease(leaseId)
    this.#memory.take({ leaseId, candidates: [{ containerId, reportedStreamIds: [] }], limit: Number.POSITIVE_INFINITY, now: 0, expiresAt })
    this.#leases.set(leaseId, { leaseId, containerId, expiresAt })
  }

  /** Takes without Redis, by what is held here and listed. */
  takeAlone(request: SlotRequest, candidates: readonly SlotCandidate[]): string | undefined {
    const containerId = this.#memory.take({ ...request, candidates })
    if (containerId === undefined) return undefined
    this.#write(request, containerId)
    this.#unwritten.add(request.leaseId)
    return containerId
  }

  engineOf(streamId: string): string | undefined {
    return this.#engineOfStream.get(streamId)
  }

  dropLease(leaseId: string): LeaseRecord | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    this.#memory.releaseLease(leaseId)
    this.#leases.delete(leaseId)
    this.#unwritten.delete(leaseId)
    this.#recalled.delete(leaseId)
    return lease
  }

  putStream(containerId: string, streamId: string): void {
    this.#memory.occupy(containerId, streamId)
    this.#engineOfStream.set(streamId, containerId)
  }

  dropStream(streamId: string): string | undefined {
    const containerId = this.#memory.releaseStream(streamId)
    if (containerId !== undefined) this.#engineOfStream.delete(streamId)
    return containerId
  }

  dropDue(now: number): readonly LeaseRecord[] {
    const due = [...this.#leases.values()].filter(({ expiresAt }) => expiresAt <= now)
    for (const { leaseId } of due) this.dropLease(leaseId)
    return due
  }

  /** Redis may have this slot down on one of these engines. */
  mayBeOn(slot: string, engines: readonly string[]): void {
    const placed = this.#placed.get(slot) ?? new Set()
    for (const engine of engines) placed.add(engine)
    this.#placed.set(slot, placed)
  }

  /** This process is another member from now on: Redis has nothing down for it. Leases are lost if it had been taken for dead. */
  startAnew(wasBuried: boolean): void {
    this.#placed.clear()
    for (const leaseId of [...this.#leases.keys()]) {
      if (this.#unwritten.has(leaseId)) continue
      if (wasBuried) this.dropLease(leaseId)
      else this.#recalled.add(leaseId)
    }
  }

  /** What tells Redis where a slot is now; `undefined`: it has nothing of it. */
  encode(slot: string): Operation | undefined {
    const leaseId = slot.startsWith('l:') ? slot.slice(2) : undefined
    const engine = leaseId === undefined ? this.#engineOfStream.get(slot.slice(2)) : this.#leases.get(leaseId)?.containerId
    if (leaseId !== undefined && engine !== undefined && this.#recalled.has(leaseId)) return this.#recall(leaseId, engine)
    const others = [...(this.#placed.get(slot) ?? [])].filter((other) => other !== engine)
    if (engine === undefined && others.length === 0) return undefined
    if (engine !== undefined) this.mayBeOn(slot, [engine])
    const applied = (): void => {
      if (leaseId !== undefined) this.#unwritten.delete(leaseId)
      const placed = this.#placed.get(slot)
      for (const other of others) placed?.delete(other)
      if (placed?.size === 0) this.#placed.delete(slot)
    }
    return { args: ['S', slot, engine ?? '', String(others.length), ...others], applied }
  }

  #recall(leaseId: string, engine: string): Operation {
    const slot = leaseSlot(leaseId)
    this.mayBeOn(slot, [engine])
    const applied = (answer: unknown): void => {
      if (Number(answer) === 1) this.#recalled.delete(leaseId)
      else if (this.#recalled.has(leaseId)) this.dropLease(leaseId)
    }
    return { args: ['L', slot, engine], applied }
  }
}

/** What {@link SlotNews} needs. */
export interface SlotNewsParts {
  connection: Connection
  logger: () => Logger
  /** Whether a message is this process's own. */
  isOwn: (id: string) => boolean
}

/** Tells listeners that another member has given a slot back, or settled a stream. They look by themselves too, only later, so a failure here is no more than a warning. */
export class SlotNews {
  readonly #parts: SlotNewsParts
  readonly #listeners = new Set<{ readonly call: (settledStreamId?: string) => void }>()
  /** Known from the first answer of Redis on: the client may put a prefix before all keys. */
  #channel: string | undefined
  #stop: (() => void) | undefined
  #hasWarned = false
  #isClosed = false

  constructor(parts: SlotNewsParts) {
    this.#parts = parts
  }

  /** Answers what undoes it. */
  listen(listener: (settledStreamId?: string) => void): () => void {
    const entry = { call: listener }
    this.#listeners.add(entry)
    this.#begin()
    return () => {
      this.#listeners.delete(entry)
      if (this.#listeners.size === 0) this.#end()
    }
  }

  /** The channel is known. */
  use(channel: string): void {
    this.#channel = channel
    if (this.#listeners.size > 0) this.#begin()
  }

  close(): void {
    this.#isClosed = true
    this.#listeners.clear()
    this.#end()
  }

  #begin(): void {
    const { connection } = this.#parts
    const channel = this.#channel
    if (channel === undefined || this.#stop !== undefined || this.#isClosed) return
    try {
      this.#stop = connection.listen(channel, { onMessage: (message) => this.#heard(message), onFailure: (error) => this.#warn(error) })
    } catch (error) {
      this.#warn(error)
    }
  }

  #end(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#hasWarned = false
  }

  /** A message is the id of the member it is from, and after a space that of a stream, if one was settled. */
  #heard(message: string): void {
    this.#hasWarned = false
    const [from = ''] = message.split(' ', 1)
    if (this.#parts.isOwn(from)) return
    const settledStreamId = message.length > from.length ? message.slice(from.length + 1) : undefined
    for (const { call } of this.#listeners) {
      try {
        call(settledStreamId)
      } catch (error) {
        this.#parts.logger().warn('A listener for freed slots threw', { error })
      }
    }
  }

  #warn(error: unknown): void {
    if (this.#hasWarned || this.#stop === undefined) return
    this.#hasWarned = true
    this.#parts.logger().warn('Slots that other proxies release are noticed late: the subscription in Redis failed', {
      error: withoutSecrets(error),
    })
  }
}
