import type { Clock } from '../../runtime/clock.ts'

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
