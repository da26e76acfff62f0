import { StreamLostError } from '../errors.ts'
import type { EndResult, Stream } from '../model/stream.ts'
import { settledWithin } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { isPromiseLike } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { JournalEntry } from '../state/store.ts'
import type { Emitter } from '../telemetry/events.ts'
import { logEventFailure } from './delivery/delivery-log.ts'
import type { EndDelivery, EndOptions } from './delivery/end-delivery.ts'
import type { EventOrder } from './delivery/ordering.ts'
import type { Outbox, OutboxEvent } from './delivery/outbox.ts'
import type { EndedLedger } from './ended-ledger.ts'
import type { Journal } from './journal.ts'
import type { LiveStreams } from './live-streams.ts'
import type { StreamSlots } from './stream-slots.ts'
import type { StreamEnder, TrackedStream } from './tracked-stream.ts'

/** Dependencies of {@link Ender}. */
export interface EnderParts {
  endDelivery: EndDelivery
  live: LiveStreams
  slots: StreamSlots
  outbox: Outbox
  order: EventOrder
  endedLedger: EndedLedger
  journal: Journal
  emitter: Emitter
  logger: Logger
  clock: Clock
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Called when a stream of another process is over: its engine may have room. */
  onSlotFreed: () => void
  /** Called when an end may have ended other streams of this process too: reconcile. */
  onStreamsMayHaveEnded: () => void
}

const MAX_REASON_LENGTH = 1_024

/** How long the close of a playback waits for a store that does not answer. */
const MAX_JOURNAL_WAIT_MS = 1_000

const NOT_ANNOUNCED: EndResult = Object.freeze({ outcome: 'not-announced', attempts: 0 })

/** An end in the outbox. */
interface QueuedEnd<T> {
  readonly outboxEvent: OutboxEvent
  readonly result: Promise<T>
}

/** An end that is under way. `stalled`: a failing orchestrator delays it. */
interface Ended {
  readonly result: Promise<EndResult>
  readonly stalled?: Promise<void>
}

/**
 * Ends streams, of this process or of others. It decides in which order a stream is over, its slot is released and its end is queued. The
 * delivery decides whether an end is sent, and when it is sent again.
 */
export class Ender implements StreamEnder {
  readonly #parts: EnderParts

  constructor(parts: EnderParts) {
    this.#parts = parts
  }

  /** Ends a stream of this process; see `StreamHandle.end`. `cause`: aborts its `lost` signal. */
  end(stream: TrackedStream, given: unknown, cause?: unknown): Promise<EndResult> {
    return this.#end(stream, given, cause).result
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
    const reason = toReason(given)
    return this.#asOperation(
      streamId,
      reason,
      () => this.#queueEnd(streamId, (own) => endDelivery.endById(streamId, own, { reason, onSettled })).result,
    )
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

