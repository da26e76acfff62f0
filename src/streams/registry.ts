import { ClientClosedError, InvalidArgumentError, type OrchestratorError, StreamLostError } from '../errors.ts'
import type { Engine } from '../model/engine.ts'
import type { EndResult, HostEngine, StartEvent, Stream, StreamHandle } from '../model/stream.ts'
import type { KeepAlive } from '../runtime/abort.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { MaybePromise } from '../runtime/maybe-promise.ts'
import type { Outages } from '../runtime/outages.ts'
import type { JournalEntry } from '../state/store.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { EndDelivery } from './delivery/end-delivery.ts'
import { type EngineIdentity, EventOrder, KeyedQueue } from './delivery/ordering.ts'
import type { Outbox, OutboxEvent } from './delivery/outbox.ts'
import { asOrchestratorError, eventFailed } from './delivery/outcomes.ts'
import type { StartDelivery } from './delivery/start-delivery.ts'
import type { EndedLedger } from './ended-ledger.ts'
import type { Journal } from './journal.ts'
import type { LiveStreams } from './live-streams.ts'
import { MOVING_SLOTS, type StreamSlots } from './stream-slots.ts'
import { type StreamEnder, TrackedStream } from './tracked-stream.ts'

/** What the registry is built from. */
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
  startWaitMs: number
  outages: Outages
  onSlotFreed: () => void
  /** Called when an end may have taken others of our streams along. */
  onSuspicion: () => void
}

/** What a new stream needs before it can be announced: its slot. Rejects where there is none. */
export type PrepareStart = (stream: TrackedStream) => MaybePromise<void>

const MAX_REASON_LENGTH = 1_024

/** The streams of this process: who is live, who is over, and in which order the orchestrator is told. */
export class StreamRegistry implements StreamEnder {
  readonly #parts: RegistryParts
  readonly #order = new EventOrder()
  /** Slots are taken in order too, but wait for no orchestrator: a lease would run out meanwhile. */
  readonly #slotChains = new KeyedQueue()
  #isClosed = false

  constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  /** Announces a stream; see `EngineLease.startStream`. Its place in the order is taken before this returns. */
  start(event: StartEvent, engine: HostEngine, prepare: PrepareStart, signal: AbortSignal | undefined): Promise<StreamHandle> {
    const { alive, live, outbox, clock, startWaitMs } = this.#parts
    const { streamId } = event
    if (this.#isClosed) return Promise.reject(new ClientClosedError())
    if (signal?.aborted) return Promise.reject(signal.reason)
    // A repeated start is not harmless: it resets the stream or moves it, and v1 counts it for ever (hazard 5).
    if (live.has(streamId)) {
      return Promise.reject(new InvalidArgumentError('streamId', `an id that is not live here already: ${streamId}`))
    }
    const stream = new TrackedStream(event, engine, this, alive)
    live.add(stream)
    const earlierEnds = this.#order.endsOn({ containerId: event.containerId, engine })
    const prepared = this.#slotChains.run(streamId, () => this.#prepare(stream, prepare))
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
    // Where its engine could not be looked up, the list was the attempt that failed.
    const held = (): Promise<void> | undefined => (stream.mustBeLocated ? undefined : Promise.race([slow.promise, outboxEvent.stalled]))
    const stalled = prepared.then(held).then(handOut)
    return waitUnlessAborted(Promise.race([result, stalled]), signal).then(
      () => {
        // Also a start that was accepted: a later repeat of it may be refused while the viewer watches.
        handOut()
        return stream
      },
      (error: unknown) => {
        // Nobody will ever hold a handle to end it by. Where the start was refused, it is over already.
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

  /** Ends whatever stream has this id, of this process or not. Never rejects. */
  endById(streamId: string, given: unknown): Promise<EndResult> {
    const { live, endDelivery, endedLedger } = this.#parts
    const stream = live.find(streamId)
    if (stream !== undefined) return this.end(stream, given)
    const status = endedLedger.statusOf(streamId)
    if (status === 'ending') return Promise.resolve(endDelivery.duplicate(streamId))
    if (status === 'never-announced') return Promise.resolve({ outcome: 'not-announced', attempts: 0 })
    const onOver = (ended: EndResult): void => {
      // What it showed is not known here: perhaps what others of ours watch (hazard 6).
      if (ended.attempts > 0 && live.size > 0) this.#parts.onSuspicion()
      // Not one of our streams, but a cached list may still count it. Stop counting it.
      if (ended.outcome === 'delivered') this.#endedElsewhere(streamId)
    }
    return this.#queueEnd(streamId, (outboxEvent) => endDelivery.endById(streamId, outboxEvent, { reason: toReason(given), onOver })).result
  }

  /** Ends a stream that a dead process has left, unless it has been started anew. */
  inherit(entry: JournalEntry): void {
    const { live, endDelivery } = this.#parts
    const { streamId } = entry
    this.#queueEnd(streamId, async (outboxEvent) => {
      if (live.has(streamId)) return // the entry is that stream's by now
      await endDelivery.inherit(entry, outboxEvent, ({ outcome }) => {
        if (outcome === 'delivered') this.#endedElsewhere(streamId)
      })
    })
  }

  /** Ends a stream again that was ended here and is listed all the same. Resolves when that is told, or held up. */
  async endAgain(listed: Stream): Promise<void> {
    const { live, endDelivery, outages } = this.#parts
    const { id: streamId } = listed
    const { outboxEvent, result } = this.#queueEnd(streamId, async (own) => {
      if (live.has(streamId)) return // it has started anew
      eventFailed(outages, 'ended', 'A stream that was ended here is listed; it is ended again', { streamId })
      await endDelivery.endAgain(listed, own)
    })
    await Promise.race([result, outboxEvent.stalled])
  }

