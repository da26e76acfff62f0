import { normalizeKey } from '../../model/content.ts'
import type { Clock } from '../../runtime/clock.ts'

/** Failures in a row that eject an engine. */
const FAILURES_TO_EJECT = 3
const FIRST_EJECTION_MS = 30_000
const MAX_EJECTION_MS = 300_000
/** Failed contents remembered for each engine. The oldest is forgotten first; if it fails again, it counts once more. */
const MAX_FAILED_CONTENTS = 100

const NONE: ReadonlySet<string> = new Set()

/** Knows where each engine is in a list. */
interface Positions {
  /** Number of engines in the list. */
  readonly size: number
  positionOf(containerId: string): number | undefined
}

function positionsOf(containerIds: readonly string[]): Positions {
  const positions = new Map(containerIds.map((id, position) => [id, position]))
  return { size: positions.size, positionOf: (id) => positions.get(id) }
}

/** The failures of an engine that has not started a stream since. */
interface FailedEngine {
  /** Counted failures in a row. */
  failureCount: number
  ejectionCount: number
  /** Milliseconds by the client's clock. */
  ejectedUntil: number
  /** Contents that failed on this engine, each with its number of failures that were not counted. Oldest first. */
  readonly contents: Map<string, number>
}

/** An engine was ejected: it gets no new stream for `ejectedMs`. */
export interface Ejection {
  readonly containerId: string
  /** Counted failures in a row. */
  readonly failures: number
  readonly ejectedMs: number
}

/** A failure on an engine, as the host reported it. */
export interface EngineFailure {
  /** The content that should have been played. */
  readonly key: string
  /** Whether the engine could not be reached at all. No content can cause that, so it always counts. */
  readonly isUnreachable: boolean
}

/**
 * Decides which engines get no new streams because streams failed there. The orchestrator's health check does not notice an engine that
 * answers 500 to every request (H20); only the proxy does.
 *
 * Three failures in a row eject an engine for 30 s, doubling up to 5 min. A stream that starts on the engine clears its failures. A dead
 * content fails on every engine, so failures of one content count once for each engine. They count in full once that content has played on
 * another engine.
 */
export class EjectionPolicy {
  readonly #engines = new Map<string, FailedEngine>()
  #changeCount = 0
  readonly #playbacks: ContentHistory
  readonly #failures: ContentHistory
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
    this.#playbacks = new ContentHistory(clock, MAX_PLAYBACK_ENGINES)
    this.#failures = new ContentHistory(clock, MAX_FAILED_ENGINES)
  }

  /**
   * Records that a stream failed on an engine.
   *
   * @param failure the details that the host reported. Without them the failure counts in full
   * @returns the ejection, if this failure caused one
   */
  recordFailure(containerId: string, failure?: EngineFailure): Ejection | undefined {
    const content = failure && normalizeKey(failure.key)
    if (content !== undefined) this.#failures.record(content, containerId)
    const engine = this.#engines.get(containerId) ?? {
      failureCount: 0,
      ejectionCount: 0,
      ejectedUntil: 0,
      contents: new Map<string, number>(),
    }
    // When an engine breaks, all its viewers fail. After the ejection, the remaining viewers report the same failure.
    if (engine.ejectedUntil > this.#clock.now()) return undefined
    this.#engines.set(containerId, engine)
    const mayBeContent = content !== undefined && failure?.isUnreachable === false
    if (mayBeContent && !this.#mustCount(containerId, engine, content)) return undefined
    return this.#count(containerId, engine)
  }

  /**
   * Records that a stream of this content started on an engine. The content is not dead, so its failures on other engines count now.
   *
   * @returns the ejections that this causes
   */
  recordSuccess(containerId: string, key: string): readonly Ejection[] {
    this.#forget(containerId)
    const content = normalizeKey(key)
    this.#failures.remove(content, containerId)
    this.#playbacks.record(content, containerId)
    return [...this.#engines].flatMap(([id, engine]) => {
      const uncounted = engine.contents.get(content) ?? 0
      if (uncounted === 0) return []
      engine.contents.set(content, 0)
      const ejections = Array.from({ length: uncounted }, () => this.#count(id, engine))
      return ejections.filter((ejection) => ejection !== undefined)
    })
  }

  /** The ejected engines among these, at most half of all. If more are ejected, the engines with the longest remaining ejections. */
  ejectedAmong(containerIds: readonly string[]): ReadonlySet<string> {
    return this.#engines.size === 0 ? NONE : this.ejectedIn(positionsOf(containerIds))
  }

  /**
   * The same, for engines whose positions in the list are known. It reads only the engines that have failed. Until {@link nextEndMs}, and as
   * long as {@link changeCount} stays the same, it returns the same engines.
   */
  ejectedIn(list: Positions): ReadonlySet<string> {
    const now = this.#clock.now()
    const ejected: { readonly id: string; readonly until: number; readonly position: number }[] = []
    for (const [id, { ejectedUntil: until }] of this.#engines) {
      const position = list.positionOf(id)
      if (position !== undefined && until > now) ejected.push({ id, until, position })
    }
    if (ejected.length === 0) return NONE
    ejected.sort((a, b) => b.until - a.until || a.position - b.position)
    return new Set(ejected.slice(0, Math.floor(list.size / 2)).map(({ id }) => id))
  }

  /** Changes whenever an ejection begins, or ends before its time. */
  get changeCount(): number {
    return this.#changeCount
  }

  /** When the next ejection ends, milliseconds by the client's clock. */
  get nextEndMs(): number {
    const now = this.#clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const { ejectedUntil } of this.#engines.values()) if (ejectedUntil > now) next = Math.min(next, ejectedUntil)
    return next
  }

  /** The engines on which this content failed lately and has not played since. */
  enginesFailedBy(key: string): readonly string[] {
    return this.#failures.recentEngines(normalizeKey(key))
  }

  /** Forgets all engines but these. */
  retain(containerIds: ReadonlySet<string>): void {
    for (const id of this.#engines.keys()) if (!containerIds.has(id)) this.#forget(id)
  }

  #forget(containerId: string): void {
    if (this.#engines.delete(containerId)) this.#changeCount += 1
  }

  /** Whether a failure of this content counts. If not, it is kept until the content plays on another engine. */
  #mustCount(containerId: string, { contents }: FailedEngine, content: string): boolean {
    const uncounted = contents.get(content)
    const playedElsewhere = this.#playbacks.recentEngines(content).some((id) => id !== containerId)
    if (uncounted === undefined) {
      contents.set(content, 0)
      dropOldest(contents, MAX_FAILED_CONTENTS)
      return true
    }
    // More uncounted failures than an ejection needs would change nothing.
    if (!playedElsewhere) contents.set(content, Math.min(uncounted + 1, FAILURES_TO_EJECT))
    return playedElsewhere
  }

  #count(containerId: string, engine: FailedEngine): Ejection | undefined {
    if (engine.ejectedUntil > this.#clock.now()) return undefined
    engine.failureCount += 1
    if (engine.failureCount % FAILURES_TO_EJECT !== 0) return undefined
    const ejectedMs = Math.min(FIRST_EJECTION_MS * 2 ** engine.ejectionCount, MAX_EJECTION_MS)
    engine.ejectionCount += 1
    engine.ejectedUntil = this.#clock.now() + ejectedMs
    this.#changeCount += 1
    return { containerId, failures: engine.failureCount, ejectedMs }
  }
}

