import type { EngineSnapshot } from '../engines/list/snapshot.ts'
import type { Engine } from '../model/engine.ts'
import { toMicroseconds } from '../orchestrator/timestamps.ts'
import type { Logger } from '../runtime/logger.ts'
import type { StartDelivery } from './delivery/start-delivery.ts'
import type { ReconcileSchedule } from './reconciliation/schedule.ts'
import type { ListedPlace, TrackedStream } from './tracked-stream.ts'

/** The streams that hold a slot here, by the id the orchestrator knows them by, and by the one they were started under. */
export class LiveStreams {
  readonly #byId = new Map<string, TrackedStream>()
  /** By the id they were started under, where the orchestrator knows them by another. */
  readonly #renamed = new Map<string, TrackedStream>()
  /** How many there are of each content. */
  readonly #viewers = new Map<string, number>()

  get size(): number {
    return this.#byId.size
  }

  get list(): readonly TrackedStream[] {
    return [...this.#byId.values()]
  }

  find(streamId: string): TrackedStream | undefined {
    return this.#byId.get(streamId) ?? this.#renamed.get(streamId)
  }

  has(streamId: string): boolean {
    return this.#byId.has(streamId)
  }

  add(stream: TrackedStream): void {
    this.#byId.set(stream.id, stream)
    this.#count(stream, 1)
  }

  remove(stream: TrackedStream): void {
    if (this.#byId.get(stream.id) !== stream) return
    this.#byId.delete(stream.id)
    this.#renamed.delete(stream.event.streamId)
    this.#count(stream, -1)
  }

  /** The orchestrator knows it by another id. */
  rename(stream: TrackedStream, streamId: string): void {
    if (this.#byId.get(stream.id) === stream) {
      this.#byId.delete(stream.id)
      this.#byId.set(streamId, stream)
      this.#renamed.set(stream.event.streamId, stream)
    }
    stream.id = streamId
  }

  /** Whether somebody else watches the same content. */
  hasNamesake({ event }: TrackedStream): boolean {
    return this.#viewers.has(contentOf(event))
  }

  #count({ event }: TrackedStream, change: number): void {
    const content = contentOf(event)
    const count = (this.#viewers.get(content) ?? 0) + change
    if (count === 0) this.#viewers.delete(content)
    else this.#viewers.set(content, count)
  }
}

function contentOf({ keyType, key }: TrackedStream['event']): string {
  return `${keyType}:${key}`
}

/** The parts that the sightings need. */
export interface SnapshotCheckParts {
  live: LiveStreams
  startDelivery: StartDelivery
  logger: Logger
  reconcileSchedule: ReconcileSchedule
}

/** Looks for the engines of live streams in every newer list. */
export class SnapshotCheck {
  readonly #parts: SnapshotCheckParts

  constructor(parts: SnapshotCheckParts) {
    this.#parts = parts
  }

  note(snapshot: EngineSnapshot): void {
    const { live, startDelivery, reconcileSchedule } = this.#parts
    if (live.size === 0) return
    const listed = new Set(snapshot.engines.map(({ containerId }) => containerId))
    let isSuspicious = false
    for (const stream of live.list) {
      const place = this.#locate(stream, snapshot.engines)
      if (place !== undefined) void startDelivery.place(stream, place)
      // A comparison under way judges by the list that it asked for.
      if (!reconcileSchedule.isRunning && hasGone(stream, snapshot, listed)) isSuspicious = true
    }
    if (isSuspicious) reconcileSchedule.soon()
  }

  /** The engine of a stream whose host named it by its address. Its slot has to be there before a slot is taken by this list. */
  #locate(stream: TrackedStream, engines: readonly Engine[]): ListedPlace | undefined {
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
