import type { LiveContents } from '../engines/placement/same-content.ts'
import { type Content, contentKeyOf, normalizeKey } from '../model/content.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** The streams of this process that are not over. Each holds a slot. */
export class LiveStreams implements LiveContents {
  /** By the id by which the orchestrator knows them. */
  readonly #byId = new Map<string, TrackedStream>()
  /** By the id with which they were started, if the orchestrator knows them by another one. */
  readonly #renamed = new Map<string, TrackedStream>()
  /** By the normalized key of their content. */
  readonly #byKey = new Map<string, Set<TrackedStream>>()

  get size(): number {
    return this.#byId.size
  }

  get list(): readonly TrackedStream[] {
    return [...this.#byId.values()]
  }

  /** The stream that has this id, or was started with it. */
  find(streamId: string): TrackedStream | undefined {
    return this.#byId.get(streamId) ?? this.#renamed.get(streamId)
  }

  /** Whether the orchestrator knows a stream by this id. */
  has(streamId: string): boolean {
    return this.#byId.has(streamId)
  }

  add(stream: TrackedStream): void {
    this.#byId.set(stream.id, stream)
    const key = normalizeKey(stream.event.key)
    this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(stream))
  }

  /** Removes a stream. Does nothing if a later stream has its id. */
  remove(stream: TrackedStream): void {
    if (this.#byId.get(stream.id) !== stream) return
    this.#byId.delete(stream.id)
    this.#renamed.delete(stream.event.streamId)
    const key = normalizeKey(stream.event.key)
    const streams = this.#byKey.get(key)
    streams?.delete(stream)
    if (streams?.size === 0) this.#byKey.delete(key)
  }

  /** Records that the orchestrator knows the stream by another id. */
  rename(stream: TrackedStream, streamId: string): void {
    if (this.#byId.get(stream.id) === stream) {
      this.#byId.delete(stream.id)
      this.#byId.set(streamId, stream)
      this.#renamed.set(stream.event.streamId, stream)
    }
    stream.renamed(streamId)
  }

  /** Whether a live stream has the same key, of any type: the orchestrator of 2026-04 compares keys alone (H6). */
  hasSameKey({ event }: TrackedStream): boolean {
    return this.#byKey.has(normalizeKey(event.key))
  }

  enginesWith(content: Content): ReadonlySet<string> {
    const contentKey = contentKeyOf(content)
    const engines = new Set<string>()
    for (const { event } of this.#byKey.get(normalizeKey(content.key)) ?? []) {
      if (event.containerId !== undefined && contentKeyOf(event) === contentKey) engines.add(event.containerId)
    }
    return engines
  }
}
