import { type JournalEntry, type Retention, StoreError } from '../../../src/index.ts'
import type { RedisStore } from '../../../src/state/redis/index.ts'
import type { ManualClock } from '../../../src/testing/index.ts'
import type { FaultyLink } from '../../support/faulty-link.ts'
import { CountedClient, type Library, type Temper } from './counted-client.ts'
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
  readonly link: FaultyLink
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
  readonly link: FaultyLink
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
    this.link = parts.link
    this.truth = parts.truth
    this.#clock = new MemberClock(parts.clock)
    this.standing = new Standing(parts.clock.now())
    const onAnswer = (): void => this.standing.answered(parts.clock.now())
    this.#client = new CountedClient(parts.library, parts.link.port, parts.temper, onAnswer)
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
    if (this.isPaused || !this.standing.isAlive) return
    for (const call of this.#calls) this.#checkTime(call)
  }

  pause(): void {
    this.note('pauses')
    this.#clock.pause()
    this.link.hold()
  }

  resume(): void {
    if (!this.isPaused) return
    this.note('goes on')
    this.#resumedAt = this.now
    this.link.resume()
    this.#clock.resume()
  }

  /** Dies without farewell. What it has sent may still arrive. */
  crash(): void {
    this.note('crashes')
    this.#end('crashed')
  }

  /** Leaves as a client does that is closed. */
  async leave(): Promise<void> {
    this.note('leaves')
    this.truth.forget(this.standing)
    await this.call('close', () => this.#store.close())
    this.note('has left')
    this.#end('left')
  }

  /** At the end of the simulation, whatever has become of it. */
  dispose(): void {
    if (this.standing.isAlive) this.#end('crashed')
    this.link.close()
  }

  entry(streamId: string, life: string, isOver: boolean): JournalEntry {
    return { streamId, proxyId: `proxy-${this.name}`, isOver, ...(life === '' ? {} : { life }) }
  }

  #end(state: 'crashed' | 'left'): void {
    this.standing.state = state
    this.truth.forget(this.standing)
    this.#clock.die()
    this.#client.destroy()
  }

  #settled<T>(call: Call, answer: () => T): Promise<T> {
    // Nothing runs in a process that is dead, and a simulation that is over asks no more.
    if (!this.standing.isAlive) return new Promise(() => {})
    this.#calls.delete(call)
    this.#checkTime(call)
    return Promise.resolve().then(answer)
  }

  #checkTime({ method, begunAt }: Call): void {
    const tookMs = this.now - Math.max(begunAt, this.#resumedAt)
    // A farewell is a renewal under way, a last one, and the leaving itself.
    const mostMs = TIMEOUT_MS * (method === 'close' ? 3 : 1) + STEP_MS
    if (tookMs > mostMs)
      this.#parts.onViolation(new Violation(`[I8] ${this.name}: ${method} has taken ${tookMs} ms, and may take ${TIMEOUT_MS}`))
  }
}