  /** Announces a live stream again that the orchestrator has forgotten. Resolves when that is told, or held up. */
  async reannounce(stream: TrackedStream): Promise<void> {
    const { outbox, outages } = this.#parts
    if (!stream.isLive || stream.phase === 'starting') return
    const isRepeat = stream.announcement === 'accepted'
    stream.startedAgain()
    const { outboxEvent, result } = outbox.track({ streamId: stream.id, event: 'started' }, (own) =>
      this.#order.run(own, () => this.#announce(stream, { outboxEvent: own, isLate: false, isRepeat })),
    )
    eventFailed(outages, 'started', 'The orchestrator does not know of a live stream; it is announced again', { streamId: stream.id })
    await Promise.race([result, outboxEvent.stalled])
  }

  /** A stream is listed where it should be. If telling of it was given up, one of the attempts was applied all the same. */
  async confirm(stream: TrackedStream, { id: streamId, containerId, startedAtUs }: Stream): Promise<void> {
    if (stream.phase !== 'unconfirmed') return
    stream.lateStartApplied()
    await this.#parts.startDelivery.accepted(stream, { streamId, containerId, startedAtUs }, stream.announcement === 'accepted')
  }

  /** A stream's engine is gone: its slot goes back, its host hears of it, and its end is told (hazard 10). */
  lose(stream: TrackedStream): void {
    if (!stream.isLive) return
    const { emitter, logger } = this.#parts
    const { id: streamId, engine } = stream
    const containerId = engine.containerId ?? ''
    const end = Promise.withResolvers<EndResult>()
    stream.engineLost(end.promise)
    end.resolve(this.#sendAway(stream, 'engine_gone').result)
    // The slot does not wait for the end: no stream can start on an engine that is gone.
    // Notify only after the slot is free and the end is queued: a listener may start a stream again at once.
    void this.#parts.slots.release(stream)
    logger.warn('The engine of a live stream is gone', { streamId, containerId })
    stream.signalLost(new StreamLostError(`Stream ${streamId}: its engine ${containerId} is gone`, { streamId, containerId }))
    emitter.emit('stream:lost', { streamId, containerId })
  }

  /** The orchestrator has moved a stream to another engine (hazard 10). */
  async follow(stream: TrackedStream, engine: Engine, mapped: HostEngine): Promise<void> {
    const { live, slots, logger, outages } = this.#parts
    const { containerId } = engine
    stream.moved(engine, mapped)
    logger.info('The orchestrator has moved a stream', { streamId: stream.id, containerId })
    try {
      await slots.occupy(containerId, stream.id)
      outages.works(MOVING_SLOTS)
      // Released meanwhile; unless a next life of its id has the slot by now.
      if (stream.isSlotReleased && !live.has(stream.id)) void slots.release(stream)
    } catch (error) {
      outages.failed(MOVING_SLOTS, 'The store did not move a slot', { streamId: stream.id, error })
    }
  }

  /** Refuses every further start. Ends are still told. */
  close(): void {
    this.#isClosed = true
  }

  /** Forgets ended ids beyond the retention, and gives back what the store failed to take. Answers how many ids. */
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
    // Released while the claim was under way: its slot was not there then.
    if (stream.isSlotReleased) void this.#parts.slots.release(stream)
  }

