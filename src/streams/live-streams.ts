import type { TrackedStream } from './tracked-stream.ts'

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
    stream.renamed(streamId)
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
