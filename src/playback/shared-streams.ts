import { ClientClosedError } from '../errors.ts'
import { contentKeyOf } from '../model/content.ts'
import type { StreamViewer } from '../model/playback.ts'
import type { ResolvedJoinOptions } from '../options/resolve-playback.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Emitter } from '../telemetry/events.ts'
import type { Opener } from './opener.ts'
import { type CallerTerms, Opening, type OpeningParts } from './opening.ts'
import { SharedStream } from './shared-stream.ts'

/** Dependencies of {@link SharedStreams}. */
export interface SharedStreamsParts extends Omit<OpeningParts, 'onDeserted'> {
  opener: Opener
  clock: Clock
  emitter: Emitter
}

/** How patient the callers of a failed opening were. */
type Patience = Pick<CallerTerms, 'waitMs' | 'mayProvision'>

/** What is known of one content. The values of `T` differ from content to content, and one host passes the same for one content. */
type Entry =
  | { readonly kind: 'opening'; readonly opening: Opening<StreamViewer<unknown>> }
  | { readonly kind: 'open'; readonly shared: SharedStream<unknown> }
  /** A stream has ended, or nobody waits for it any more. `free` resolves when its playback is closed and its slot is released. */
  | { readonly kind: 'ending'; readonly free: Promise<void> }
  /** It could not be opened a moment ago. `terms`: how patient its callers were, if they got no engine. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly terms: Patience | undefined; readonly timer: Timer }

/** For this long, callers get the error of an opening that has failed: fifty players that try again at once must not open it fifty times. */
const FAILURE_MS = 1_000

/** The streams that `joinStream` shares: for each content at most one opening, and at most one stream, at any time. */
export class SharedStreams {
  readonly #parts: SharedStreamsParts
  readonly #entries = new Map<string, Entry>()
  /** The one that lingers for the longest time comes first. */
  readonly #lingering = new Set<SharedStream<unknown>>()
  #isClosed = false

  constructor(parts: SharedStreamsParts) {
    this.#parts = parts
  }

