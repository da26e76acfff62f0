import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES_FAILED, type Visit, visit } from './visit.ts'

/** Watched at least this long once bytes came, however short the stream of the trace was. */
const LEAST_WATCH_MS = 100
/** Who is told to come back later than this is impatient. */
const LONGEST_PAUSE_MS = 2_000
const PAUSE_MS = 500
/** Who is asked to leave waits this long for the first bytes. */
const PATIENCE_MS = 20_000
/** What an engine sent before it died may arrive until then. */
const ON_THEIR_WAY_MS = 500
/** Bytes come many times a second. */
const FLOWING_MS = 2_000

export type ViewerState = 'waiting' | 'watching' | 'served' | 'refused' | 'failed'
/** What became of a viewer whose engine died. */
export type Fate = 'went on' | 'asked again' | 'left' | 'dark'

/** Somebody with a player: asks the proxy for a stream, and really reads it. */
export class Viewer {
  state: ViewerState = 'waiting'
  bytes = 0
  /** From the first request to the first bytes, or to the answer that there are none; milliseconds. */
  waitedMs = 0
  /** Why it was refused, or how it failed. */
  reason = ''
  /** Resolves when it has its first bytes, or will get none. */
  readonly answered: Promise<void>
  /** Resolves when it is gone. Never rejects. */
  readonly gone: Promise<void>
  /** Set when everybody is to be sent away: a stream that ends from then on was not cut off. */
  isOver = false
  /** Times it was sent away with a time to come back. */
  refusals = 0
  /** How many of them because the engines failed. */
  engineFailures = 0
  /** How it was let down while its engine was well. */
  readonly wrongs: string[] = []
  readonly #url: string
  readonly #asksAgain: boolean
  readonly #cameAt = performance.now()
  readonly #leaving = new AbortController()
  readonly #answer = Promise.withResolvers<void>()
  #request: http.ClientRequest | undefined
  #visits = 0
  #lastBytesAt = 0
  #lastRefusal: Visit | undefined
  #struck: { at: number; visit: number; wasWatching: boolean } | undefined
  #recovery: { at: number; visit: number } | undefined

  /** `asksAgain`: comes back when it is cut off or sent away, as players do, until it leaves. */
  constructor(proxyUrl: string, infohash: string, { asksAgain = false }: { asksAgain?: boolean } = {}) {
    this.#url = `${proxyUrl}/ace/getstream?infohash=${infohash}`
    this.#asksAgain = asksAgain
    this.answered = this.#answer.promise
    this.gone = this.#stay()
  }

  /** Whether it needs nothing: it is gone, or its stream flows. */
  get isContent(): boolean {
    if (this.state === 'waiting') return false
    return this.state !== 'watching' || performance.now() - this.#lastBytesAt < FLOWING_MS
  }

  /** Notes that every engine is dead from now on. */
  strike(): void {
    if (this.state !== 'waiting' && this.state !== 'watching') return
    this.#struck = { at: performance.now(), visit: this.#visits, wasWatching: this.state === 'watching' }
  }

  /** How it fared after {@link strike}, if it was watching then; and how long it saw nothing. */
  get fate(): { fate: Fate; darkMs: number } | undefined {
    if (!this.#struck?.wasWatching) return undefined
    const { at, visit } = this.#struck
    if (this.#recovery === undefined) return { fate: this.#leaving.signal.aborted ? 'left' : 'dark', darkMs: 0 }
    return { fate: this.#recovery.visit === visit ? 'went on' : 'asked again', darkMs: this.#recovery.at - at }
  }

  /** Leaves, but not before the first bytes: what is to be seen is whether they come. */
  async leave(): Promise<void> {
    await Promise.race([this.answered, sleep(PATIENCE_MS, undefined, { ref: false })])
    if (this.state === 'watching') await sleep(LEAST_WATCH_MS)
    this.#leaving.abort()
    this.#request?.destroy()
  }

  async #stay(): Promise<void> {
    for (;;) {
      const outcome = await this.#visit()
      if (!this.#asksAgain) return this.#settle(outcome)
      this.#note(outcome)
      this.state = 'waiting'
      const pauseMs = Math.min(outcome.retryAfterMs ?? PAUSE_MS, LONGEST_PAUSE_MS)
      if (this.#wantsMore()) await sleep(pauseMs, undefined, { signal: this.#leaving.signal }).catch(() => undefined)
      if (!this.#wantsMore()) return this.#settle(this.bytes > 0 ? { state: 'served', reason: '' } : (this.#lastRefusal ?? outcome))
    }
  }

  #visit(): Promise<Visit> {
    this.#visits++
    this.#request = http.get(this.#url, { agent: false })
    const onBytes = (count: number): void => this.#receive(count)
    const outcome = visit(this.#request, { onBytes, wantsMore: () => this.#wantsMore() })
    return outcome.catch((error: Error) => ({ state: 'failed', reason: error.message }))
  }

  #receive(count: number): void {
    this.bytes += count
    this.#lastBytesAt = performance.now()
    if (this.#struck !== undefined && (this.#visits > this.#struck.visit || this.#lastBytesAt > this.#struck.at + ON_THEIR_WAY_MS)) {
      this.#recovery ??= { at: this.#lastBytesAt, visit: this.#visits }
    }
    if (this.state !== 'waiting') return
    this.state = 'watching'
    this.#answered()
  }

  #note(outcome: Visit): void {
    const { state, reason } = outcome
    if (state === 'refused') this.refusals++
    // Who leaves while it asks once more goes with what it was told before.
    if (this.#wantsMore()) this.#lastRefusal = state === 'refused' ? outcome : undefined
    if (reason === ENGINES_FAILED) this.engineFailures++
    if (state === 'failed' && this.#wantsMore() && this.#struck?.visit !== this.#visits) this.wrongs.push(reason)
  }

  #settle({ state, reason }: Visit): void {
    this.state = state
    this.reason = reason
    this.#answered()
  }

  #answered(): void {
    if (this.waitedMs === 0) this.waitedMs = performance.now() - this.#cameAt
    this.#answer.resolve()
  }

  #wantsMore(): boolean {
    return !this.#leaving.signal.aborted && !this.isOver
  }
}
