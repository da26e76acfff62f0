import { ClientClosedError, InvalidArgumentError, type OrchestratorError, StreamLostError } from '../errors.ts'
import type { Engine } from '../model/engine.ts'
import type { EndResult, HostEngine, StartEvent, Stream, StreamHandle } from '../model/stream.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { KeepAlive } from '../runtime/timers.ts'
import type { JournalEntry } from '../state/store.ts'
import type { Emitter } from '../telemetry/events.ts'
import { asOrchestratorError, logEventFailure } from './delivery/delivery-log.ts'
import type { EndDelivery } from './delivery/end-delivery.ts'
import { type EngineIdentity, EventOrder, KeyedQueue } from './delivery/ordering.ts'
import type { Outbox, OutboxEvent } from './delivery/outbox.ts'
import type { StartDelivery } from './delivery/start-delivery.ts'
import type { EndedLedger } from './ended-ledger.ts'
import type { Journal } from './journal.ts'
import type { LiveStreams } from './live-streams.ts'
import type { StreamSlots } from './stream-slots.ts'
import { type StreamEnder, TrackedStream } from './tracked-stream.ts'

/** Dependencies and options of {@link StreamRegistry}. */
export interface RegistryParts {
  alive: KeepAlive
  startDelivery: StartDelivery
  endDelivery: EndDelivery
  live: LiveStreams
  slots: StreamSlots
  outbox: Outbox
  endedLedger: EndedLedger
  journal: Journal
  emitter: Emitter
  logger: Logger
  clock: Clock
  /** How long the host waits for the handle while a start is not accepted. */
  startWaitMs: number
  outages: Outages
  /** Called when a stream of another process is over: its engine may have room. */
  onSlotFreed: () => void
  /** Called when an end may have ended other streams of this process too: reconcile. */
  onStreamsMayHaveEnded: () => void
}

/** Takes the slot of a new stream. Rejects if there is none: the stream is not announced then. */
export type PrepareStart = (stream: TrackedStream) => MaybePromise<void>

const MAX_REASON_LENGTH = 1_024

/**
 * Starts and ends the streams of this process. It decides in which order events are sent and slots are taken and released, and calls the
 * transitions of each stream. The deliveries decide whether an event is sent, and when it is sent again.
 */
