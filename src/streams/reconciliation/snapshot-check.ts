import type { EngineSnapshot } from '../../engines/list/snapshot.ts'
import type { Engine } from '../../model/engine.ts'
import type { ListedPlace } from '../../model/stream.ts'
import { toMicroseconds } from '../../orchestrator/timestamps.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { StartDelivery } from '../delivery/start-delivery.ts'
import type { LiveStreams } from '../live-streams.ts'
import type { TrackedStream } from '../tracked-stream.ts'
import type { ReconcileSchedule } from './schedule.ts'

/** Dependencies of {@link SnapshotCheck}. */
export interface SnapshotCheckParts {
  live: LiveStreams
  startDelivery: StartDelivery
  reconcileSchedule: ReconcileSchedule
  logger: Logger
}

/**
 * Compares every new engine list with the engines of the live streams. If an engine disappeared, the client reconciles soon. If a host
 * named an engine by its address, the stream gets its container id from the list.
 */
export class SnapshotCheck {
  readonly #parts: SnapshotCheckParts

  constructor(parts: SnapshotCheckParts) {
    this.#parts = parts
  }

  /**
   * Call this for each list that is newer than the last one. Synchronous: a stream has its slot on its engine before another caller takes a
   * slot by this list. Never throws.
   */
  check(snapshot: EngineSnapshot): void {
    const { live, startDelivery, reconcileSchedule } = this.#parts
    if (live.size === 0) return
    const listedIds = new Set(snapshot.engines.map(({ containerId }) => containerId))
    let hasEngineGone = false
    for (const stream of live.list) {
      const place = this.#locate(stream, snapshot.engines)
      if (place !== undefined) void startDelivery.place(stream, place)
      // A reconciliation in progress uses the list that it requested itself.
      if (!reconcileSchedule.isRunning && hasDisappeared(stream, snapshot, listedIds)) hasEngineGone = true
    }
    if (hasEngineGone) reconcileSchedule.runSoon()
  }

  /** The engine that the host named by its address, if this list has it. */
  #locate(stream: TrackedStream, engines: readonly Engine[]): ListedPlace | undefined {
    try {
      return stream.locate(engines)
    } catch (error) {
      const message = 'The engine of a stream was not searched in the list, because mapEngine failed; the next engine list is tried'
      this.#parts.logger.warn(message, { streamId: stream.id, error })
      return undefined
    }
  }
}

/**
 * Whether this list is the first one without the engine of the stream, so that one change starts one reconciliation. A list without
 * engines proves nothing, and a list that may be older than the stream proves nothing either.
 */
function hasDisappeared(stream: TrackedStream, snapshot: EngineSnapshot, listedIds: ReadonlySet<string>): boolean {
  const { containerId } = stream.engine
  if (containerId === undefined || snapshot.engines.length === 0 || !isLaterThan(stream, snapshot)) return false
  if (!stream.shouldBeListed || stream.phase === 'starting') return false
  return stream.engineListed(listedIds.has(containerId), { isPushed: snapshot.takenAtNs !== undefined })
}

/** Whether the list was requested after the stream was accepted, or was pushed after the stream started by the orchestrator's own clock. */
function isLaterThan({ acceptedAt, startedAtUs }: TrackedStream, { sequence, takenAtNs }: EngineSnapshot): boolean {
  if (sequence > acceptedAt) return true
  return takenAtNs !== undefined && startedAtUs !== undefined && toMicroseconds(takenAtNs) > startedAtUs
}
