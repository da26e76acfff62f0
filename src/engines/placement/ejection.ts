import type { Clock } from '../../runtime/clock.ts'

const FAILURES_TO_EJECT = 3
const FIRST_EJECTION_MS = 30_000
const LONGEST_EJECTION_MS = 300_000
/** Contents remembered for each engine; with more, the oldest is forgotten, and counts once more if it fails again. */
const MAX_FAILED_CONTENTS = 100

interface Entry {
  /** In a row. */
  failures: number
  ejections: number
  ejectedUntil: number
  /** Contents that failed here, each with its failures that were not counted: the content may be dead. Oldest first. */
  readonly contents: Map<string, number>
}

/** A failure that ejected an engine. */
export interface Ejection {
  readonly containerId: string
  readonly failures: number
  readonly ejectedMs: number
}

/** What is known of a failure. */
export interface Blame {
  /** The content that was to be played. */
  readonly key: string
  /** Whether the engine could not be reached at all: that is no content's fault. */
  readonly isUnreachable: boolean
}

/**
 * Which engines failed lately. The orchestrator's health does not see an engine that answers 500 to everything (H20); only the proxy does.
 * Three failures in a row eject an engine for 30 s, doubling up to 5 min. A stream that starts there clears it. A content that fails
 * everywhere is dead: its failures count once for each engine, and in full once it played on another.
 */
export class EjectionPolicy {
  readonly #entries = new Map<string, Entry>()
  readonly #playbacks: Playbacks
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
    this.#playbacks = new Playbacks(clock)
  }

  /** Counts a failure. Answers the ejection that it caused. Without `blame` it counts in full. */
  fail(containerId: string, blame?: Blame): Ejection | undefined {
    const entry = this.#entries.get(containerId) ?? { failures: 0, ejections: 0, ejectedUntil: 0, contents: new Map<string, number>() }
    // Viewers who were there when it was ejected fail too; that is the same failure, seen again.
    if (entry.ejectedUntil > this.#clock.now()) return undefined
    this.#entries.set(containerId, entry)
    if (blame !== undefined && !blame.isUnreachable && !this.#counts(containerId, entry, contentOf(blame.key))) return undefined
    return this.#count(containerId, entry)
  }

  /** A stream of this content started on this engine. Answers the engines that are ejected now, since the content is not dead. */
  succeed(containerId: string, key: string): readonly Ejection[] {
    this.#entries.delete(containerId)
    const content = contentOf(key)
    this.#playbacks.note(content, containerId)
    return [...this.#entries].flatMap(([id, entry]) => {
      const uncounted = entry.contents.get(content) ?? 0
      if (uncounted === 0) return []
      entry.contents.set(content, 0)
      const ejections = Array.from({ length: uncounted }, () => this.#count(id, entry))
      return ejections.filter((ejection) => ejection !== undefined)
    })
  }

  /** The engines to leave out now: never more than half of those listed, those ejected the longest ahead first. */
  ejectedAmong(containerIds: readonly string[]): ReadonlySet<string> {
    if (this.#entries.size === 0) return new Set()
    const now = this.#clock.now()
    const ejected = containerIds.filter((id) => (this.#entries.get(id)?.ejectedUntil ?? 0) > now)
    const allowed = Math.floor(containerIds.length / 2)
    if (ejected.length <= allowed) return new Set(ejected)
    const until = (id: string): number => this.#entries.get(id)?.ejectedUntil ?? 0
    return new Set(ejected.toSorted((a, b) => until(b) - until(a)).slice(0, allowed))
  }

  /** Forgets engines that are listed no more. */
  retain(containerIds: ReadonlySet<string>): void {
    for (const id of this.#entries.keys()) if (!containerIds.has(id)) this.#entries.delete(id)
  }

  /** Whether a failure of this content counts; one that does not is kept for the case that the content plays elsewhere. */
  #counts(containerId: string, { contents }: Entry, content: string): boolean {
    const uncounted = contents.get(content)
    const playsElsewhere = this.#playbacks.playedElsewhere(content, containerId)
    if (uncounted === undefined) {
      contents.set(content, 0)
      const [oldest] = contents.keys()
      if (contents.size > MAX_FAILED_CONTENTS && oldest !== undefined) contents.delete(oldest)
      return true
    }
    // Beyond those that eject, further ones would change nothing.
    if (!playsElsewhere) contents.set(content, Math.min(uncounted + 1, FAILURES_TO_EJECT))
    return playsElsewhere
  }

  #count(containerId: string, entry: Entry): Ejection | undefined {
    if (entry.ejectedUntil > this.#clock.now()) return undefined
    entry.failures += 1
    if (entry.failures % FAILURES_TO_EJECT !== 0) return undefined
    const ejectedMs = Math.min(FIRST_EJECTION_MS * 2 ** entry.ejections, LONGEST_EJECTION_MS)
    entry.ejections += 1
    entry.ejectedUntil = this.#clock.now() + ejectedMs
    return { containerId, failures: entry.failures, ejectedMs }
  }
}

/** Infohashes and content ids compare without case. */
function contentOf(key: string): string {
  return /^[0-9a-f]{40}$/i.test(key) ? key.toLowerCase() : key
}

/** How long a playback proves that its content is alive. */
const PROVES_MS = 600_000
/** Contents remembered; with more, the one that played longest ago is forgotten. */
const MAX_CONTENTS = 1_000
/** Two are enough to know of any engine whether the content played on another. */
const MAX_ENGINES = 2

/** Which contents played lately, and on which engines: a content that plays on one engine and fails on another is not dead. */
export class Playbacks {
  /** When each content played on its last engines. The content, and the engine, that played longest ago comes first. */
  readonly #playedAt = new Map<string, Map<string, number>>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The content plays on this engine now. */
  note(content: string, containerId: string): void {
    const engines = this.#playedAt.get(content) ?? new Map<string, number>()
    this.#playedAt.delete(content)
    this.#playedAt.set(content, engines)
    engines.delete(containerId)
    engines.set(containerId, this.#clock.now())
    dropOldest(engines, MAX_ENGINES)
    dropOldest(this.#playedAt, MAX_CONTENTS)
  }

  /** Whether the content played lately on another engine than this. */
  playedElsewhere(content: string, containerId: string): boolean {
    const since = this.#clock.now() - PROVES_MS
    return [...(this.#playedAt.get(content) ?? [])].some(([id, at]) => id !== containerId && at >= since)
  }
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  const [oldest] = map.keys()
  if (map.size > max && oldest !== undefined) map.delete(oldest)
}
