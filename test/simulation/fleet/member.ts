import { type JournalEntry, type Retention, StoreError } from '../../../src/index.ts'
import type { RedisStore } from '../../../src/state/redis/index.ts'
import type { ManualClock } from '../../../src/testing/index.ts'
import type { FaultyLinks } from '../../support/faulty-links.ts'
import { CountedClient } from './counted-client.ts'
import type { Library, OfflineSettings } from './libraries.ts'
import type { EventLog } from './log.ts'
import { MemberClock } from './member-clock.ts'
import { MemberStatus } from './member-status.ts'
import { newStore, STEP_MS, TIMEOUT_MS } from './settings.ts'
import { type Truth, Violation } from './truth.ts'

/** The parts of the world that a member uses. */
export interface MemberParts {
  readonly name: string
  readonly library: Library
  readonly offline: OfflineSettings
  readonly links: FaultyLinks
  readonly clock: ManualClock
  readonly truth: Truth
  readonly log: EventLog
  /** Called when an invariant is broken. */
  readonly onViolation: (violation: Error) => void
}

/** A call of the store that has not settled. */
interface Call {
  readonly method: string
  readonly begunAt: number
}

/** One process of the fleet, with its store and its calls to it. After the death of the process no call settles. */
export class FleetMember {
  readonly name: string
  readonly links: FaultyLinks
  readonly truth: Truth
  readonly status: MemberStatus
  readonly #parts: MemberParts
  readonly #clock: MemberClock
  readonly #client: CountedClient
  readonly #store: RedisStore
  readonly #calls = new Set<Call>()
  /** End of the last pause. A call that was in flight during a pause may take longer. */
  #resumedAt = Number.NEGATIVE_INFINITY

  constructor(parts: MemberParts) {
    this.#parts = parts
    this.name = parts.name
    this.links = parts.links
    this.truth = parts.truth
    this.#clock = new MemberClock(parts.clock)
    this.status = new MemberStatus(parts.clock.now())
    const onAnswer = (): void => this.status.answered(parts.clock.now())
    this.#client = new CountedClient(parts.library, parts.links.ports, parts.offline, onAnswer)
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

  /** Resolves after `ms`, or later if the member is paused then. Never resolves if it dies before. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimeout(resolve, ms))
  }

  /** Calls the store. Reports a violation if the call takes too long or must not fail. Never settles if the member dies meanwhile. */
  async call<T>(method: string, work: () => T | PromiseLike<T>): Promise<T> {
    if (!this.#mayCall(method)) return new Promise(() => {})
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

  /** Runs a task in the background. Any error but a `StoreError` ends the run as a violation. */
  run(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      if (error instanceof StoreError) return
      this.#parts.onViolation(error instanceof Error ? error : new Error(String(error)))
    })
  }

  /** Checks the calls that have not settled. Call this after each step. */
  check(): void {
    if (this.isPaused || !this.status.isRunning) return
    for (const call of this.#calls) if (this.#mayCall(call.method)) this.#checkTime(call)
  }

  pause(): void {
    this.note('pauses')
    this.#clock.pause()
    this.links.each((link) => link.hold())
  }

  resume(): void {
    if (!this.isPaused) return
    this.note('resumes')
    this.#resumedAt = this.now
    this.links.each((link) => link.resume())
    this.#clock.resume()
  }

  /** Ends the process without closing its store. Commands that it has sent may still arrive. */
  crash(): void {
    this.note('crashes')
    this.#end()
  }

  /** Closes the store, as a client does in close(), and ends the process. */
  async leave(): Promise<void> {
    this.note('leaves')
    this.status.state = 'leaves'
    this.truth.forget(this.status)
    await this.call('close', () => this.#store.close())
    this.note('has left')
    this.#end()
  }

  /** Call this at the end of the simulation, in any state of the member. */
  dispose(): void {
    if (this.status.isRunning) this.#end()
    this.links.each((link) => link.close())
  }

  entry(streamId: string, life: string, isOver: boolean): JournalEntry {
    return { streamId, proxyId: `proxy-${this.name}`, isOver, ...(life === '' ? {} : { life }) }
  }

  #end(): void {
    this.status.state = 'gone'
    this.truth.forget(this.status)
    this.#clock.die()
    this.#client.destroy()
  }

  /** A dead process makes no calls. A leaving process only calls close(). */
  #mayCall(method: string): boolean {
    return this.status.state === 'lives' || (this.status.state === 'leaves' && method === 'close')
  }

  async #settled<T>(call: Call, answer: () => T): Promise<T> {
    // A connection may fail while the process is paused. The process notices it after the pause.
    await this.#clock.running()
    if (!this.#mayCall(call.method)) return new Promise(() => {})
    this.#calls.delete(call)
    this.#checkTime(call)
    return answer()
  }

  #checkTime({ method, begunAt }: Call): void {
    const tookMs = this.now - Math.max(begunAt, this.#resumedAt)
    // close() may wait for a renewal in flight, then sends a last renewal, and then leaves the fleet.
    const mostMs = TIMEOUT_MS * (method === 'close' ? 3 : 1) + STEP_MS
    if (tookMs > mostMs)
      this.#parts.onViolation(new Violation(`[I8] ${this.name}: ${method} has taken ${tookMs} ms, and may take at most ${mostMs} ms`))
  }
}