  /** Streams with more than one viewer, viewers of open streams, and streams that linger without a viewer. */
  get counts(): { shared: number; viewers: number; lingering: number } {
    let shared = 0
    let viewers = 0
    for (const entry of this.#entries.values()) {
      if (entry.kind !== 'open') continue
      const { viewerCount } = entry.shared
      viewers += viewerCount
      if (viewerCount > 1) shared += 1
    }
    return { shared, viewers, lingering: this.#lingering.size }
  }

  /** See `OrchestratorClient.joinStream`. */
  join<T>(options: ResolvedJoinOptions<T>): Promise<StreamViewer<T>> {
    const { signal, waitMs, provision: mayProvision, lingerMs } = options
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#isClosed) return Promise.reject(new ClientClosedError())
    const key = identityOf(options)
    const terms = { signal, waitMs, mayProvision, lingerMs }
    const entry = this.#entries.get(key)
    if (entry?.kind === 'open') return Promise.resolve(entry.shared.enter(lingerMs, false) as StreamViewer<T>)
    if (entry?.kind === 'failed') {
      if (!isMorePatient(terms, entry.terms)) return Promise.reject(entry.error)
      entry.timer.cancel()
    }
    const opening =
      entry?.kind === 'opening' && !entry.opening.hasFailed
        ? entry.opening
        : this.#begin(key, options, entry?.kind === 'ending' ? entry.free : undefined)
    return opening.join(terms) as Promise<StreamViewer<T>>
  }

  /**
   * Ends the stream that lingers for the longest time on an engine that `accepts`. Resolves when its slot is released. `undefined`: there is no such
   * stream.
   */
  yieldSlot(accepts: (containerId: string) => boolean): Promise<void> | undefined {
    for (const shared of this.#lingering) {
      const { stream } = shared
      if (!accepts(stream.engine.containerId ?? '')) continue
      shared.end('yielded')
      return stream.free
    }
    return undefined
  }

  /** Rejects all callers that wait for a stream to open. Open streams are ended by the registry. */
  close(): void {
    this.#isClosed = true
    for (const [key, entry] of this.#entries) {
      if (entry.kind === 'opening') entry.opening.rejectAll(new ClientClosedError())
      if (entry.kind !== 'failed') continue
      entry.timer.cancel()
      this.#entries.delete(key)
    }
  }

  /** @param after resolves when the earlier stream of this content has left its engine */
  #begin<T>(key: string, options: ResolvedJoinOptions<T>, after: Promise<void> | undefined): Opening<StreamViewer<unknown>> {
    const { allocator, clock, listWaitMs } = this.#parts
    // A caller may come before the last opening has cleaned up behind itself.
    const opening: Opening<StreamViewer<unknown>> = new Opening({
      allocator,
      clock,
      listWaitMs,
      onDeserted: () => this.#replace(key, entry, { kind: 'ending', free: Promise.all([over, after]).then(() => opening.cleanedUp()) }),
    })
    const entry: Entry = { kind: 'opening', opening }
    this.#entries.set(key, entry)
    // In a microtask: the first caller has joined by then.
    const over = Promise.resolve().then(() => this.#run({ key, entry, opening, options, after }))
    return opening
  }

  /** Opens a stream for all callers of an opening. Never rejects. */
  async #run<T>({ key, entry, opening, options, after }: Run<T>): Promise<void> {
    const { clock } = this.#parts
    try {
      if (after !== undefined) await waitUnlessAborted(after, opening.signal)
      const stream = await this.#parts.opener.open(options, opening)
      const shared: SharedStream<T> = new SharedStream({
        ...this.#parts,
        stream,
        onLingering: (isLingering) => {
          if (!isLingering) return void this.#lingering.delete(shared)
          this.#lingering.add(shared)
          // A caller that waits already may have its slot.
          this.#parts.allocator.serve()
        },
        // Its viewers may join again at once if it broke: another engine can play the content meanwhile.
        onOver: () => this.#replace(key, open, stream.isBroken ? undefined : { kind: 'ending', free: stream.free }),
      })
      const open: Entry = { kind: 'open', shared }
      this.#replace(key, entry, open)
      opening.serveAll((lingerMs, isFirst) => shared.enter(lingerMs, isFirst) as StreamViewer<unknown>)
      shared.watch()
      if (shared.viewerCount > 0) return
      // All callers have left in the last moment.
      shared.end('aborted')
      await stream.free
    } catch (error) {
      if (opening.signal.aborted) return
      if (this.#entries.get(key) !== entry) return opening.rejectAll(error) // a caller has begun another opening already
      const timer = clock.setTimeout(() => this.#replace(key, failed, undefined), FAILURE_MS)
      const failed: Entry = { kind: 'failed', error, terms: opening.isRefusal(error) ? opening.patience : undefined, timer }
      this.#replace(key, entry, failed)
      opening.rejectAll(error)
    }
  }

  /** Replaces what is known of a content, unless that has changed already. An entry that ends is forgotten when its slot is free. */
  #replace(key: string, entry: Entry, next: Entry | undefined): void {
    if (this.#entries.get(key) !== entry) return
    if (next === undefined) this.#entries.delete(key)
    else this.#entries.set(key, next)
    if (next?.kind === 'ending') void next.free.then(() => this.#replace(key, next, undefined))
  }
}

/** Parameters of {@link SharedStreams.#run}. */
interface Run<T> {
  readonly key: string
  readonly entry: Entry
  readonly opening: Opening<StreamViewer<unknown>>
  readonly options: ResolvedJoinOptions<T>
  readonly after: Promise<void> | undefined
}

/** The text that two calls share exactly if they may share a stream. */
function identityOf({ keyType, key, variant }: Pick<ResolvedJoinOptions<unknown>, 'keyType' | 'key' | 'variant'>): string {
  const content = contentKeyOf({ keyType, key })
  // No key type begins like JSON, so that no content equals one with a variant.
  return variant === undefined ? content : JSON.stringify([content, variant])
}

/** Whether a caller may get an engine although those before it got none: it waits longer, or allows a new engine. */
function isMorePatient({ waitMs, mayProvision }: Patience, before: Patience | undefined): boolean {
  return before !== undefined && (waitMs > before.waitMs || (mayProvision && !before.mayProvision))
}
