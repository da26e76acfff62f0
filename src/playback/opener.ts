import type { AcquireRequest } from '../engines/leases/acquire-request.ts'
import { FallbackLease, type HeldLease } from '../engines/leases/engine-lease.ts'
import type { LeaseRegistry } from '../engines/leases/lease-registry.ts'
import { ContentError, InvalidArgumentError, OrchestratorError, RequestTimeoutError } from '../errors.ts'
import type { EngineLease } from '../model/lease.ts'
import type { EndableStream, EndResult, StreamStart } from '../model/stream.ts'
import type { OpenedPlayback } from '../options/playback-options.ts'
import type { ResolvedOpenOptions } from '../options/resolve-playback.ts'
import { onAbort, settledWithin, waitUnlessAborted } from '../runtime/abort.ts'
import type { Outbox } from '../streams/delivery/outbox.ts'
import type { LiveStreams } from '../streams/live-streams.ts'
import { failed, placeOf, shownKey, type Tried } from './failed-attempts.ts'
import { PlaybackCloser, type PlaybackCloserParts } from './playback-closer.ts'
import { PlayingStream } from './playing-stream.ts'

/** Dependencies and options of {@link Opener}. */
export interface OpenerParts extends PlaybackCloserParts {
  leases: LeaseRegistry
  live: LiveStreams
  outbox: Outbox
  leaseTtlMs: number
}

/** What an attempt needs of the lease that it acquires. */
export type LeaseRequest = Pick<AcquireRequest, 'exclude' | 'content' | 'leaseTtlMs'>

/** Who waits for a stream that is being opened, and for how long. */
export interface Patience {
  /** Aborts when nobody waits for the stream any more, or the client closes. */
  readonly signal: AbortSignal
  /** Acquires a lease, for as long as somebody waits for an engine. */
  acquire(request: LeaseRequest): Promise<EngineLease>
  /** Gets the cleaning up that goes on after the call has moved on. `work` never rejects. */
  leaveBehind(work: Promise<void>): void
}

/** One engine, and the call that opens a playback on it. */
interface Attempt<T> {
  readonly lease: EngineLease
  readonly options: ResolvedOpenOptions<T>
  readonly patience: Patience
  readonly number: number
}

/** A lease lasts this much longer than its playback needs, milliseconds. */
const LEASE_MARGIN_MS = 5_000

/** How long the next viewer of a content waits for a store that does not answer the release of a lease, milliseconds. */
const MAX_RELEASE_MS = 1_000

/**
 * Opens a stream: acquires an engine, lets the host open a playback there, tries another engine if that fails, and announces the stream. Whatever
 * goes wrong, each playback that was opened is closed once, before its slot is released.
 */
export class Opener {
  readonly #parts: OpenerParts
  /** Open streams on the fallback engine, which the registry does not know. */
  readonly #onFallback = new Set<PlayingStream<unknown>>()

  constructor(parts: OpenerParts) {
    this.#parts = parts
  }

  /**
   * @throws {@link PlaybackError} if every engine that was tried failed
   * @throws {@link ContentError} as `open` threw it
   * @throws the error of the first acquire, the error of a rejected start, or the reason of the signal
   */
  async open<T>(options: ResolvedOpenOptions<T>, patience: Patience): Promise<PlayingStream<T>> {
    const { keyType, key, openTimeoutMs, playbackCloseTimeoutMs, engineAttempts } = options
    const attempts: Tried[] = []
    const exclude = new Set(options.exclude)
    // The lease must outlast `open`, and then the close of a playback that opens too late, or a start that waits for the store.
    const neededMs = openTimeoutMs + playbackCloseTimeoutMs + LEASE_MARGIN_MS
    const leaseTtlMs = neededMs > this.#parts.leaseTtlMs ? neededMs : undefined
    for (let number = 1; ; number += 1) {
      const lease = await this.#acquire(options, patience, { exclude, content: options.content ?? { keyType, key }, leaseTtlMs }, attempts)
      // It is released only when no playback is open on its engine, also if the client closes.
      if (!(lease instanceof FallbackLease)) this.#parts.leases.keepOpen(lease as HeldLease)
      const attempt = { lease, options, patience, number }
      let opened: OpenedPlayback<T>
      try {
        opened = await this.#openOn(attempt)
      } catch (error) {
        if (patience.signal.aborted || isContentError(error) || isHostMistake(error)) throw error
        attempts.push({ engine: lease.engine, error })
        // A fallback engine has no other one beside it.
        if (number >= engineAttempts || lease.isFallback) throw failed(options, attempts)
        exclude.add(lease.engine.containerId)
        continue
      }
      return this.#start(attempt, opened)
    }
  }

