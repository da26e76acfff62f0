import type { StartEvent } from '../orchestrator/domain.ts'
import type { Announcement, EndResult, HostEngine, StreamHandle, StreamState } from './stream.ts'

/** What ends a stream; the registry, for a stream, is this. */
export interface StreamEnder {
  end(stream: TrackedStream, reason: unknown): Promise<EndResult>
}

/** One stream's life. The rules that move it on are the registry's; this is what they move. */
export class TrackedStream implements StreamHandle {
  /** What the orchestrator is told; always with the listed address (hazard 7). */
  event: StartEvent
  engine: HostEngine
  state: StreamState = 'announcing'
  announcement: Announcement = 'unsent'
  id: string
  readonly #lost = new AbortController()
  readonly #ender: StreamEnder

  constructor(event: StartEvent, engine: HostEngine, ender: StreamEnder) {
    this.event = event
    this.engine = engine
    this.id = event.streamId
    this.#ender = ender
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Whether it holds a slot here. */
  get isLive(): boolean {
    return this.state === 'announcing' || this.state === 'live'
  }

  markLost(cause: Error): void {
    this.state = 'lost'
    this.#lost.abort(cause)
  }

  end(reason?: string): Promise<EndResult> {
    return this.#ender.end(this, reason)
  }

  /** Leaving a block after an explicit end is no second end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isLive) await this.end()
  }
}
