import { classifyFailure, MalformedResponseError, type OrchestratorError } from '../../errors.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import { toMicroseconds } from '../../orchestrator/timestamps.ts'
import type { Logger } from '../../runtime/logger.ts'
import { isPromiseLike } from '../../runtime/maybe-promise.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Emitter } from '../../telemetry/emitter.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import type { EndedLedger } from '../ended-ledger.ts'
import type { Journal } from '../journal.ts'
import type { LiveStreams } from '../live-streams.ts'
import { MOVING_SLOTS, type StreamSlots } from '../stream-slots.ts'
import type { ListedPlace, TrackedStream } from '../tracked-stream.ts'
import type { Delivery, VerifyResult } from './delivery.ts'
import type { Observer } from './observation.ts'
import type { OutboxEvent } from './outbox.ts'
import { eventFailed, eventWorks } from './outcomes.ts'

/** What the announcer is built from. */
export interface StartDeliveryParts {
  api: OrchestratorApi
  delivery: Delivery
  observer: Observer
  endedLedger: EndedLedger
  journal: Journal
  slots: StreamSlots
  live: LiveStreams
  sequence: Sequence
  counters: Counters
  emitter: Emitter
  logger: Logger
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Called when the orchestrator accepted a stream on an engine. */
  onAccepted: (containerId: string, key: string) => void
}

/** What is known of a stream that the orchestrator has. */
interface Accepted {
  readonly streamId: string
  readonly containerId: string
  readonly startedAtUs: number | undefined
}

/** How a stream is announced. */
export interface StartDeliveryOptions {
  readonly outboxEvent: OutboxEvent
  /** Whether it had to wait: then much may have changed, and the orchestrator is looked at first. */
  readonly isLate: boolean
  /** Whether the orchestrator knew of it before and forgot. */
  readonly isRepeat: boolean
}

/** How an announcement came out. `undelivered`: the stream is over, or the announcement was given up for now. */
export type StartDeliveryResult =
  | { readonly kind: 'accepted' | 'undelivered' | 'engine-gone' }
  | { readonly kind: 'rejected'; readonly error: OrchestratorError }

/** Tells the orchestrator that a stream has started. */
export class StartDelivery {
  readonly #parts: StartDeliveryParts

  constructor(parts: StartDeliveryParts) {
    this.#parts = parts
  }

  async announce(stream: TrackedStream, { outboxEvent, isLate, isRepeat }: StartDeliveryOptions): Promise<StartDeliveryResult> {
    const { delivery, endedLedger, journal } = this.#parts
    // A repeat too: another process may have ended the stream, taking this one for dead.
    await endedLedger.unclaim(stream.id)
    const written = journal.started(stream)
    if (isPromiseLike(written)) await written
    if (stream.isLive) endedLedger.markNotOver(stream.id)
    const delivered = await delivery.deliver<Accepted>({
      pending: outboxEvent,
      abandoned: stream.over,
      isLate: isLate || stream.mustBeLocated,
      alwaysVerifies: true,
      attempt: () => this.#attempt(stream),
      verify: (since, maybeApplied) => this.#look(stream, since, maybeApplied),
    })
    switch (delivered.kind) {
      case 'done':
        await this.accepted(stream, delivered.value, isRepeat)
        return { kind: 'accepted' }
      case 'refused':
        stream.startRejected(delivered.maybeApplied)
        return { kind: 'rejected', error: delivered.error }
      default:
        stream.startGivenUp(delivered.maybeApplied)
        if (delivered.kind === 'given-up') this.#gaveUp(stream, delivered.error)
        return { kind: delivered.kind === 'pointless' ? 'engine-gone' : 'undelivered' }
    }
  }