  /** Ends a stream on the fallback engine by its id. `undefined`: there is none. */
  endOnFallback(streamId: string, reason: string | undefined): Promise<EndResult> | undefined {
    for (const stream of this.#onFallback) if (stream.id === streamId) return stream.end(reason)
    return undefined
  }

  /** Ends the streams on the fallback engine. */
  close(): void {
    for (const stream of this.#onFallback) void stream.end('client_closed')
  }

  #watchFallback(stream: PlayingStream<unknown>): void {
    this.#onFallback.add(stream)
    stream.over.addEventListener(
      'abort',
      () => {
        this.#onFallback.delete(stream)
        this.#parts.outbox.during(stream.free)
      },
      { once: true },
    )
  }

  async #acquire<T>(
    options: ResolvedOpenOptions<T>,
    patience: Patience,
    request: LeaseRequest,
    attempts: readonly Tried[],
  ): Promise<EngineLease> {
    try {
      return await patience.acquire(request)
    } catch (error) {
      const isCapacity = error instanceof OrchestratorError && error.code !== 'CLIENT_CLOSED' && error.code !== 'INVALID_ARGUMENT'
      if (attempts.length === 0 || patience.signal.aborted || !isCapacity) throw error
      throw failed(options, attempts, error)
    }
  }

  /**
   * Calls the host's `open`. If it fails, the engine is blamed and the lease released. If it is aborted or takes too long, the lease is kept until `open`
   * has settled and its playback is closed, at most `playbackCloseTimeoutMs`.
   */
  async #openOn<T>(attempt: Attempt<T>): Promise<OpenedPlayback<T>> {
    const { lease, options, patience, number } = attempt
    const { engine } = lease
    const { openTimeoutMs: timeoutMs, open } = options
    const controller = new AbortController()
    const abort = (): void => controller.abort(patience.signal.reason)
    if (patience.signal.aborted) abort()
    const stopListening = onAbort(patience.signal, abort)
    const timer = this.#parts.clock.setTimeout(() => {
      const message = `open: ${placeOf(engine)} opened no playback within ${timeoutMs} ms (openTimeoutMs)`
      controller.abort(new RequestTimeoutError(message, { timeoutMs }))
    }, timeoutMs)
    // The async function turns a synchronous throw into a rejection.
    const opening = (async (): Promise<OpenedPlayback<T>> => {
      controller.signal.throwIfAborted()
      return expectOpened<T>(await open(engine, { signal: controller.signal, attempt: number }))
    })()
    try {
      return await waitUnlessAborted(opening, controller.signal)
    } catch (error) {
      if (!(patience.signal.aborted || isContentError(error) || isHostMistake(error))) this.#blame(attempt, error)
      if (controller.signal.aborted) this.#closeWhenOpened(attempt, opening)
      else await this.#releaseFor(patience, lease)
      throw error
    } finally {
      timer.cancel()
      stopListening()
    }
  }

  /** Announces the stream. If that fails, closes the playback and then releases the lease. */
  async #start<T>({ lease, options, patience }: Attempt<T>, { session, playback }: OpenedPlayback<T>): Promise<PlayingStream<T>> {
    const { keyType, key, streamId, labels } = options
    const { leases, live } = this.#parts
    const closer = this.#closer(options, playback, lease)
    const start: StreamStart = { keyType, key, session, streamId, labels }
    let started: EndableStream | undefined
    const onTracked = (stream: EndableStream): void => {
      started = stream
    }
    try {
      // An earlier stream of the same id keeps its slot while its playback is being closed.
      const earlier = live.find(streamId ?? `${key}|${(session as typeof session | null | undefined)?.playbackSessionId}`)
      if (earlier?.isOver) await waitUnlessAborted(earlier.free, patience.signal)
      const parts = { signal: patience.signal, playback: closer }
      const stream = await (lease instanceof FallbackLease
        ? lease.start(start, parts)
        : leases.startStream(lease as HeldLease, start, { ...parts, onTracked }))
      const playing = new PlayingStream({ stream, playback, blame: (cause) => this.#blame({ lease, options }, cause) })
      if (lease instanceof FallbackLease) this.#watchFallback(playing)
      if (!patience.signal.aborted) return playing
      if (!playing.over.aborted) void playing.end('aborted')
      throw patience.signal.reason
    } catch (error) {
      // If the stream has taken the slot of the lease, it ends now, and releases that slot later than the playback is closed.
      const closed = closer?.close() ?? Promise.resolve()
      const cleaned = Promise.all([closed.then(() => this.#release(lease)), started?.free]).then(() => {})
      this.#leaveBehind(patience, cleaned)
      await waitUnlessAborted(cleaned, patience.signal)
      throw error
    }
  }

  /** `undefined`: the host closes no playbacks. */
  #closer<T>(
    { key, close, playbackCloseTimeoutMs }: ResolvedOpenOptions<T>,
    playback: T,
    { engine: { containerId } }: EngineLease,
  ): PlaybackCloser | undefined {
    return close && new PlaybackCloser(this.#parts, () => close(playback), playbackCloseTimeoutMs, { containerId, key: shownKey(key) })
  }

  /** Closes a playback that may open although nobody wants it any more, and then releases its lease. */
  #closeWhenOpened<T>({ lease, options, patience }: Attempt<T>, opening: Promise<OpenedPlayback<T>>): void {
    const { clock, lifetime } = this.#parts
    const timeUp = Promise.withResolvers<void>()
    const timer = clock.setTimeout(timeUp.resolve, options.playbackCloseTimeoutMs)
    const stopListening = onAbort(lifetime, timeUp.resolve)
    const closed = opening.then(
      ({ playback }) => this.#closer(options, playback, lease)?.close(),
      () => {},
    )
    const cleaned = Promise.race([closed, timeUp.promise]).then(() => {
      timer.cancel()
      stopListening()
      return this.#release(lease)
    })
    this.#leaveBehind(patience, cleaned)
  }

  #leaveBehind(patience: Patience, work: Promise<void>): void {
    this.#parts.outbox.during(work)
    patience.leaveBehind(work)
  }

  #blame<T>({ lease, options: { key } }: Pick<Attempt<T>, 'lease' | 'options'>, cause: unknown): void {
    if (!(lease instanceof FallbackLease)) this.#parts.leases.blame(lease as HeldLease, cause, key)
  }

  /** Releases a lease, but lets a caller who aborts wait no longer. */
  async #releaseFor(patience: Patience, lease: EngineLease): Promise<void> {
    const released = this.#release(lease)
    this.#leaveBehind(patience, released)
    await waitUnlessAborted(released, patience.signal)
  }

  /** Resolves when the lease is released. If the store fails, or does not answer in time, the lease expires. Never rejects. */
  #release(lease: EngineLease): Promise<void> {
    const { clock, lifetime } = this.#parts
    return settledWithin(clock, MAX_RELEASE_MS, lease.release(), lifetime)
  }
}

/**
 * A playback without a session passes: it must be closed. The start rejects it.
 *
 * @throws {@link InvalidArgumentError} if `open` returned something else
 */
function expectOpened<T>(opened: unknown): OpenedPlayback<T> {
  if (typeof opened === 'object' && opened !== null && 'playback' in opened) return opened as OpenedPlayback<T>
  const got = !opened ? 'nothing' : typeof opened === 'object' ? 'an object without playback' : `a ${typeof opened}`
  throw new InvalidArgumentError('open', `a function that returns an object with session and playback; it returned ${got}`)
}

/** Works across two copies of the package, where `instanceof` fails. */
function isContentError(error: unknown): boolean {
  return (
    error instanceof ContentError ||
    (error instanceof Error && error.name === 'ContentError' && 'code' in error && error.code === 'CONTENT')
  )
}

/** Whether the host's code is wrong: another engine would not help. */
const isHostMistake = (error: unknown): boolean => error instanceof InvalidArgumentError
