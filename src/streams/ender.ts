import { StreamLostError } from '../errors.ts'
import type { EndResult, Stream } from '../model/stream.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Outages } from '../runtime/outages.ts'
import type { JournalEntry } from '../state/store.ts'
import type { Emitter } from '../telemetry/events.ts'
import { logEventFailure } from './delivery/delivery-log.ts'
import type { EndDelivery } from './delivery/end-delivery.ts'
import type { EngineIdentity, EventOrder } from './delivery/ordering.ts'
import type { Outbox, OutboxEvent } from './delivery/outbox.ts'
import type { EndedLedger } from './ended-ledger.ts'
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
  emitter: Emitter
  logger: Logger
  outages: Outages
  /** Called when a stream of another process is over: its engine may have room. */
  onSlotFreed: () => void
  /** Called when an end may have ended other streams of this process too: reconcile. */
  onStreamsMayHaveEnded: () => void
}

const MAX_REASON_LENGTH = 1_024

/**
 * Ends streams, of this process or of others. It decides in which order a stream is over, its slot is released and its end is queued. The
 * delivery decides whether an end is sent, and when it is sent again.
 */
export class Ender implements StreamEnder {
  readonly #parts: EnderParts

  constructor(parts: EnderParts) {
    this.#parts = parts
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
        place === undefined ? this.#parts.order.run(own, () => send(own)) : this.#parts.order.runEnd(own, place, () => send(own)),
      ),
    )
  }
}
/** The reason that a host gave, if it is a string: `socket.once('close', stream.end)` passes `false`, which no orchestrator accepts. */
function toReason(given: unknown): string | undefined {
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REASON_LENGTH) : undefined
}
