import { type CallerPlace, StoreError } from '../../../src/index.ts'
import type { FleetMember } from './member.ts'
import { ENGINES, LIMIT, RENEW_MS } from './settings.ts'

type Random = () => number

/** How often a viewer that waits tries again, and how many times. */
const RETRY_MS = 600
const ATTEMPTS = 6

interface Lease {
  readonly leaseId: string
  readonly containerId: string
}

/** The streams of the whole fleet: a member can end a stream of another member, and start an id again that is over. */
export class Streams {
  readonly live = new Map<string, { readonly life: string; readonly by: FleetMember }>()
  /** Ids of streams that are over. A new stream may have the same id. */
  readonly over: string[] = []
  #count = 0

  /** An id and a life for a new stream. */
  name(random: Random): { streamId: string; life: string } {
    this.#count += 1
    const [again] = random() < 0.3 ? this.over.splice(Math.floor(random() * this.over.length), 1) : []
    return { streamId: again ?? `stream-${this.#count}`, life: `life-${this.#count}` }
  }
}

/** Calls the store of a member in the same order as the client, for a host whose viewers come and go. */
export class ViewerTraffic {
  readonly #member: FleetMember
  readonly #streams: Streams
  readonly #random: Random
  readonly #hasRivals: boolean
  readonly #leases = new Map<string, number>()
  /** When each waiting viewer came. */
  readonly #waiting: number[] = []
  #viewerCount = 0
  #leaseCount = 0
  #isExpiring = false
  /** Whether no more viewers come. */
  isQuiet = false

