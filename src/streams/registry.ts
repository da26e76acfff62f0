import { ClientClosedError, InvalidArgumentError, type OrchestratorError } from '../errors.ts'
import type { Engine } from '../model/engine.ts'
import type { HostEngine, StartEvent, Stream, StreamPlayback } from '../model/stream.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { isPromiseLike, type MaybePromise } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { KeepAlive } from '../runtime/timers.ts'
import type { Emitter } from '../telemetry/events.ts'
import { asOrchestratorError, logEventFailure } from './delivery/delivery-log.ts'
import { type EventOrder, KeyedQueue } from './delivery/ordering.ts'
import type { Outbox, OutboxEvent } from './delivery/outbox.ts'
import type { StartDelivery, StartDeliveryOptions } from './delivery/start-delivery.ts'
import type { EndedLedger } from './ended-ledger.ts'
import type { Ender } from './ender.ts'
import type { Journal } from './journal.ts'
import type { LiveStreams } from './live-streams.ts'
import type { StreamSlots } from './stream-slots.ts'
import { TrackedStream } from './tracked-stream.ts'

/** Dependencies and options of {@link StreamRegistry}. */
export interface RegistryParts {
  api: Pick<OrchestratorApi, 'dialect'>
  alive: KeepAlive
  startDelivery: StartDelivery
  ender: Ender
  live: LiveStreams
  slots: StreamSlots
  outbox: Outbox
  order: EventOrder
  endedLedger: EndedLedger
  journal: Journal
  emitter: Emitter
  logger: Logger
  clock: Clock
  /** How long the host waits for the handle while a start is not accepted. */
  startWaitMs: number
  outages: Outages
}

/** Takes the slot of a new stream. Rejects if there is none: the stream is not announced then. */
export type PrepareStart = (stream: TrackedStream) => MaybePromise<void>

/** A start that is queued or being sent. */
interface QueuedStart {
  readonly prepared: MaybePromise<void>
  readonly outboxEvent: OutboxEvent
  readonly result: Promise<void>
}

/** Options of {@link StreamRegistry.start}. */
export interface StartOptions {
  readonly signal: AbortSignal | undefined
  /** What the stream plays. @default the host closes it by itself */
  readonly playback?: StreamPlayback | undefined
  /** Called with the stream before its start is sent. If the start fails, the stream ends by itself. */
  readonly onTracked?: ((stream: TrackedStream) => void) | undefined
  /** Whether `prepare` leaves the engine and the session of the start as they are. Then the start is recorded meanwhile. @default false */
  readonly isPlaced?: boolean | undefined
}

/**
 * Starts the streams of this process, and follows what the orchestrator makes of them. It decides in which order slots are taken and starts
 * are queued, and calls the transitions of each stream. The delivery decides whether a start is sent, and when it is sent again.
 */
export class StreamRegistry {
  readonly #parts: RegistryParts
  /** Starts of one id take their slots in the order of the calls. Taking a slot never waits for an event: the lease would expire meanwhile. */
  readonly #slotOrder = new KeyedQueue()
  #isClosed = false

  constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  /**
   * Starts a stream; see `EngineLease.startStream`. The order of its start among all events is fixed before this returns.
   *
   * Resolves when the orchestrator has accepted the start, or the start takes longer than `startWaitMs` or is stalled. Rejects with
   * the error of `prepare`, with the error of a rejected start, or with the reason of `signal`.
   */
  start(event: StartEvent, engine: HostEngine, prepare: PrepareStart, options: StartOptions): Promise<TrackedStream> {
    const { streamId, containerId, keyType, key } = event
    const { operations } = this.#parts.emitter
    return operations.run({ kind: 'start', streamId, containerId, keyType, key }, () => this.#start(event, engine, prepare, options))
  }

  #start(event: StartEvent, engine: HostEngine, prepare: PrepareStart, options: StartOptions): Promise<TrackedStream> {
    const { signal, playback, onTracked, isPlaced = false } = options
    const { api, alive, live, outbox, order, ender, clock, endedLedger, startDelivery } = this.#parts
    const { streamId, containerId, key } = event
    if (this.#isClosed) return Promise.reject(new ClientClosedError())
    if (signal?.aborted) return Promise.reject(signal.reason)
    // A repeated start resets the stream or moves it, and v1 counts it for ever (H5).
    if (live.has(streamId)) {
      return Promise.reject(new InvalidArgumentError('streamId', `an id that no live stream of this client has: ${streamId}`))
    }
    const stream = new TrackedStream(event, engine, ender, alive, playback, clock.now())
    live.add(stream)
    onTracked?.(stream)
    const earlierEnds = order.endsBefore({ containerId, engine, key }, { endsWholeContent: api.dialect !== 'v1' })
    const prepared = this.#slotOrder.run(streamId, () => this.#prepare(stream, prepare))
    // Not if an earlier end waits: a journal entry of this id may belong to it.
    const mayRecord = isPlaced && earlierEnds.length === 0 && endedLedger.statusOf(streamId) === undefined
    let recorded: (() => MaybePromise<void>) | undefined
    if (mayRecord && isPromiseLike(prepared)) {
      const answer = startDelivery.record(stream)
      recorded = () => answer
      prepared.catch(() => this.#parts.journal.remove(streamId, stream.life))
    }
    const { outboxEvent, result } = outbox.track({ streamId, event: 'started' }, (own) =>
      order.runStart(own, { prepared, earlierEnds, stream }, async () => {
        const error = await this.#announce(stream, { outboxEvent: own, isLate: own.isStalled, isRepeat: false, recorded })
        if (error !== undefined) throw error
      }),
    )
    const { handedOut, stopTimer } = this.#handOut(stream, { prepared, outboxEvent, result })
    return waitUnlessAborted(handedOut, signal).then(
      () => stream,
      (error: unknown) => {
        stopTimer()
        // The host gets no handle with which it could end the stream. If the start was rejected, the stream is over already.
        if (!stream.isOver) void ender.end(stream, 'aborted')
        throw error
      },
    )
  }

  /** `handedOut` resolves when the start is accepted, takes longer than `startWaitMs` or is stalled. It rejects if the start is rejected. */
  #handOut(stream: TrackedStream, { prepared, outboxEvent, result }: QueuedStart): { handedOut: Promise<void>; stopTimer: () => void } {
    const { clock, startWaitMs } = this.#parts
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let isPrepared = false
    let isSlow = false
    const stopTimer = (): void => timer.cancel()
    // Also for an accepted start: a later announcement may be rejected while the viewer watches.
    const handOut = (): void => {
      stopTimer()
      stream.handleGiven()
      resolve()
    }
    const timer = clock.setTimeout(() => {
      isSlow = true
      if (isPrepared) handOut()
    }, startWaitMs)
    const onPrepared = (): void => {
      isPrepared = true
      // If no list could be read to find its engine, `startWaitMs` has passed already.
      if (isSlow || stream.mustBeLocated) handOut()
      else void outboxEvent.stalled.then(handOut)
    }
    result.then(handOut, reject)
    // Without a slot the host need not wait for the events before this start.
    if (prepared instanceof Promise) prepared.then(onPrepared, reject)
    else onPrepared()
    return { handedOut: promise, stopTimer }
  }

  /** Announces a live stream again that the orchestrator does not list. Resolves when the start is delivered, given up or stalled. */
  async reannounce(stream: TrackedStream): Promise<void> {
    const { outbox, order, outages } = this.#parts
    if (!stream.shouldBeListed || stream.phase === 'starting') return
    const isRepeat = stream.announcement === 'accepted'
    stream.startedAgain()
    const { outboxEvent, result } = outbox.track({ streamId: stream.id, event: 'started' }, (own) =>
      order.run(own, () => this.#announce(stream, { outboxEvent: own, isLate: false, isRepeat })),
    )
    logEventFailure(outages, 'started', 'The orchestrator does not list a live stream; it is announced again', { streamId: stream.id })
    await Promise.race([result, outboxEvent.stalled])
  }

  /** Confirms a stream that is listed on its engine. If its start was given up, one of the attempts was applied after all. */
  async confirm(stream: TrackedStream, { id: streamId, containerId, startedAtUs }: Stream): Promise<void> {
    if (stream.phase !== 'unconfirmed') return
    stream.lateStartApplied()
    await this.#parts.startDelivery.accepted(stream, { streamId, containerId, startedAtUs }, stream.announcement === 'accepted')
  }

  /** Follows a stream that the orchestrator has moved to another engine (H10). `mapped`: the engine as the host reaches it. */
  async markMoved(stream: TrackedStream, engine: Engine, mapped: HostEngine): Promise<void> {
    const { startDelivery, logger } = this.#parts
    const { containerId } = engine
    stream.moved(engine, mapped)
    logger.info('The orchestrator has moved a stream', { streamId: stream.id, containerId })
    await startDelivery.moveSlot(stream, containerId)
  }

  /** Rejects every further start. Ends are still sent. */
  close(): void {
    this.#isClosed = true
  }

  /** Forgets ended ids beyond the retention, and releases the slots that the store failed to release. Returns the number of ids. */
  sweep(): MaybePromise<number> {
    const { live, slots, endedLedger } = this.#parts
    slots.sweep((streamId) => live.has(streamId))
    return endedLedger.forget()
  }

  /** Returns `undefined` if the slot was taken at once. Never throws. */
  #prepare(stream: TrackedStream, prepare: PrepareStart): MaybePromise<void> {
    try {
      const preparing = prepare(stream)
      if (isPromiseLike(preparing)) return this.#whenPrepared(stream, preparing)
    } catch (error) {
      return this.#whenPrepared(stream, Promise.reject(error))
    }
    this.#onPrepared(stream)
  }

  async #whenPrepared(stream: TrackedStream, preparing: Promise<void>): Promise<void> {
    try {
      await preparing
    } catch (error) {
      stream.startRejected(false)
      this.#rejected(stream, error)
      throw error
    }
    this.#onPrepared(stream)
  }

