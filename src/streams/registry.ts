import { ClientClosedError, InvalidArgumentError } from '../errors.ts'
import type { StartEvent } from '../orchestrator/domain.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { Logger } from '../runtime/logger.ts'
import { isPromiseLike, type MaybePromise } from '../runtime/maybe-promise.ts'
import type { EndedHere } from '../state/ended-here.ts'
import type { StateStore } from '../state/store.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { Counters } from '../telemetry/metrics.ts'
import { Chains } from './chains.ts'
import type { Delivery } from './delivery.ts'
import { Departures } from './departures.ts'
import type { EndClaims } from './end-claims.ts'
import type { PendingEvents } from './pending-events.ts'
import type { EndResult, HostEngine, StreamHandle } from './stream.ts'
import { type StreamEnder, TrackedStream } from './tracked-stream.ts'

/** What the registry is built from. */
export interface RegistryParts {
  delivery: Delivery
  pending: PendingEvents
  store: StateStore
  endedHere: EndedHere
  claims: EndClaims
  counters: Counters
  emitter: Emitter
  logger: Logger
  /** Called when a slot came back. */
  onSlotFreed: () => void
  /** Called when the orchestrator accepted a stream on an engine. */
  onAccepted: (containerId: string) => void
}

/** What a new stream needs before it can be announced: its slot. Rejects where there is none. */
export type PrepareStart = (stream: TrackedStream) => MaybePromise<void>

const MAX_REASON_LENGTH = 1_024

/** The streams of this process: who is live, who is over, and what the orchestrator has been told of each. */
export class StreamRegistry implements StreamEnder {
  readonly #parts: RegistryParts
  readonly #chains = new Chains()
  readonly #live = new Map<string, TrackedStream>()
  /** Ids whose end is under way, with how many; a further end of one is a duplicate at once. */
  readonly #ending = new Map<string, number>()
  readonly #departures = new Departures()
  /** Live streams by the id they were started under, where the orchestrator knows them by another. */
  readonly #renamed = new Map<string, TrackedStream>()
  #isClosed = false

  constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  get liveStreams(): readonly TrackedStream[] {
    return [...this.#live.values()]
  }

  get liveCount(): number {
    return this.#live.size
  }

  /** Announces a stream; see `EngineLease.startStream`. Its place in the order is taken before this returns. */
  start(event: StartEvent, engine: HostEngine, prepare: PrepareStart, signal: AbortSignal | undefined): Promise<StreamHandle> {
    const { streamId } = event
    if (this.#isClosed) return Promise.reject(new ClientClosedError())
    if (signal?.aborted) return Promise.reject(signal.reason)
    // A repeated start is not harmless: it resets the stream or moves it, and v1 counts it for ever (hazard 5).
    if (this.#live.has(streamId)) {
      return Promise.reject(new InvalidArgumentError('streamId', `an id that is not live here already: ${streamId}`))
    }
    const stream = new TrackedStream(event, engine, this)
    this.#live.set(streamId, stream)
    const announced = this.#queueStart(stream, prepare)
    return waitUnlessAborted(announced, signal).then(
      () => stream,
      (error: unknown) => {
        // Nobody will ever hold a handle to end it by. Where the start was refused, there is nothing to end.
        void this.end(stream, 'aborted')
        throw error
      },
    )
  }

  /** Ends a stream of this process; see `StreamHandle.end`. */
  end(stream: TrackedStream, given: unknown): Promise<EndResult> {
    if (stream.state === 'refused') return Promise.resolve({ outcome: 'not-announced', attempts: 0 })
    if (!stream.isLive) return Promise.resolve(this.#duplicate(stream.id))
    stream.state = 'ending'
    this.#leave(stream)
    const reason = toReason(given)
    const ended = this.#queueEnd(stream.id, () => this.#deliverEnd(stream, reason))
    this.#departures.add(stream.event.containerId, ended)
    return ended
  }

  /** Ends whatever stream has this id, of this process or not. Never rejects. */
  endById(streamId: string, given: unknown): Promise<EndResult> {
    const stream = this.#live.get(streamId) ?? this.#renamed.get(streamId)
    if (stream !== undefined) return this.end(stream, given)
    if (this.#ending.has(streamId)) return Promise.resolve(this.#duplicate(streamId))
    if (this.#parts.claims.isUnknownThere(streamId)) return Promise.resolve({ outcome: 'not-announced', attempts: 0 })
    const reason = toReason(given)
    return this.#queueEnd(streamId, async () => {
      const result = await this.#sendEnd(streamId, reason)
      // It was in nobody's books here, but perhaps in a list; now it is no load any more.
      if (result.outcome === 'delivered') this.#overElsewhere(streamId)
      return result
    })
  }

  #overElsewhere(streamId: string): void {
    const { endedHere, onSlotFreed } = this.#parts
    endedHere.end(streamId)
    endedHere.acknowledge(streamId)
    onSlotFreed()
  }

  /** Refuses every further start. Ends are still told. */
  close(): void {
    this.#isClosed = true
  }

  /** Forgets ended ids beyond the retention. Answers how many. */
  sweep(): MaybePromise<number> {
    return this.#parts.claims.forget()
  }

  async #announce(stream: TrackedStream): Promise<void> {
    const { claims, endedHere, delivery, emitter, onAccepted } = this.#parts
    await claims.unclaim(stream.id)
    if (stream.isLive) endedHere.forget(stream.id)
    const outcome = await delivery.start(stream.event)
    switch (outcome.kind) {
      case 'accepted': {
        stream.announcement = 'accepted'
        const { streamId, containerId } = outcome.acknowledgement
        await this.#adopt(stream, streamId, containerId)
        if (stream.state === 'announcing') stream.state = 'live'
        emitter.emit('stream:started', { streamId, containerId })
        onAccepted(containerId)
        return
      }
      case 'refused':
        this.#refuse(stream)
        throw outcome.error
      case 'unknown':
        stream.announcement = 'maybe'
        return
      case 'not-processed':
        return
      default:
        outcome satisfies never
    }
  }

  async #deliverEnd(stream: TrackedStream, reason: string | undefined): Promise<EndResult> {
    const { claims, endedHere, emitter } = this.#parts
    if (stream.announcement === 'refused' || stream.announcement === 'unsent') {
      endedHere.forget(stream.id)
      if (stream.announcement === 'unsent') await claims.claim(stream.id)
      if (stream.announcement === 'unsent') stream.state = 'ended'
      const result: EndResult = { outcome: 'not-announced', attempts: 0 }
      emitter.emit('stream:ended', { streamId: stream.id, outcome: result.outcome, ...(reason === undefined ? {} : { reason }) })
      return result
    }
    const result = await this.#sendEnd(stream.id, reason)
    stream.state = 'ended'
    return result
  }