/** For this long, a playback proves that its content is alive, and a failed content prefers other engines. */
const RECENT_MS = 600_000
/** Contents remembered. The content that was recorded the longest ago is forgotten first. */
const MAX_CONTENTS = 1_000
/** Engines remembered for a content that played. Two suffice to know, for any engine, whether the content played on another one. */
const MAX_PLAYBACK_ENGINES = 2
/** Engines remembered for a content that failed. */
const MAX_FAILED_ENGINES = 100

/** On which engines contents played lately, or on which they failed lately. */
class ContentHistory {
  /** Content -> engine -> when it was recorded. The content and the engine that were recorded the longest ago come first. */
  readonly #recordedAt = new Map<string, Map<string, number>>()
  readonly #clock: Clock
  readonly #maxEngines: number

  constructor(clock: Clock, maxEngines: number) {
    this.#clock = clock
    this.#maxEngines = maxEngines
  }

  /** Records that the content plays, or fails, on this engine now. */
  record(content: string, containerId: string): void {
    const engines = this.#recordedAt.get(content) ?? new Map<string, number>()
    this.#recordedAt.delete(content)
    this.#recordedAt.set(content, engines)
    engines.delete(containerId)
    engines.set(containerId, this.#clock.now())
    dropOldest(engines, this.#maxEngines)
    dropOldest(this.#recordedAt, MAX_CONTENTS)
  }

  /** Forgets what was recorded of the content on this engine. */
  remove(content: string, containerId: string): void {
    const engines = this.#recordedAt.get(content)
    engines?.delete(containerId)
    if (engines?.size === 0) this.#recordedAt.delete(content)
  }

  /** The engines for which the content was recorded lately. */
  recentEngines(content: string): readonly string[] {
    const since = this.#clock.now() - RECENT_MS
    return [...(this.#recordedAt.get(content) ?? [])].flatMap(([containerId, at]) => (at >= since ? [containerId] : []))
  }
}

/** Removes the first entry of a map that has more than `max`. */
function dropOldest(map: Map<string, unknown>, max: number): void {
  const [oldest] = map.keys()
  if (map.size > max && oldest !== undefined) map.delete(oldest)
}