  /** Answers what the orchestrator rejected the start with, if it did. */
  async #announce(
    stream: TrackedStream,
    options: { outboxEvent: OutboxEvent; isLate: boolean; isRepeat: boolean },
  ): Promise<OrchestratorError | undefined> {
    // Ended while it waited to be announced again: its end is next, and finds the announcement before.
    if (options.isRepeat && !stream.isLive) return undefined
    const result = await this.#parts.startDelivery.announce(stream, options)
    if (result.kind === 'engine-gone') this.lose(stream)
    if (result.kind !== 'rejected') return undefined
    this.#parts.journal.settled(stream.id, stream.life)
    this.#rejected(stream, result.error)
    return result.error
  }

  #rejected(stream: TrackedStream, error: unknown): void {
    const { endedLedger, emitter, outages } = this.#parts
    const { id: streamId } = stream
    if (stream.announcement === 'rejected') endedLedger.markNeverAnnounced(streamId)
    if (stream.isHandedOut) {
      // Its viewer watches: the slot is taken until the host says that it is over.
      eventFailed(outages, 'started', 'The start of a stream was refused', { streamId, error })
      emitter.emit('delivery:failed', { streamId, event: 'started', error: asOrchestratorError(error) })
    } else if (!stream.isOver) {
      // Nobody has a handle to end it by. If an attempt may have been applied, its end is queued before a listener can start the id again.
      void this.end(stream, 'aborted')
    }
  }

  #end(stream: TrackedStream, given: unknown): { result: Promise<EndResult>; stalled?: Promise<void> } {
    const { endDelivery, endedLedger, slots } = this.#parts
    if (stream.announcement === 'rejected') {
      // Once only: its id, and the slot that goes by it, may be another stream's by now.
      if (!stream.isOver) {
        stream.discarded()
        this.#leave(stream)
        endedLedger.markNotOver(stream.id)
        void slots.release(stream)
      }
      return { result: Promise.resolve({ outcome: 'not-announced', attempts: 0 }) }
    }
    if (stream.lostEnd !== undefined) return { result: stream.lostEnd }
    if (stream.isOver) return { result: Promise.resolve(endDelivery.duplicate(stream.id)) }
    stream.endQueued()
    const { outboxEvent, result } = this.#sendAway(stream, given)
    const released = slots.releaseAfter(outboxEvent, stream)
    const ended = result.then(async (ended) => {
      await released
      return ended
    })
    return { result: ended, stalled: outboxEvent.stalled }
  }

  /** Lists that still show the stream are not believed. The caller releases its slot last: that calls listeners. */
  #leave(stream: TrackedStream): void {
    const { live, endedLedger } = this.#parts
    live.remove(stream)
    endedLedger.markOver(stream.id)
  }

  /** Queues the end before the slot is free, so that it is sent before the start of the stream that takes the slot or the id. */
  #sendAway(stream: TrackedStream, given: unknown): { outboxEvent: OutboxEvent; result: Promise<EndResult> } {
    const { endDelivery, live, onSuspicion } = this.#parts
    this.#leave(stream)
    const place = { containerId: stream.event.containerId, engine: stream.engine }
    const { outboxEvent, result } = this.#queueEnd(stream.id, (own) => endDelivery.end(stream, own, toReason(given)), place)
    const compared = result.then((ended) => {
      // Ending one stream ends its namesakes on 2026-04 (hazard 6).
      if (ended.attempts > 0 && (live.hasNamesake(stream) || (ended.outcome === 'unknown' && ended.error !== undefined))) onSuspicion()
      return ended
    })
    return { outboxEvent, result: compared }
  }

  #endedElsewhere(streamId: string): void {
    const { endedLedger, onSlotFreed } = this.#parts
    endedLedger.markEnded(streamId)
    onSlotFreed()
  }

  /** `place`: the engine whose next starts wait for this end. */
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

/** Hosts hand on what an event handler got: `socket.once('close', stream.end)` would make `false` a reason that no orchestrator takes. */
function toReason(given: unknown): string | undefined {
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REASON_LENGTH) : undefined
}