  async #attempt(stream: TrackedStream): Promise<Accepted> {
    const { api, lifetime } = this.#parts
    try {
      const { streamId, containerId, startedAtNs } = await api.startStream(stream.event, { signal: lifetime })
      return { streamId, containerId, startedAtUs: startedAtNs === undefined ? undefined : toMicroseconds(startedAtNs) }
    } catch (thrown) {
      if (lifetime.aborted || classifyFailure(thrown).effect === 'unknown') stream.lateStartPossible()
      throw thrown
    }
  }

  /**
   * Whether the stream is there by now, and whether it may be announced (again) at all: only on its own engine, under the address listed now.
   * After a restart another engine may have the old one's port (hazard 9).
   */
  async #look(stream: TrackedStream, since: number, maybeApplied: boolean): Promise<VerifyResult<Accepted>> {
    const { observer } = this.#parts
    const { engines, streams } = maybeApplied ? await observer.all(since) : { engines: await observer.engines(since), streams: undefined }
    const located = stream.locate(engines.list)
    if (located !== undefined) await this.place(stream, located)
    const { containerId } = stream.event
    const engine = engines.list.find((candidate) => candidate.containerId === containerId)
    const listed = streams?.live.get(stream.id)
    // Listed elsewhere while its own engine is there: that is an earlier life of the same id.
    if (listed !== undefined && (listed.containerId === containerId || engine === undefined)) {
      stream.lateStartApplied()
      const { id, startedAtUs } = listed
      return { kind: 'applied', value: { streamId: id, containerId: listed.containerId, startedAtUs } }
    }
    if (containerId === undefined) return { kind: 'not-applied' }
    if (engine === undefined) {
      const isUnclear = engines.list.length === 0 || engines.mayHide(containerId) !== 'no'
      return isUnclear ? { kind: 'unclear', error: notListed(containerId) } : { kind: 'pointless' }
    }
    stream.addressListed(engine)
    return { kind: 'not-applied' }
  }

  /** A list shows the engine that its host named: the stream and its slot go by the engine's id, its start by the listed address (H7). */
  async place(stream: TrackedStream, place: ListedPlace): Promise<void> {
    if (stream.located(place)) await this.#occupy(stream, place.containerId)
  }

  /** Puts its slot on this engine, under the id it goes by now. */
  async #occupy(stream: TrackedStream, containerId: string, previous: string = stream.id): Promise<void> {
    const { slots, live, endedLedger, outages } = this.#parts
    const { id: streamId } = stream
    try {
      // Also for a stream that is over, until its slot is released: the orchestrator has it.
      if (!stream.isSlotReleased && containerId !== '') await slots.occupy(containerId, streamId)
      if (stream.isOver) endedLedger.markOver(streamId)
      if (streamId !== previous) await slots.forget(previous)
      outages.works(MOVING_SLOTS)
    } catch (error) {
      // The orchestrator wants to hear of the stream all the same.
      outages.failed(MOVING_SLOTS, 'The store did not move a slot', { streamId, error })
    }
    // Released meanwhile, by either id; unless a next life has the slot by now.
    if (stream.isSlotReleased && !live.has(streamId)) void slots.release(stream)
  }

  /** The orchestrator has the stream, be it that it said so or that it is listed. */
  async accepted(stream: TrackedStream, { streamId, containerId, startedAtUs }: Accepted, isRepeat: boolean): Promise<void> {
    const { counters, emitter, sequence, outages, onAccepted } = this.#parts
    counters.started += 1
    eventWorks(outages, 'started')
    stream.startAccepted(startedAtUs, sequence.current)
    await this.#adopt(stream, streamId, containerId)
    if (stream.isLive) stream.confirmed()
    onAccepted(containerId, stream.event.key)
    emitter.emit(isRepeat ? 'stream:reannounced' : 'stream:started', { streamId, containerId })
  }

  /**
   * The id in the answer to a start is the one to end; the slot goes by it too, and by the engine that the orchestrator names, so that a
   * list counts the stream once and where it is. Taken anew before the old one is given back: no gap for anybody to slip into.
   */
  async #adopt(stream: TrackedStream, streamId: string, containerId: string): Promise<void> {
    const { endedLedger, journal, live } = this.#parts
    const previous = stream.id
    const slotOn = stream.event.containerId ?? containerId
    if (streamId === previous && stream.event.containerId !== undefined) return
    if (stream.event.containerId === undefined && containerId !== '') {
      stream.located({ containerId })
    }
    if (streamId !== previous) {
      live.rename(stream, streamId)
      await endedLedger.unclaim(streamId)
      await journal.started(stream, containerId)
      journal.settled(previous, stream.life)
    }
    await this.#occupy(stream, slotOn, previous)
  }

  #gaveUp({ id: streamId }: TrackedStream, error: OrchestratorError): void {
    const { emitter, outages } = this.#parts
    eventFailed(outages, 'started', 'The start of a stream could not be delivered', { streamId, error })
    emitter.emit('delivery:failed', { streamId, event: 'started', error })
  }
}

/**
 * With its container runtime down an orchestrator lists no engines, and later the same ones again; and an entry that cannot be read may be any
 * engine. Neither proves that one is gone.
 */
function notListed(containerId: string): MalformedResponseError {
  const what = `lists no engine ${containerId}, but no engine at all or one that cannot be read`
  return new MalformedResponseError(`GET /engines: ${what}; the engine may be there all the same`, { status: 200 })
}
