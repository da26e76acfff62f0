import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES_FAILED, type Visit, visit } from './visit.ts'

/** Minimum time to watch after the first bytes, even if the stream of the trace was shorter. */
const MIN_WATCH_MS = 100
/** Longest pause before a retry. Viewers ignore a longer `Retry-After`. */
const MAX_PAUSE_MS = 2_000
const PAUSE_MS = 500
/** How long a viewer waits for the first bytes before it leaves. */
const PATIENCE_MS = 20_000
/** Bytes that a dead engine sent before may arrive within this time. */
const IN_FLIGHT_MS = 500
/** Bytes arrive many times a second, so a stream without bytes for this long is stalled. */
const FLOWING_MS = 2_000

export type ViewerState = 'waiting' | 'watching' | 'served' | 'refused' | 'failed'
/** How a viewer got bytes again after its engine died: in the same response, by a retry, not before it left, or never. */
export type RecoveryKind = 'continued' | 'retried' | 'left' | 'none'

/** A viewer with a player: requests a stream from the proxy, and reads every byte. */
export class Viewer {
  state: ViewerState = 'waiting'
  bytes = 0
  /** Milliseconds from the first request to the first bytes, or to the final refusal. */
  waitedMs = 0
  /** Why the viewer was refused, or how its request failed. */
  reason = ''
  /** Resolves when the first bytes have arrived, or none will. */
  readonly answered: Promise<void>
  /** Resolves when the viewer is gone. Never rejects. */
  readonly gone: Promise<void>
  /** Set before the proxy stops: a stream that ends afterwards does not count as cut off. */
  isOver = false
  /** Number of refusals with a `Retry-After`. */
  refusals = 0
  /** Number of refusals because the engines failed. */
  engineFailures = 0
  /** Failures while the engine of the viewer was healthy. */
  readonly wrongCuts: string[] = []
  /** The content that the viewer watches. */
  readonly infohash: string
  readonly #url: string
  readonly #retries: boolean
  readonly #minWatchMs: number
  readonly #cameAt = performance.now()
  readonly #leaving = new AbortController()
  readonly #answer = Promise.withResolvers<void>()
  #request: http.ClientRequest | undefined
  #visits = 0
  #lastBytesAt = 0
  #lastRefusal: Visit | undefined
  #engineDeath: { at: number; visit: number; wasWatching: boolean } | undefined
  #firstBytesAfterDeath: { at: number; visit: number } | undefined

  /** With `retries` the viewer retries when it is cut off or refused, as players do, until it leaves. */
  constructor(proxyUrl: string, infohash: string, { retries = false, minWatchMs = MIN_WATCH_MS } = {}) {
    this.infohash = infohash
    this.#url = `${proxyUrl}/ace/getstream?infohash=${infohash}`
    this.#retries = retries
    this.#minWatchMs = minWatchMs
    this.answered = this.#answer.promise
    this.gone = this.#stay()
  }

  /** Whether the viewer is gone, or gets bytes. */
  get isSatisfied(): boolean {
    if (this.state === 'waiting') return false
    return this.state !== 'watching' || performance.now() - this.#lastBytesAt < FLOWING_MS
  }

  /** Records that the engine of this viewer has just died. */
  markEngineDead(): void {
    if (this.state !== 'waiting' && this.state !== 'watching') return
    this.#engineDeath = { at: performance.now(), visit: this.#visits, wasWatching: this.state === 'watching' }
  }

  /**
   * How the viewer got bytes again after {@link markEngineDead}, and after how many milliseconds. `undefined` if it was not watching
   * then.
   */
  get recovery(): { kind: RecoveryKind; gapMs: number } | undefined {
    if (!this.#engineDeath?.wasWatching) return undefined
    const { at, visit } = this.#engineDeath
    if (this.#firstBytesAfterDeath === undefined) return { kind: this.#leaving.signal.aborted ? 'left' : 'none', gapMs: 0 }
    return { kind: this.#firstBytesAfterDeath.visit === visit ? 'continued' : 'retried', gapMs: this.#firstBytesAfterDeath.at - at }
  }

  /** Leaves, but waits for the first bytes before: the demo checks that they arrive. */
  async leave(): Promise<void> {
    await Promise.race([this.answered, sleep(PATIENCE_MS, undefined, { ref: false })])
    if (this.state === 'watching') await sleep(this.#minWatchMs)
    this.#leaving.abort()
    this.#request?.destroy()
  }

  async #stay(): Promise<void> {
    for (;;) {
      const outcome = await this.#visit()
      if (!this.#retries) return this.#settle(outcome)
      this.#note(outcome)
      this.state = 'waiting'
      const pauseMs = Math.min(outcome.retryAfterMs ?? PAUSE_MS, MAX_PAUSE_MS)
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
    if (
      this.#engineDeath !== undefined &&
      (this.#visits > this.#engineDeath.visit || this.#lastBytesAt > this.#engineDeath.at + IN_FLIGHT_MS)
    ) {
      this.#firstBytesAfterDeath ??= { at: this.#lastBytesAt, visit: this.#visits }
    }
    if (this.state !== 'waiting') return
    this.state = 'watching'
    this.#answered()
  }

  #note(outcome: Visit): void {
    const { state, reason } = outcome
    if (state === 'refused') this.refusals++
    // If the viewer leaves during a retry, the refusal before it is the outcome.
    if (this.#wantsMore()) this.#lastRefusal = state === 'refused' ? outcome : undefined
    if (reason === ENGINES_FAILED) this.engineFailures++
    if (state === 'failed' && this.#wantsMore() && this.#engineDeath?.visit !== this.#visits) this.wrongCuts.push(reason)
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
