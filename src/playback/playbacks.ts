import type { Allocator } from '../engines/leases/allocator.ts'
import { ClientClosedError } from '../errors.ts'
import type { OpenStream, StreamViewer } from '../model/playback.ts'
import type { EndResult } from '../model/stream.ts'
import type { ResolvedJoinOptions, ResolvedOpenOptions } from '../options/resolve-playback.ts'
import { onAbort } from '../runtime/abort.ts'
import type { Emitter } from '../telemetry/events.ts'
import { OneCaller } from './one-caller.ts'
import { Opener, type OpenerParts } from './opener.ts'
import { SharedStreams } from './shared-streams.ts'

/** Dependencies and options of {@link Playbacks}. */
export interface PlaybacksParts extends OpenerParts {
  allocator: Allocator
  emitter: Emitter
  /** How long a caller of `joinStream` that does not wait for an engine waits for the engine list, milliseconds. */
  listWaitMs: number
}

/** The streams of `openStream` and `joinStream`. */
export class Playbacks {
  readonly #parts: PlaybacksParts
  readonly #opener: Opener
  readonly #shared: SharedStreams
  /** The calls of `openStream` that are under way. */
  readonly #calls = new Set<AbortController>()
  #isClosed = false

  constructor(parts: PlaybacksParts) {
    this.#parts = parts
    this.#opener = new Opener(parts)
    this.#shared = new SharedStreams({ ...parts, opener: this.#opener })
  }

  /** Numbers of the shared streams. */
  get counts(): SharedStreams['counts'] {
    return this.#shared.counts
  }

  /** See `OrchestratorClient.openStream`. */
  async open<T>(options: ResolvedOpenOptions<T>): Promise<OpenStream<T>> {
    const { signal } = options
    signal?.throwIfAborted()
    if (this.#isClosed) throw new ClientClosedError()
    const call = new AbortController()
    const stopListening = signal && onAbort(signal, () => call.abort(signal.reason))
    this.#calls.add(call)
    try {
      return await this.#opener.open(options, new OneCaller(this.#parts, options, call.signal))
    } finally {
      stopListening?.()
      this.#calls.delete(call)
    }
  }

  /** See `OrchestratorClient.joinStream`. */
  join<T>(options: ResolvedJoinOptions<T>): Promise<StreamViewer<T>> {
    return this.#shared.join(options)
  }

  /** See {@link Opener.endOnFallback}. */
  endOnFallback(streamId: string, reason: string | undefined): Promise<EndResult> | undefined {
    return this.#opener.endOnFallback(streamId, reason)
  }

  /** See {@link SharedStreams.yieldSlot}. */
  yieldSlot(accepts: (containerId: string) => boolean): Promise<void> | undefined {
    return this.#shared.yieldSlot(accepts)
  }

  /** Rejects all calls that are under way, and ends the streams that the registry does not know. */
  close(): void {
    this.#isClosed = true
    for (const call of this.#calls) call.abort(new ClientClosedError())
    this.#shared.close()
    this.#opener.close()
  }
}
