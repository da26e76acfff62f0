import { type JournalEntry, type Retention, StoreError } from '../../../src/index.ts'
import type { RedisStore } from '../../../src/state/redis/index.ts'
import type { ManualClock } from '../../../src/testing/index.ts'
import type { FaultyLinks } from '../../support/faulty-links.ts'
import { CountedClient } from './counted-client.ts'
import type { Library, Temper } from './libraries.ts'
import type { EventLog } from './log.ts'
import { MemberClock } from './member-clock.ts'
import { newStore, STEP_MS, TIMEOUT_MS } from './settings.ts'
import { Standing } from './standing.ts'
import { type Truth, Violation } from './truth.ts'

/** What a member needs of the world it lives in. */
export interface MemberParts {
  readonly name: string
  readonly library: Library
  readonly temper: Temper
  readonly links: FaultyLinks
  readonly clock: ManualClock
  readonly truth: Truth
  readonly log: EventLog
  /** Called with what must never happen. */
  readonly onViolation: (violation: Error) => void
}

/** A call of the store that has not settled. */
interface Call {
  readonly method: string
  readonly begunAt: number
}

/** One process of the fleet: its store, and every call that it makes. After its death no call settles any more. */
export class FleetMember {
  readonly name: string
  readonly links: FaultyLinks
  readonly truth: Truth
  readonly standing: Standing
  readonly #parts: MemberParts
  readonly #clock: MemberClock
  readonly #client: CountedClient
  readonly #store: RedisStore
  readonly #calls = new Set<Call>()
  /** Calls that a pause held up may take longer. */
  #resumedAt = Number.NEGATIVE_INFINITY

  constructor(parts: MemberParts) {
    this.#parts = parts
    this.name = parts.name
    this.links = parts.links
    this.truth = parts.truth
    this.#clock = new MemberClock(parts.clock)
    this.standing = new Standing(parts.clock.now())
    const onAnswer = (): void => this.standing.answered(parts.clock.now())
    this.#client = new CountedClient(parts.library, parts.links.ports, parts.temper, onAnswer)
    this.#store = newStore(this.#client.client, this.#clock)
  }

  get isPaused(): boolean {
    return this.#clock.isPaused
  }

  get isAtRest(): boolean {
    return this.#client.isAtRest
  }

  get now(): number {
    return this.#clock.now()
  }

  get store(): RedisStore {
    return this.#store
  }

  get retention(): Retention {
    return { now: this.now, retentionMs: 600_000, max: 10_000 }
  }

  note(event: string): void {
    this.#parts.log.add(`${this.name}  ${event}`)
  }

  /** Resolves after `ms` of its own life; never if it dies before. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimeout(resolve, ms))
  }

  /** Calls the store. Never settles if the member dies meanwhile; reports what a call must not do. */
  async call<T>(method: string, work: () => T | PromiseLike<T>): Promise<T> {
    if (!this.#goesOn(method)) return new Promise(() => {})
    const call = { method, begunAt: this.now }
    this.#calls.add(call)
    try {
      const answer = await work()
      return await this.#settled(call, () => answer)
    } catch (error) {
      return await this.#settled(call, () => {
        const isAllowed = method === 'take' && error instanceof StoreError && error.retryable && error.reason === 'unavailable'
        if (!isAllowed) this.#parts.onViolation(new Violation(`[I8] ${this.name}: ${method} rejected: ${String(error)}`))
        this.note(`${method} rejected: ${String(error)}`)
        throw error
      })
    }
  }

  /** Does something in the background. What is found wrong on the way ends the run. */
  run(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      if (error instanceof StoreError) return
      this.#parts.onViolation(error instanceof Error ? error : new Error(String(error)))
    })
  }

  /** To be called after each step. */
  check(): void {
    if (this.isPaused || !this.standing.isRunning) return
    for (const call of this.#calls) if (this.#goesOn(call.method)) this.#checkTime(call)
  }

  pause(): void {
    this.note('pauses')
    this.#clock.pause()
    this.links.each((link) => link.hold())
  }

  resume(): void {
    if (!this.isPaused) return
    this.note('goes on')
    this.#resumedAt = this.now
    this.links.each((link) => link.resume())
    this.#clock.resume()
  }

  /** Dies without farewell. What it has sent may still arrive. */
  crash(): void {
    this.note('crashes')
    this.#end()
  }

  /** Leaves as a client does that is closed. */
  async leave(): Promise<void> {
    this.note('leaves')
    this.standing.state = 'leaves'
    this.truth.forget(this.standing)
    await this.call('close', () => this.#store.close())
    this.note('has left')
    this.#end()
  }

  /** At the end of the simulation, whatever has become of it. */
  dispose(): void {
    if (this.standing.isRunning) this.#end()
    this.links.each((link) => link.close())
  }

  entry(streamId: string, life: string, isOver: boolean): JournalEntry {
    return { streamId, proxyId: `proxy-${this.name}`, isOver, ...(life === '' ? {} : { life }) }
  }

  #end(): void {
    this.standing.state = 'gone'
    this.truth.forget(this.standing)
    this.#clock.die()
    this.#client.destroy()
  }

  /** Nothing runs in a process that is dead; one that leaves does nothing else. */
  #goesOn(method: string): boolean {
    return this.standing.state === 'lives' || (this.standing.state === 'leaves' && method === 'close')
  }

  async #settled<T>(call: Call, answer: () => T): Promise<T> {
    // In this simulation a connection may fail also for a process that is paused. It notices later.
    await this.#clock.running()
    if (!this.#goesOn(call.method)) return new Promise(() => {})
    this.#calls.delete(call)
    this.#checkTime(call)
    return answer()
  }

  #checkTime({ method, begunAt }: Call): void {
    const tookMs = this.now - Math.max(begunAt, this.#resumedAt)
    // A farewell is a renewal under way, a last one, and the leaving itself.
    const mostMs = TIMEOUT_MS * (method === 'close' ? 3 : 1) + STEP_MS
    if (tookMs > mostMs)
      this.#parts.onViolation(new Violation(`[I8] ${this.name}: ${method} has taken ${tookMs} ms, and may take ${TIMEOUT_MS}`))
  }
}