  constructor(member: FleetMember, streams: Streams, random: Random, hasRivals: boolean) {
    this.#member = member
    this.#hasRivals = hasRivals
    this.#streams = streams
    this.#random = random
    // A member without a subscription gets no place in the fleet's line.
    member.store.onSlotFreed(() => {})
    member.run(() => this.#recover())
    member.run(() => this.#renewPeriodically())
  }

  /** Call this after each step. The same seed leads to the same decisions, whatever the store answered. */
  step(): void {
    const [comes, rivals, which] = [this.#random(), this.#random(), this.#random()]
    if (!this.#member.status.isAlive || this.#member.isPaused) return
    if (!this.isQuiet && comes < 0.25 && this.#viewerCount < 5) this.#member.run(() => this.#view())
    if (this.#hasRivals && !this.isQuiet && rivals < 0.01) this.#rival(which)
    if ([...this.#leases.values()].some((at) => at <= this.#member.now)) this.#member.run(() => this.#expire())
  }

  /** Takes a slot on one engine and releases it. Returns the result of the take. */
  async probe(containerId: string): Promise<'granted' | 'full' | 'refused' | 'away'> {
    try {
      const lease = await this.#take([containerId], 60_000)
      if (lease === undefined) return 'full'
      await this.#release(lease.leaseId)
      return 'granted'
    } catch (error) {
      if (error instanceof StoreError) return error.message.includes('is unavailable') ? 'away' : 'refused'
      throw error
    }
  }

  async #view(): Promise<void> {
    const random = this.#random
    const between = (from: number, to: number): number => Math.round(from + random() * (to - from))
    const [leaseMs, holdMs, liveMs, fate] = [between(2_000, 10_000), between(0, 5_000), between(1_000, 16_000), random()]
    const engines = ENGINES.map((engine) => ({ engine, rank: random() })).sort((one, other) => one.rank - other.rank)
    this.#viewerCount += 1
    try {
      const lease = await this.#takeInTurn(
        engines.map(({ engine }) => engine),
        leaseMs,
        fate < 0.5,
      )
      if (lease === undefined || fate < 0.1) return // no slot, or a lease that is left to expire
      const { leaseId } = lease
      await this.#member.wait(holdMs)
      if (!this.#leases.has(leaseId)) return
      if (fate < 0.2) return await this.#release(leaseId)
      await this.#stream(lease, liveMs)
    } finally {
      this.#viewerCount -= 1
    }
  }

  /** Takes a slot as the client does: in the order of the calls of the whole fleet. A patient viewer waits until it is its turn. */
  async #takeInTurn(engines: readonly string[], leaseMs: number, isPatient: boolean): Promise<Lease | undefined> {
    const since = this.#member.now
    const first = await this.#take(engines, leaseMs, { since, isWaiting: false })
    if (first !== undefined || !isPatient) return first
    this.#waiting.push(since)
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        await this.#member.wait(RETRY_MS)
        const nextSince = this.#waiting.find((other) => other !== since)
        const lease = await this.#take(engines, leaseMs, { since, isWaiting: true, nextSince })
        if (lease !== undefined) return lease
        await this.#take([], leaseMs, { since, isWaiting: true, nextSince })
      }
      return undefined
    } finally {
      this.#waiting.splice(this.#waiting.indexOf(since), 1)
      if (this.#waiting.length === 0) this.#member.store.leaveLine()
    }
  }

  async #take(engines: readonly string[], leaseMs: number, place?: CallerPlace): Promise<Lease | undefined> {
    const member = this.#member
    this.#leaseCount += 1
    const leaseId = `lease-${member.name}-${this.#leaseCount}`
    const begunAt = member.now
    const expiresAt = begunAt + leaseMs
    const candidates = engines.map((containerId) => ({ containerId, reportedStreamIds: [] }))
    const containerId = await member.call('take', () =>
      member.store.take({ leaseId, candidates, limit: LIMIT, now: begunAt, expiresAt, ...(place && { place }) }),
    )
    if (containerId === undefined) return undefined
    member.note(`${leaseId} on ${containerId}`)
    this.#leases.set(leaseId, expiresAt)
    member.truth.taken(member.status, leaseId, containerId, expiresAt, begunAt)
    return { leaseId, containerId }
  }

  async #release(leaseId: string): Promise<void> {
    this.#leases.delete(leaseId)
    this.#member.truth.freed(leaseId)
    this.#member.note(`releases ${leaseId}`)
    await this.#member.call('releaseLease', () => this.#member.store.releaseLease(leaseId))
  }

  async #stream({ leaseId, containerId }: Lease, liveMs: number): Promise<void> {
    const member = this.#member
    const { truth, status, store } = member
    const { streamId, life } = this.#streams.name(this.#random)
    const key = `${streamId}#${life}`
    const begunAt = member.now
    const isPromoted = await member.call('promote', () => store.promote(leaseId, streamId))
    this.#leases.delete(leaseId)
    member.note(`${leaseId} ${isPromoted ? 'becomes' : 'may not become'} ${key}`)
    if (!isPromoted) return truth.freed(leaseId)
    truth.promoted(status, { leaseId, containerId, streamKey: key, begunAt })
    this.#streams.live.set(streamId, { life, by: member })
    truth.appended(status, key, key)
    await member.call('append', () => store.append(member.entry(streamId, life, false)))
    await member.wait(liveMs)
    await this.#end(streamId, life)
  }

  async #end(streamId: string, life: string): Promise<void> {
    const member = this.#member
    const { truth, status, store } = member
    const key = `${streamId}#${life}`
    member.note(`ends ${key}`)
    this.#streams.live.delete(streamId)
    truth.freed(key)
    member.run(async () => void (await member.call('releaseStream', () => store.releaseStream(streamId))))
    if (!(await this.#claim(streamId, life))) return this.#settleAfterOtherEnd(streamId, life)
    truth.appended(status, key, undefined)
    await member.call('append', () => store.append(member.entry(streamId, life, true)))
    await member.wait(Math.round(this.#random() * 1_000))
    await this.#settle(streamId, life)
    this.#streams.over.push(streamId)
  }

  /** Another member has claimed the end. The client settles its own entry once the orchestrator does not list the stream any more. */
  async #settleAfterOtherEnd(streamId: string, life: string): Promise<void> {
    this.#member.note(`finds that another member has ended ${streamId}#${life}`)
    await this.#member.wait(1_000)
    await this.#settle(streamId, life)
  }

  /** Ends a stream of another member, as a host can by the stream's id. */
  #rival(which: number): void {
    const streams = [...this.#streams.live].filter(([, { by }]) => by !== this.#member && by.status.isAlive)
    const [streamId, stream] = streams[Math.floor(which * streams.length)] ?? []
    if (streamId === undefined || stream === undefined) return
    const { life } = stream
    this.#member.run(async () => {
      if (!(await this.#claim(streamId, life))) return
      this.#member.note(`ends ${streamId}#${life}, a stream of another member`)
      this.#member.truth.appended(this.#member.status, `${streamId}#${life}`, undefined)
      await this.#member.call('append', () => this.#member.store.append(this.#member.entry(streamId, life, true)))
      await this.#settle(streamId, life)
    })
  }

  async #claim(streamId: string, life: string): Promise<boolean> {
    const { member, truth } = { member: this.#member, truth: this.#member.truth }
    const begunAt = member.now
    const isClaimed = await member.call('claimEnd', () => member.store.claimEnd(streamId, member.retention, life))
    if (isClaimed) truth.claimed(member.status, member.name, `${streamId}#${life}`, begunAt)
    return isClaimed
  }

  async #settle(streamId: string, life: string): Promise<void> {
    const { store, truth, status } = this.#member
    const settle: (streamId: string, life?: string) => Promise<void> = store.settle.bind(store)
    const settled = truth.settling(status, `${streamId}#${life}`)
    await this.#member.call('settle', () => settle(streamId, life))
    settled()
  }

  async #expire(): Promise<void> {
    if (this.#isExpiring) return
    this.#isExpiring = true
    const { now } = this.#member
    for (const [leaseId, at] of this.#leases) if (at <= now) this.#leases.delete(leaseId)
    try {
      await this.#member.call('expire', () => this.#member.store.expire(now))
    } finally {
      this.#isExpiring = false
    }
  }

  async #renewPeriodically(): Promise<void> {
    for (;;) {
      await this.#member.wait(RENEW_MS)
      await this.#member.call('renew', () => this.#member.store.renew())
      await this.#recover()
    }
  }

  async #recover(): Promise<void> {
    const member = this.#member
    const entries = await member.call('recover', () => member.store.recover())
    for (const entry of entries) {
      const { streamId, life = '' } = entry
      member.note(`recovers ${streamId}#${life}`)
      member.truth.recovered(member.status, member.name, entry)
      member.run(async () => {
        await this.#claim(streamId, life)
        await member.wait(200)
        await this.#settle(streamId, life)
      })
    }
  }
}
