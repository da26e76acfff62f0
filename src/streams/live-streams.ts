import type { TrackedStream } from './tracked-stream.ts'

/** The streams of this process that are not over. Each holds a slot. */
export class LiveStreams {
  /** By the id by which the orchestrator knows them. */
  readonly #byId = new Map<string, TrackedStream>()
  /** By the id with which they were started, if the orchestrator knows them by another one. */
  readonly #renamed = new Map<string, TrackedStream>()
  /** Number of streams of each content. */
  readonly #countByContent = new Map<string, number>()

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
    this.#count(stream, 1)
  }

  /** Removes a stream. Does nothing if a later stream has its id. */
  remove(stream: TrackedStream): void {
    if (this.#byId.get(stream.id) !== stream) return
    this.#byId.delete(stream.id)
    this.#renamed.delete(stream.event.streamId)
    this.#count(stream, -1)
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

  /** Whether a live stream has the same content. */
  hasSameContent({ event }: TrackedStream): boolean {
    return this.#countByContent.has(contentOf(event))
  }

  #count({ event }: TrackedStream, change: number): void {
    const content = contentOf(event)
    const count = (this.#countByContent.get(content) ?? 0) + change
    if (count === 0) this.#countByContent.delete(content)
    else this.#countByContent.set(content, count)
  }
}

function contentOf({ keyType, key }: TrackedStream['event']): string {
  return `${keyType}:${key}`
}
