import { ClientClosedError, InvalidArgumentError, OrchestratorError } from '../errors.ts'
import type { StartEvent } from '../orchestrator/domain.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import type { MaybePromise } from '../runtime/cache.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { EndedHere } from '../state/ended-here.ts'
import type { Retention, StateStore } from '../state/store.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { Counters } from '../telemetry/metrics.ts'
import { Chains } from './chains.ts'
import type { Delivery } from './delivery.ts'
import { Departures } from './departures.ts'
import type { PendingEvents } from './pending-events.ts'
import type { EndResult, HostEngine, StreamHandle } from './stream.ts'
import { type StreamEnder, TrackedStream } from './tracked-stream.ts'

/** What the registry is built from. */
export interface RegistryParts {
  delivery: Delivery
  pending: PendingEvents
  store: StateStore
  endedHere: EndedHere
  clock: Clock
  counters: Counters
  emitter: Emitter
  logger: Logger
  endedRetentionMs: number
  endedRetentionMax: number
  /** Called when a slot came back. */
  onSlotFreed: (containerId: string) => void
  /** Called when the orchestrator accepted a stream on an engine. */
  onAccepted: (containerId: string) => void
}

/** What a new stream needs before it can be announced: its slot. Rejects where there is none. */
export type PrepareStart = (stream: TrackedStream) => MaybePromise<void>

/** The streams of this process: who is live, who is over, and what the orchestrator has been told of each. */
export class StreamRegistry implements StreamEnder {
  readonly #parts: RegistryParts
  readonly #chains = new Chains()
  readonly #live = new Map<string, TrackedStream>()
  /** Ids whose end is under way, with how many; a further end of one is a duplicate at once. */
  readonly #ending = new Map<string, number>()
  readonly #departures = new Departures()
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
  end(stream: TrackedStream, reason: string | undefined): Promise<EndResult> {
    if (stream.state === 'refused') return Promise.resolve({ outcome: 'not-announced', attempts: 0 })
    if (!stream.isLive) return Promise.resolve(this.#duplicate(stream.id))
    stream.state = 'ending'
    this.#leave(stream)
    const ended = this.#queueEnd(stream.id, () => this.#deliverEnd(stream, reason))
    this.#departures.add(stream.event.containerId, ended)
    return ended
  }

  /** Ends whatever stream has this id, of this process or not. Never rejects. */
  endById(streamId: string, reason: string | undefined): Promise<EndResult> {
    const stream = this.#live.get(streamId)
    if (stream !== undefined) return this.end(stream, reason)
    if (this.#ending.has(streamId)) return Promise.resolve(this.#duplicate(streamId))
    return this.#queueEnd(streamId, () => this.#sendEnd(streamId, reason))
  }

  /** Refuses every further start. Ends are still told. */
  close(): void {
    this.#isClosed = true
  }

  /** Forgets ended ids beyond the retention. Answers how many. */
  sweep(): MaybePromise<number> {
    return this.#parts.store.forgetEnded(this.#retention())
  }

  async #announce(stream: TrackedStream): Promise<void> {
    const { store, endedHere, delivery, emitter, onAccepted } = this.#parts
    await store.unclaimEnd(stream.id)
    if (stream.isLive) endedHere.forget(stream.id)
    const outcome = await delivery.start(stream.event)
    switch (outcome.kind) {
      case 'accepted': {
        stream.announcement = 'accepted'
        const { streamId, containerId } = outcome.acknowledgement
        if (streamId !== stream.id) await this.#rename(stream, streamId)
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
    const { endedHere, emitter } = this.#parts
    if (stream.announcement === 'refused' || stream.announcement === 'unsent') {
      endedHere.forget(stream.id)
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
    const { store, delivery, endedHere, emitter } = this.#parts
    if (!(await store.claimEnd(streamId, this.#retention()))) return this.#duplicate(streamId)
    const result = await delivery.end(streamId, reason)
    if (result.outcome === 'undeliverable') {
      await store.unclaimEnd(streamId) // so that the host may try again
    } else {
      endedHere.acknowledge(streamId)
    }
    emitter.emit('stream:ended', { streamId, outcome: result.outcome, ...(reason === undefined ? {} : { reason }) })
    return result
  }

  /** The slot is free at once, and lists that still show the stream are not believed. */
  #leave(stream: TrackedStream): void {
    if (this.#live.get(stream.id) === stream) this.#live.delete(stream.id)
    this.#parts.endedHere.end(stream.id)
    this.#releaseSlot(stream.id)
  }

  /** At once where the store answers at once. A store that fails keeps the slot; ending a stream must not fail with it. */
  #releaseSlot(streamId: string): void {
    const { store, emitter, logger, onSlotFreed } = this.#parts
    const tell = (containerId: string | undefined): void => {
      if (containerId === undefined) return
      emitter.emit('engine:released', { containerId, streamId })
      onSlotFreed(containerId)
    }
    const warn = (error: unknown): void => logger.warn('The store did not give a slot back', { streamId, error })
    try {
      const released = store.releaseStream(streamId)
      if (released instanceof Promise) released.then(tell, warn)
      else tell(released)
    } catch (error) {
      warn(error)
    }
  }

  /** The id in the answer to a start is the one to end; the slot goes by it too, so that a list counts it once. */
  async #rename(stream: TrackedStream, streamId: string): Promise<void> {
    const { store, endedHere } = this.#parts
    const previous = stream.id
    stream.id = streamId
    if (this.#live.get(previous) === stream) {
      this.#live.delete(previous)
      this.#live.set(streamId, stream)
    }
    await store.unclaimEnd(streamId)
    const containerId = await store.releaseStream(previous)
    if (!stream.isLive) return // ended meanwhile, by either id
    endedHere.forget(streamId)
    if (containerId !== undefined) await store.occupy(containerId, streamId)
  }

  #queueEnd(streamId: string, task: () => Promise<EndResult>): Promise<EndResult> {
    this.#ending.set(streamId, (this.#ending.get(streamId) ?? 0) + 1)
    const run = async (): Promise<EndResult> => {
      try {
        return await task()
      } catch (error) {
        // Only a host's store can bring us here; `end` keeps its promise not to reject all the same.
        return { outcome: 'undeliverable', attempts: 0, ...(error instanceof OrchestratorError ? { error } : {}) }
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
    if (stream.isLive) this.#leave(stream)
    this.#parts.endedHere.forget(stream.id)
    stream.state = 'refused'
  }

  #duplicate(streamId: string): EndResult {
    this.#parts.counters.duplicatesPrevented += 1
    this.#parts.emitter.emit('stream:duplicate-end', { streamId })
    return { outcome: 'duplicate', attempts: 0 }
  }

  #retention(): Retention {
    const { clock, endedRetentionMs, endedRetentionMax } = this.#parts
    return { now: clock.now(), retentionMs: endedRetentionMs, max: endedRetentionMax }
  }
}