  async #sendEnd(streamId: string, reason: string | undefined): Promise<EndResult> {
    const { claims, delivery, endedHere, emitter } = this.#parts
    if (!(await claims.claim(streamId))) {
      endedHere.acknowledge(streamId) // whoever claimed it told the orchestrator
      return this.#duplicate(streamId)
    }
    const result = await delivery.end(streamId, reason)
    if (result.outcome === 'undeliverable') {
      await claims.unclaim(streamId) // so that the host may try again
    } else {
      endedHere.acknowledge(streamId)
    }
    emitter.emit('stream:ended', { streamId, outcome: result.outcome, ...(reason === undefined ? {} : { reason }) })
    return result
  }

  /** The slot is free at once, and lists that still show the stream are not believed. */
  #leave(stream: TrackedStream): void {
    if (this.#live.get(stream.id) === stream) this.#live.delete(stream.id)
    this.#renamed.delete(stream.event.streamId)
    this.#parts.endedHere.end(stream.id)
    this.#releaseSlot(stream.id)
  }

  /** At once where the store answers at once. A store that fails keeps the slot; ending a stream must not fail with it. */
  #releaseSlot(streamId: string): void {
    const { store, emitter, logger, onSlotFreed } = this.#parts
    const tell = (containerId: string | undefined): void => {
      if (containerId === undefined) return
      emitter.emit('engine:released', { containerId, streamId })
      onSlotFreed()
    }
    const warn = (error: unknown): void => logger.warn('The store did not give a slot back', { streamId, error })
    try {
      const released = store.releaseStream(streamId)
      if (isPromiseLike(released)) released.then(tell, warn)
      else tell(released)
    } catch (error) {
      warn(error)
    }
  }

  /**
   * The id in the answer to a start is the one to end; the slot goes by it too, and by the engine that the orchestrator names, so that a
   * list counts the stream once and where it is. Taken anew before the old one is given back: no gap for anybody to slip into.
   */
  async #adopt(stream: TrackedStream, streamId: string, containerId: string): Promise<void> {
    const { claims, store, endedHere } = this.#parts
    const previous = stream.id
    const slotOn = stream.event.containerId ?? containerId
    if (streamId === previous && stream.event.containerId !== undefined) return
    if (stream.event.containerId === undefined && containerId !== '') stream.engine = Object.freeze({ ...stream.engine, containerId })
    if (streamId !== previous) {
      stream.id = streamId
      if (this.#live.get(previous) === stream) {
        this.#live.delete(previous)
        this.#live.set(streamId, stream)
        this.#renamed.set(previous, stream)
      }
      await claims.unclaim(streamId)
    }
    if (stream.isLive && slotOn !== '') {
      endedHere.forget(streamId)
      await store.occupy(slotOn, streamId)
    }
    if (streamId !== previous) await store.releaseStream(previous)
    if (!stream.isLive) this.#releaseSlot(streamId) // ended meanwhile, by either id
  }

  #queueEnd(streamId: string, task: () => Promise<EndResult>): Promise<EndResult> {
    this.#ending.set(streamId, (this.#ending.get(streamId) ?? 0) + 1)
    const run = async (): Promise<EndResult> => {
      try {
        return await task()
      } finally {
        const left = (this.#ending.get(streamId) ?? 1) - 1
        if (left === 0) this.#ending.delete(streamId)
        else this.#ending.set(streamId, left)
      }
    }
    return this.#parts.pending.while({ streamId, event: 'ended' }, () => this.#chains.run(streamId, run))
  }

  #queueStart(stream: TrackedStream, prepare: PrepareStart): Promise<void> {
    const { pending } = this.#parts
    const departed = this.#departures.from(stream.event.containerId)
    const run = async (): Promise<void> => {
      await this.#prepare(stream, prepare)
      await departed
      await this.#announce(stream)
    }
    return pending.while({ streamId: stream.id, event: 'started' }, () => this.#chains.run(stream.id, run))
  }

  async #prepare(stream: TrackedStream, prepare: PrepareStart): Promise<void> {
    try {
      await prepare(stream)
    } catch (error) {
      this.#refuse(stream)
      throw error
    }
    // Ended while the claim was under way: its slot was not there to be given back then.
    if (!stream.isLive) this.#releaseSlot(stream.id)
  }

  #refuse(stream: TrackedStream): void {
    stream.announcement = 'refused'
    this.#parts.claims.denounce(stream.id)
    if (stream.isLive) this.#leave(stream)
    this.#parts.endedHere.forget(stream.id)
    stream.state = 'refused'
  }

  #duplicate(streamId: string): EndResult {
    this.#parts.counters.duplicatesPrevented += 1
    this.#parts.emitter.emit('stream:duplicate-end', { streamId })
    return { outcome: 'duplicate', attempts: 0 }
  }
}

/** Hosts hand on what an event handler got: `socket.once('close', stream.end)` would make `false` a reason that no orchestrator takes. */
function toReason(given: unknown): string | undefined {
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REASON_LENGTH) : undefined
}