  /** Handles a stream whose engine is gone (H10): releases the slot, queues the end, and notifies the host. */
  markLost(stream: TrackedStream): void {
    if (!stream.shouldBeListed) return
    const { order, slots, emitter, logger } = this.#parts
    const { id: streamId, engine, playback } = stream
    const containerId = engine.containerId ?? ''
    const end = Promise.withResolvers<EndResult>()
    const closed = playback && Promise.withResolvers<string | undefined>()
    stream.engineLost(end.promise)
    const queue = (): QueuedEnd<EndResult> =>
      this.#track(streamId, 'engine_gone', (own) => {
        const send = (recordedLife?: string): Promise<EndResult> => {
          const sent = this.#sendEnd(stream, own, { reason: 'engine_gone', recordedLife })
          // The slot does not wait for the end: no stream can start on an engine that is gone.
          void slots.release(stream)
          return sent
        }
        return closed === undefined ? send() : closed.promise.then(send)
      })
    // Not as part of the call that happened to read the list.
    const tracked = emitter.operations.detach(queue)
    if (closed !== undefined) order.expectEnd(tracked.outboxEvent, stream.event.key, tracked.result)
    end.resolve(tracked.result)
    // Without a playback, notify only now: the slot is free and the end is queued, and a listener may start a stream again at once.
    logger.warn('The engine of a live stream is gone', { streamId, containerId })
    stream.signalLost(new StreamLostError(`Stream ${streamId}: its engine ${containerId} is gone`, { streamId, containerId }))
    emitter.to('stream:lost')?.({ streamId, containerId })
    closed?.resolve(this.#closePlayback(stream, 'engine_gone'))
  }

  #end(stream: TrackedStream, given: unknown, cause?: unknown): Ended {
    const { endDelivery, slots } = this.#parts
    const { id: streamId, endUnderWay } = stream
    if (stream.phase === 'lost' && endUnderWay !== undefined) return { result: endUnderWay }
    if (endUnderWay !== undefined) return { result: endUnderWay.then((ended) => this.#again(streamId, ended)) }
    if (stream.announcement === 'rejected' && stream.isOver) return { result: Promise.resolve(NOT_ANNOUNCED) }
    if (stream.isOver) return { result: Promise.resolve(endDelivery.duplicate(streamId)) }
    if (stream.playback !== undefined) return this.#closeThenEnd(stream, given, cause)
    if (stream.announcement === 'rejected') {
      this.#discard(stream)
      if (cause !== undefined) stream.signalLost(cause)
      return { result: Promise.resolve(NOT_ANNOUNCED) }
    }
    stream.endQueued()
    const reason = toReason(given)
    const { outboxEvent, result } = this.#track(streamId, reason, (own) => this.#sendEnd(stream, own, { reason }))
    const released = slots.releaseAfter(outboxEvent, stream)
    if (cause !== undefined) stream.signalLost(cause)
    return { result: allOf(result, released), stalled: outboxEvent.stalled }
  }

  /**
   * Closes the playback of a stream, then releases its slot and queues its end: the next viewer of the slot finds the engine with room. The
   * end counts as pending from now on.
   */
  #closeThenEnd(stream: TrackedStream, given: unknown, cause: unknown): Ended {
    const { order, slots } = this.#parts
    const reason = toReason(given)
    const end = Promise.withResolvers<EndResult>()
    const closed = Promise.withResolvers<string | undefined>()
    let released: Promise<void> | undefined
    stream.closeBegun(end.promise)
    const { outboxEvent, result } = this.#track(stream.id, reason, async (own) => {
      const recordedLife = await closed.promise
      if (stream.announcement === 'rejected') {
        own.settle()
        this.#discard(stream)
        return NOT_ANNOUNCED
      }
      stream.endQueued()
      const sent = this.#sendEnd(stream, own, { reason, recordedLife })
      released = slots.releaseAfter(own, stream)
      return sent
    })
    order.expectEnd(outboxEvent, stream.event.key, result)
    end.resolve(result.then((ended) => released?.then(() => ended) ?? ended))
    // Before the playback is closed: its viewers stop reading first.
    if (cause !== undefined) stream.signalLost(cause)
    closed.resolve(this.#closePlayback(stream, reason))
    return { result: end.promise, stalled: outboxEvent.stalled }
  }

  /** Records in the journal that a stream is over, and closes its playback. Resolves with the life that was recorded. Never rejects. */
  async #closePlayback(stream: TrackedStream, reason: string | undefined): Promise<string | undefined> {
    const { journal, clock, lifetime } = this.#parts
    const { id, life, announcement, playback } = stream
    const mustRecord = announcement === 'accepted' || announcement === 'maybe'
    const written = mustRecord ? journal.recordEnd(id, reason, life) : undefined
    if (isPromiseLike(written)) await settledWithin(clock, MAX_JOURNAL_WAIT_MS, written, lifetime)
    await playback?.close()
    return mustRecord ? life : undefined
  }

  /** Forgets a stream whose start was rejected. Only once: its id, and the slot under that id, may belong to another stream later. */
  #discard(stream: TrackedStream): void {
    const { endedLedger, slots } = this.#parts
    stream.discarded()
    this.#markOver(stream)
    endedLedger.markNotOver(stream.id)
    void slots.release(stream)
  }

  /** The result of a further end of a stream, once its first end is over. */
  #again(streamId: string, { outcome, ...rest }: EndResult): EndResult {
    const isDuplicate = outcome === 'delivered' || outcome === 'unknown' || outcome === 'duplicate'
    return isDuplicate ? this.#parts.endDelivery.duplicate(streamId) : { outcome, ...rest }
  }

  /** Makes lists no longer count the stream. The caller releases its slot last, because a release calls listeners. */
  #markOver(stream: TrackedStream): void {
    const { live, endedLedger } = this.#parts
    live.remove(stream)
    endedLedger.markOver(stream.id)
  }

  /** Sends the end of a stream in its turn. Call it before the slot is released: a start that takes the slot or the id is sent after this end. */
  async #sendEnd(stream: TrackedStream, own: OutboxEvent, options: EndOptions): Promise<EndResult> {
    const { endDelivery, endedLedger, live, order, onStreamsMayHaveEnded } = this.#parts
    this.#markOver(stream)
    const { containerId, key } = stream.event
    const place = { containerId, engine: stream.engine, key }
    const send = (): Promise<EndResult> => endDelivery.end(stream, own, options)
    const ended = await endedLedger.whileEnding(stream.id, () => order.runEnd(own, place, send))
    // On 2026-04, ending one stream ends all streams of the same content (H6).
    if (ended.attempts > 0 && (live.hasSameKey(stream) || (ended.outcome === 'unknown' && ended.error !== undefined)))
      onStreamsMayHaveEnded()
    return ended
  }

  /** Handles the end of a stream of another process, which lists may still count. */
  #endedElsewhere(streamId: string): void {
    const { endedLedger, onSlotFreed } = this.#parts
    endedLedger.markEnded(streamId)
    onSlotFreed()
  }

  /** Queues the end of a stream of this client. `send` is called in the same step. */
  #track(streamId: string, reason: string | undefined, send: (own: OutboxEvent) => Promise<EndResult>): QueuedEnd<EndResult> {
    const { outbox } = this.#parts
    return outbox.track({ streamId, event: 'ended' }, (own) => this.#asOperation(streamId, reason, () => send(own)))
  }

  #asOperation<T>(streamId: string, reason: string | undefined, end: () => T): T {
    return this.#parts.emitter.operations.run({ kind: 'end', streamId, reason }, end)
  }

  /** Queues an end of a stream that is not one of this client's live streams. */
  #queueEnd<T>(streamId: string, send: (own: OutboxEvent) => Promise<T>): QueuedEnd<T> {
    const { outbox, order, endedLedger } = this.#parts
    return outbox.track({ streamId, event: 'ended' }, (own) => endedLedger.whileEnding(streamId, () => order.run(own, () => send(own))))
  }
}

/** Resolves with the result of an end once the slot is released too. */
function allOf(ended: Promise<EndResult>, released: Promise<void> | undefined): Promise<EndResult> {
  return released === undefined ? ended : ended.then((result) => released.then(() => result))
}

/** The reason that a host gave, if it is a string: `socket.once('close', stream.end)` passes `false`, which no orchestrator accepts. */
function toReason(given: unknown): string | undefined {
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REASON_LENGTH) : undefined
}
