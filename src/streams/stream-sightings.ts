import type { EngineSnapshot } from '../engines/list/snapshot.ts'
import type { Engine } from '../model/domain.ts'
import { toMicroseconds } from '../orchestrator/nanoseconds.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Announcer } from './delivery/start-delivery.ts'
import type { LiveStreams } from './live-streams.ts'
import type { Reconciling } from './reconciliation/schedule.ts'
import type { Place, TrackedStream } from './tracked-stream.ts'

/** The parts that the sightings need. */
export interface StreamSightingsParts {
  live: LiveStreams
  announcer: Announcer
  logger: Logger
  reconciling: Reconciling
}

/** Looks for the engines of live streams in every newer list. */
export class StreamSightings {
  readonly #parts: StreamSightingsParts

  constructor(parts: StreamSightingsParts) {
    this.#parts = parts
  }

  note(snapshot: EngineSnapshot): void {
    const { live, announcer, reconciling } = this.#parts
    if (live.size === 0) return
    const listed = new Set(snapshot.engines.map(({ containerId }) => containerId))
    let isSuspicious = false
    for (const stream of live.list) {
      const place = this.#locate(stream, snapshot.engines)
      if (place !== undefined) void announcer.place(stream, place)
      // A comparison under way judges by the list that it asked for.
      if (!reconciling.isRunning && hasGone(stream, snapshot, listed)) isSuspicious = true
    }
    if (isSuspicious) reconciling.soon()
  }

  /** The engine of a stream whose host named it by its address. Its slot has to be there before a slot is taken by this list. */
  #locate(stream: TrackedStream, engines: readonly Engine[]): Place | undefined {
    if (stream.locate === undefined) return undefined
    try {
      return stream.locate(engines)
    } catch (error) {
      // The host's own mapping failed; a later list may pass.
      this.#parts.logger.warn('The engine of a stream could not be looked up in the list', { streamId: stream.id, error })
      return undefined
    }
  }
}

/**
 * Whether the engine was not missing before and is now: one comparison per change. A list without any engine proves nothing, nor does one
 * that may be older than the stream.
 */
function hasGone(stream: TrackedStream, snapshot: EngineSnapshot, listed: ReadonlySet<string>): boolean {
  const { containerId } = stream.engine
  if (containerId === undefined || snapshot.engines.length === 0 || !isLaterThan(stream, snapshot)) return false
  if (!stream.isLive || stream.isBeingTold) return false
  const isMissing = !listed.has(containerId)
  const wasMissing = stream.isEngineMissing
  if (snapshot.takenAtNs === undefined) {
    stream.isEngineMissing = isMissing
    return isMissing && !wasMissing
  }
  // A requested list does not reset this: while pushes and requested lists differ, not every push may start a comparison.
  const wasMissingInPushes = stream.isEngineMissingInPushes
  stream.isEngineMissingInPushes = isMissing
  if (!isMissing) stream.isEngineMissing = false
  return isMissing && !wasMissing && !wasMissingInPushes
}

/** Whether a list was requested after the stream was accepted, or, by the orchestrator's own clock, pushed after the stream was started. */
function isLaterThan({ acceptedAt, startedAtUs }: TrackedStream, { sequence, takenAtNs }: EngineSnapshot): boolean {
  if (sequence > acceptedAt) return true
  return takenAtNs !== undefined && startedAtUs !== undefined && toMicroseconds(takenAtNs) > startedAtUs
}