export class StreamRegistry implements StreamEnder {
  readonly #parts: RegistryParts
  readonly #order = new EventOrder()
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
  start(event: StartEvent, engine: HostEngine, prepare: PrepareStart, signal: AbortSignal | undefined): Promise<StreamHandle> {
    const { alive, live, outbox, clock, startWaitMs } = this.#parts
    const { streamId } = event
    if (this.#isClosed) return Promise.reject(new ClientClosedError())
    if (signal?.aborted) return Promise.reject(signal.reason)
    // A repeated start resets the stream or moves it, and v1 counts it for ever (H5).
    if (live.has(streamId)) {
      return Promise.reject(new InvalidArgumentError('streamId', `an id that no live stream of this client has: ${streamId}`))
    }
    const stream = new TrackedStream(event, engine, this, alive)
    live.add(stream)
    const earlierEnds = this.#order.endsOn({ containerId: event.containerId, engine })
    const prepared = this.#slotOrder.run(streamId, () => this.#prepare(stream, prepare))
    const { outboxEvent, result } = outbox.track({ streamId, event: 'started' }, (own) =>
      this.#order.runStart(own, { prepared, earlierEnds, stream }, async () => {
        const error = await this.#announce(stream, { outboxEvent: own, isLate: own.isStalled, isRepeat: false })
        if (error !== undefined) throw error
      }),
    )
    const slow = Promise.withResolvers<void>()
    const timer = clock.setTimeout(slow.resolve, startWaitMs)
    const stop = (): void => timer.cancel()
    result.then(stop, stop)
    const handOut = (): void => {
      stop()
      stream.handleGiven()
    }
    // If no list could be read to find its engine, `startWaitMs` has passed already.
    const untilSlow = (): Promise<void> | undefined =>
      stream.mustBeLocated ? undefined : Promise.race([slow.promise, outboxEvent.stalled])
    const delayed = prepared.then(untilSlow).then(handOut)
    return waitUnlessAborted(Promise.race([result, delayed]), signal).then(
      () => {
        // Also for an accepted start: a later announcement may be rejected while the viewer watches.
        handOut()
        return stream
      },
      (error: unknown) => {
        // The host gets no handle with which it could end the stream. If the start was rejected, the stream is over already.
        if (!stream.isOver) void this.end(stream, 'aborted')
        throw error
      },
    )
  }

  /** Ends a stream of this process; see `StreamHandle.end`. */
  end(stream: TrackedStream, given: unknown): Promise<EndResult> {
    return this.#end(stream, given).result
  }

  /** Ends a stream whose host waits only until the end is delivered or stalled. */
  async dispose(stream: TrackedStream): Promise<void> {
    if (stream.isOver) return
    const { result, stalled } = this.#end(stream, undefined)
    await Promise.race([result, stalled ?? result])
  }

  /** Ends the stream with this id, of this process or of another. Never rejects. */
  endById(streamId: string, given: unknown): Promise<EndResult> {
    const { live, endDelivery, endedLedger } = this.#parts
    const stream = live.find(streamId)
    if (stream !== undefined) return this.end(stream, given)
    const status = endedLedger.statusOf(streamId)
    if (status === 'ending') return Promise.resolve(endDelivery.duplicate(streamId))
    if (status === 'never-announced') return Promise.resolve({ outcome: 'not-announced', attempts: 0 })
    const onSettled = (ended: EndResult): void => {
      // The content of that stream is not known. Streams of this process may have the same content, and may have ended with it (H6).
      if (ended.attempts > 0 && live.size > 0) this.#parts.onStreamsMayHaveEnded()
      if (ended.outcome === 'delivered') this.#endedElsewhere(streamId)
    }
    return this.#queueEnd(streamId, (outboxEvent) => endDelivery.endById(streamId, outboxEvent, { reason: toReason(given), onSettled }))
      .result
  }

  /** Ends a stream that a dead process has left, unless this process has started the id anew. */
  recover(entry: JournalEntry): void {
    const { live, endDelivery } = this.#parts
    const { streamId } = entry
    this.#queueEnd(streamId, async (outboxEvent) => {
      if (live.has(streamId)) return // the journal entry belongs to the new stream by now
      await endDelivery.recover(entry, outboxEvent, ({ outcome }) => {
        if (outcome === 'delivered') this.#endedElsewhere(streamId)
      })
    })
  }

  /** Ends a stream again that was ended and is listed. Resolves when the end is delivered, given up or stalled. */
  async endAgain(listed: Stream): Promise<void> {
    const { live, endDelivery, outages } = this.#parts
    const { id: streamId } = listed
    const { outboxEvent, result } = this.#queueEnd(streamId, async (own) => {
      if (live.has(streamId)) return // started anew
      logEventFailure(outages, 'ended', 'A stream that was ended is still listed; it is ended again', { streamId })
      await endDelivery.endAgain(listed, own)
    })
    await Promise.race([result, outboxEvent.stalled])
  }

  /** Announces a live stream again that the orchestrator does not list. Resolves when the start is delivered, given up or stalled. */
  async reannounce(stream: TrackedStream): Promise<void> {
    const { outbox, outages } = this.#parts
    if (!stream.shouldBeListed || stream.phase === 'starting') return
    const isRepeat = stream.announcement === 'accepted'
    stream.startedAgain()
    const { outboxEvent, result } = outbox.track({ streamId: stream.id, event: 'started' }, (own) =>
      this.#order.run(own, () => this.#announce(stream, { outboxEvent: own, isLate: false, isRepeat })),
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

  /** Handles a stream whose engine is gone (H10): releases the slot, queues the end, and notifies the host. */
  markLost(stream: TrackedStream): void {
    if (!stream.shouldBeListed) return
    const { emitter, logger } = this.#parts
    const { id: streamId, engine } = stream
    const containerId = engine.containerId ?? ''
    const end = Promise.withResolvers<EndResult>()
    stream.engineLost(end.promise)
    end.resolve(this.#queueStreamEnd(stream, 'engine_gone').result)
    // The slot does not wait for the end: no stream can start on an engine that is gone.
    // Notify only after the slot is free and the end is queued: a listener may start a stream again at once.
    void this.#parts.slots.release(stream)
    logger.warn('The engine of a live stream is gone', { streamId, containerId })
    stream.signalLost(new StreamLostError(`Stream ${streamId}: its engine ${containerId} is gone`, { streamId, containerId }))
    emitter.emit('stream:lost', { streamId, containerId })
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

  async #prepare(stream: TrackedStream, prepare: PrepareStart): Promise<void> {
    try {
      await prepare(stream)
    } catch (error) {
      stream.startRejected(false)
      this.#rejected(stream, error)
      throw error
    }
    // The stream ended while the slot was being taken: the release before found no slot.
    if (stream.isSlotReleased) void this.#parts.slots.release(stream)
  }

  /** Sends a start. Returns the orchestrator's error if it rejected the start. */
  async #announce(
    stream: TrackedStream,
    options: { outboxEvent: OutboxEvent; isLate: boolean; isRepeat: boolean },
  ): Promise<OrchestratorError | undefined> {
    // The stream ended while this start waited. Its end is sent next, and ends the start that was accepted before.
    if (options.isRepeat && !stream.shouldBeListed) return undefined
    const result = await this.#parts.startDelivery.announce(stream, options)
    if (result.kind === 'engine-gone') this.markLost(stream)
    if (result.kind !== 'rejected') return undefined
    this.#parts.journal.remove(stream.id, stream.life)
    this.#rejected(stream, result.error)
    return result.error
  }

  #rejected(stream: TrackedStream, error: unknown): void {
    const { endedLedger, emitter, outages } = this.#parts
    const { id: streamId } = stream
    if (stream.announcement === 'rejected') endedLedger.markNeverAnnounced(streamId)
    if (stream.isHandedOut) {
      // A viewer may be watching: the slot stays taken until the host ends the stream.
      logEventFailure(outages, 'started', 'The start of a stream was rejected; its slot stays taken until the host ends the stream', {
        streamId,
        error,
      })
      emitter.emit('delivery:failed', { streamId, event: 'started', error: asOrchestratorError(error) })
    } else if (!stream.isOver) {
      // The host gets no handle. If an attempt may have been applied, its end is queued before a listener can start the id again.
      void this.end(stream, 'aborted')
    }
  }

  #end(stream: TrackedStream, given: unknown): { result: Promise<EndResult>; stalled?: Promise<void> } {
    const { endDelivery, endedLedger, slots } = this.#parts
    if (stream.announcement === 'rejected') {
      // Discard it only once: its id, and the slot under that id, may belong to another stream by now.
      if (!stream.isOver) {
        stream.discarded()
        this.#markOver(stream)
        endedLedger.markNotOver(stream.id)
        void slots.release(stream)
      }
      return { result: Promise.resolve({ outcome: 'not-announced', attempts: 0 }) }
    }
    if (stream.lostEnd !== undefined) return { result: stream.lostEnd }
    if (stream.isOver) return { result: Promise.resolve(endDelivery.duplicate(stream.id)) }
    stream.endQueued()
    const { outboxEvent, result } = this.#queueStreamEnd(stream, given)
    const released = slots.releaseAfter(outboxEvent, stream)
    const ended = result.then(async (ended) => {
      await released
      return ended
    })
    return { result: ended, stalled: outboxEvent.stalled }
  }

  /** Makes lists no longer count the stream. The caller releases its slot last, because a release calls listeners. */
  #markOver(stream: TrackedStream): void {
    const { live, endedLedger } = this.#parts
    live.remove(stream)
    endedLedger.markOver(stream.id)
  }

  /** Queues the end of a stream. Call it before the slot is released: a start that takes the slot or the id is sent after this end. */
  #queueStreamEnd(stream: TrackedStream, given: unknown): { outboxEvent: OutboxEvent; result: Promise<EndResult> } {
    const { endDelivery, live, onStreamsMayHaveEnded } = this.#parts
    this.#markOver(stream)
    const place = { containerId: stream.event.containerId, engine: stream.engine }
    const { outboxEvent, result } = this.#queueEnd(stream.id, (own) => endDelivery.end(stream, own, toReason(given)), place)
    const checked = result.then((ended) => {
      // On 2026-04, ending one stream ends all streams of the same content (H6).
      if (ended.attempts > 0 && (live.hasSameContent(stream) || (ended.outcome === 'unknown' && ended.error !== undefined)))
        onStreamsMayHaveEnded()
      return ended
    })
    return { outboxEvent, result: checked }
  }

  /** Handles the end of a stream of another process, which lists may still count. */
  #endedElsewhere(streamId: string): void {
    const { endedLedger, onSlotFreed } = this.#parts
    endedLedger.markEnded(streamId)
    onSlotFreed()
  }

  /** Queues an end. `place`: the engine on which later starts wait for this end. */
  #queueEnd<T>(
    streamId: string,
    send: (outboxEvent: OutboxEvent) => Promise<T>,
    place?: EngineIdentity,
  ): { outboxEvent: OutboxEvent; result: Promise<T> } {
    const { outbox, endedLedger } = this.#parts
    return outbox.track({ streamId, event: 'ended' }, (own) =>
      endedLedger.whileEnding(streamId, () =>
        place === undefined ? this.#order.run(own, () => send(own)) : this.#order.runEnd(own, place, () => send(own)),
      ),
    )
  }
}

/** The reason that a host gave, if it is a string: `socket.once('close', stream.end)` passes `false`, which no orchestrator accepts. */
function toReason(given: unknown): string | undefined {
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REASON_LENGTH) : undefined
}