  /** The stream may have ended while the slot was being taken: the release before found no slot. */
  #onPrepared(stream: TrackedStream): void {
    if (stream.isSlotReleased) void this.#parts.slots.release(stream)
  }

  /** Sends a start. Returns the orchestrator's error if it rejected the start. */
  async #announce(stream: TrackedStream, options: StartDeliveryOptions): Promise<OrchestratorError | undefined> {
    // The stream ended while this start waited. Its end is sent next, and ends the start that was accepted before.
    if (options.isRepeat && !stream.shouldBeListed) return undefined
    const result = await this.#parts.startDelivery.announce(stream, options)
    if (result.kind === 'engine-gone') this.#parts.ender.markLost(stream)
    if (result.kind !== 'rejected') return undefined
    this.#parts.journal.remove(stream.id, stream.life)
    this.#rejected(stream, result.error)
    return result.error
  }

  #rejected(stream: TrackedStream, error: unknown): void {
    const { ender, endedLedger, emitter, outages } = this.#parts
    const { id: streamId } = stream
    if (stream.announcement === 'rejected') endedLedger.markNeverAnnounced(streamId)
    if (stream.isHandedOut) {
      // A viewer may be watching: the slot stays taken until the host ends the stream.
      logEventFailure(outages, 'started', 'The start of a stream was rejected; its slot stays taken until the host ends the stream', {
        streamId,
        error,
      })
      emitter.to('delivery:failed')?.({ streamId, event: 'started', error: asOrchestratorError(error) })
    } else if (!stream.isOver) {
      // The host gets no handle. If an attempt may have been applied, its end is queued before a listener can start the id again.
      void ender.end(stream, 'aborted')
    }
  }
}
