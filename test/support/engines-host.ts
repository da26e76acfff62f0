import type { Engine, JoinStreamOptions, PlaybackSession } from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'

/** A playback on an engine of an {@link EnginesHost}. */
export interface TestPlayback {
  readonly session: string
  readonly containerId: string
}

/** What happens to one call of `open` or `close`. */
export interface Behaviour {
  /** How long it takes, milliseconds. `Infinity`: for ever, even if it is aborted. @default 0 */
  readonly delayMs?: number
  /** With what it rejects. @default it resolves */
  readonly error?: unknown
}

/** A host's own code for engines: `open` and `close`, whose calls it records and checks. */
export class EnginesHost {
  /** The containers on which `open` was called, in order. */
  readonly tried: string[] = []
  readonly signals: AbortSignal[] = []
  /** The sessions that are open now. */
  readonly sessions = new Map<string, TestPlayback>()
  /** Calls of `close`, by session. */
  readonly closes = new Map<string, number>()
  /** Most sessions that were open at the same time, by engine. */
  readonly peaks = new Map<string, number>()
  openCount = 0
  openedCount = 0
  openingCount = 0
  /** Most calls of `open` that were under way at the same time. */
  openingPeak = 0
  onOpen: (engine: Engine, attempt: number) => Behaviour = () => ({})
  onClose: (playback: TestPlayback) => Behaviour = () => ({})
  readonly #clock: ManualClock
  readonly #name: string

  constructor(clock: ManualClock, name = 'session') {
    this.#clock = clock
    this.#name = name
  }

  readonly open: JoinStreamOptions<TestPlayback>['open'] = async (engine, { signal, attempt }) => {
    this.openCount += 1
    const number = this.openCount
    this.tried.push(engine.containerId)
    this.signals.push(signal as AbortSignal)
    this.openingCount += 1
    this.openingPeak = Math.max(this.openingPeak, this.openingCount)
    const { delayMs = 0, error } = this.onOpen(engine, attempt)
    try {
      await this.#pause(delayMs)
      if (error !== undefined) throw error
    } finally {
      this.openingCount -= 1
    }
    const playback = { session: `${this.#name} ${number}`, containerId: engine.containerId }
    this.sessions.set(playback.session, playback)
    this.openedCount += 1
    const onEngine = [...this.sessions.values()].filter(({ containerId }) => containerId === engine.containerId).length
    this.peaks.set(engine.containerId, Math.max(this.peaks.get(engine.containerId) ?? 0, onEngine))
    return { session: sessionOf(playback.session), playback }
  }

  readonly close = async (playback: TestPlayback): Promise<void> => {
    this.closes.set(playback.session, (this.closes.get(playback.session) ?? 0) + 1)
    const { delayMs = 0, error } = this.onClose(playback)
    await this.#pause(delayMs)
    this.sessions.delete(playback.session)
    if (error !== undefined) throw error
  }

  async #pause(delayMs: number): Promise<void> {
    if (delayMs > 0) await new Promise<void>((resolve) => void this.#clock.setTimeout(resolve, Math.min(delayMs, 2 ** 50)))
  }
}

/** The answer of an engine. */
export function sessionOf(playbackSessionId: string): PlaybackSession {
  return { playbackSessionId, statUrl: 'http://engine:6878/stat', commandUrl: 'http://engine:6878/cmd' }
}
