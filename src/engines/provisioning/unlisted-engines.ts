import type { Engine } from '../../model/engine.ts'
import type { Clock } from '../../runtime/clock.ts'

/** How long an engine is expected. v1 starts every requested engine in the end; one that takes longer was lost in a restart or removed. */
const EXPECTED_MS = 600_000
/** How long an engine is expected if v1 has not acknowledged the request, and so may not have received it. */
const UNCERTAIN_MS = 120_000

/** An engine that was requested from v1 and is not listed yet. */
export interface ExpectedEngine {
  /** When it is no longer expected, milliseconds by the client's clock. */
  expiresAt: number
  /** Whether a request waits for it. If not, it may serve the next request. */
  isAwaited: boolean
  /** The listed engine that counts as this one. */
  containerId: string | undefined
  /** Called with the listed engine, while its list is being accepted. */
  onListed: (engine: Engine) => void
}

/**
 * The engines that were requested from v1 and are not listed yet, oldest first. v1's answer names no engine, and v1 starts all requested
 * engines together (H19). So each engine with an unknown id counts as the oldest one that is expected.
 */
export class UnlistedEngines {
  readonly #clock: Clock
  #expected: ExpectedEngine[] = []
  /** Engines that were listed when the oldest expected one was requested, or since. */
  readonly #knownIds = new Set<string>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many engines are expected. */
  get size(): number {
    return this.#current.length
  }

  /** How many of the expected engines a request waits for. */
  get awaitedCount(): number {
    return this.#current.filter(({ isAwaited }) => isAwaited).length
  }

  /**
   * Records an engine that is about to be requested.
   *
   * @param listed the engines that exist already
   */
  record(listed: readonly Engine[], onListed: (engine: Engine) => void): ExpectedEngine {
    if (this.size === 0) this.#knownIds.clear()
    for (const { containerId } of listed) this.#knownIds.add(containerId)
    const engine: ExpectedEngine = {
      expiresAt: this.#clock.now() + UNCERTAIN_MS,
      isAwaited: true,
      containerId: undefined,
      onListed,
    }
    this.#expected.push(engine)
    return engine
  }

  /** Records that v1 has acknowledged the request. */
  acknowledge(engine: ExpectedEngine): void {
    engine.expiresAt = this.#clock.now() + EXPECTED_MS
  }

  /** Removes an engine whose request v1 has certainly not applied. */
  remove(engine: ExpectedEngine): void {
    this.#expected = this.#expected.filter((other) => other !== engine)
  }

  /** Returns the oldest engine that no request waits for. The caller waits for it from now on. */
  reuse(onListed: (engine: Engine) => void): ExpectedEngine | undefined {
    const engine = this.#current.find(({ isAwaited }) => !isAwaited)
    return engine && Object.assign(engine, { isAwaited: true, onListed })
  }

  /** Accepts a list: each engine that was not known before counts as the oldest expected one. */
  update(listed: readonly Engine[]): void {
    if (this.size === 0) return
    for (const engine of listed) {
      const { containerId } = engine
      if (this.#knownIds.has(containerId)) continue
      this.#knownIds.add(containerId)
      const oldest = this.#expected.shift()
      if (oldest === undefined) continue
      oldest.containerId = containerId
      oldest.onListed(engine)
    }
  }

  /** The engines that are still expected. */
  get #current(): readonly ExpectedEngine[] {
    const now = this.#clock.now()
    if (this.#expected.some(({ expiresAt }) => expiresAt <= now)) {
      this.#expected = this.#expected.filter(({ expiresAt }) => expiresAt > now)
    }
    return this.#expected
  }
}
