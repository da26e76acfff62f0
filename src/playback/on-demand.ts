import type { AcquireRequest } from '../engines/leases/acquire-request.ts'
import { acquireObserved } from '../engines/leases/observed-acquire.ts'
import type { EngineLease } from '../model/lease.ts'
import type { OpenStream, StreamViewer } from '../model/playback.ts'
import type { EndResult } from '../model/stream.ts'
import type { ResolvedJoinOptions, ResolvedOpenOptions } from '../options/resolve-playback.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import { Chunk } from '../runtime/chunk.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'
import type { Operation } from '../telemetry/operations.ts'
import type { Playbacks, PlaybacksParts } from './playbacks.ts'

type PlaybackCode = typeof import('./playbacks.ts')

/** The code of `openStream` and `joinStream`. */
export const playbackChunk: Chunk<PlaybackCode> = new Chunk('playbacks', () => import('./playbacks.ts'))

const NO_COUNTS: Playbacks['counts'] = { shared: 0, viewers: 0, lingering: 0 }

/** The {@link Playbacks} of a client, whose code is loaded with the first call of `openStream` or `joinStream`. */
export class PlaybacksOnDemand implements Pick<Playbacks, keyof Playbacks> {
  readonly #parts: PlaybacksParts
  #playbacks: Playbacks | undefined
  /** Calls that wait for the code. */
  #waitingCount = 0

  constructor(parts: PlaybacksParts) {
    this.#parts = parts
  }

  /** See {@link Playbacks.counts}. */
  get counts(): Playbacks['counts'] {
    return this.#playbacks?.counts ?? NO_COUNTS
  }

  /** See {@link Playbacks.open}. */
  open<T>(options: ResolvedOpenOptions<T>): Promise<OpenStream<T>> {
    const { keyType, key, signal } = options
    return this.#run({ kind: 'open', keyType, key }, signal, (playbacks) => playbacks.open(options))
  }

  /** See {@link Playbacks.join}. */
  join<T>(options: ResolvedJoinOptions<T>): Promise<StreamViewer<T>> {
    const { keyType, key, signal } = options
    return this.#run({ kind: 'join', keyType, key }, signal, (playbacks) => playbacks.join(options))
  }

  /** See {@link Playbacks.endOnFallback}. */
  endOnFallback(streamId: string, reason: string | undefined): Promise<EndResult> | undefined {
    return this.#playbacks?.endOnFallback(streamId, reason)
  }

  /** See {@link Playbacks.yieldSlot}. */
  yieldSlot(accepts: (containerId: string) => boolean): Promise<void> | undefined {
    return this.#playbacks?.yieldSlot(accepts)
  }

  /** See {@link Playbacks.close}. */
  close(): void {
    this.#playbacks?.close()
  }

  /** See `Allocator.acquireNow`. Calls that wait for the code come first: callers are served in the order of their calls. */
  acquire(request: AcquireRequest): MaybePromise<EngineLease> {
    const { allocator } = this.#parts
    const acquire = (): MaybePromise<EngineLease> => allocator.acquireNow(request)
    return acquireObserved(this.#parts, this.#isLoading ? () => this.#afterLoad(request.signal, acquire) : acquire)
  }

  get #isLoading(): boolean {
    return this.#waitingCount > 0
  }

  #run<T>(operation: Operation, signal: AbortSignal | undefined, call: (playbacks: Playbacks) => Promise<T>): Promise<T> {
    return this.#parts.emitter.operations.run(operation, () => this.#use(signal, call))
  }

  #use<T>(signal: AbortSignal | undefined, call: (playbacks: Playbacks) => Promise<T>): Promise<T> {
    const code = this.#isLoading ? undefined : playbackChunk.code
    if (code !== undefined) return call(this.#make(code))
    return this.#afterLoad(signal, (loaded, error) => {
      if (loaded === undefined) throw error
      return call(this.#make(loaded))
    })
  }

  /** @param call gets the code, or the reason why it has none: the load failed, or `signal` has aborted */
  async #afterLoad<T>(
    signal: AbortSignal | undefined,
    call: (code: PlaybackCode | undefined, error: unknown) => MaybePromise<T>,
  ): Promise<T> {
    this.#waitingCount += 1
    let code: PlaybackCode | undefined
    let failure: unknown
    try {
      code = await waitUnlessAborted(playbackChunk.load(), signal)
    } catch (error) {
      failure = error
    }
    // In the same step as `call`, so that a later call cannot come between.
    this.#waitingCount -= 1
    return call(code, failure)
  }

  /** After a close the new object finds the allocator closed, so it opens nothing. */
  #make(code: PlaybackCode): Playbacks {
    this.#playbacks ??= new code.Playbacks(this.#parts)
    return this.#playbacks
  }
}
