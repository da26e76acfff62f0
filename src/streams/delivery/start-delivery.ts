import { classifyFailure, MalformedResponseError, type OrchestratorError } from '../../errors.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import { toMicroseconds } from '../../orchestrator/timestamps.ts'
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

/** Dependencies of {@link StartDelivery}. */
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
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Called when the orchestrator accepted a stream on an engine. */
  onAccepted: (containerId: string, key: string) => void
}

/** What the orchestrator says of a stream that it has accepted. */
interface Accepted {
  readonly streamId: string
  readonly containerId: string
  readonly startedAtUs: number | undefined
}

/** How a stream is announced. */
export interface StartDeliveryOptions {
  readonly outboxEvent: OutboxEvent
  /** Whether it had to wait. The orchestrator may have restarted meanwhile: verify before the first attempt. */
  readonly isLate: boolean
  /** Whether the orchestrator accepted the stream before. */
  readonly isRepeat: boolean
}

/** The result of an announcement. `undelivered`: the stream is over, or the start was given up for now. */
export type StartDeliveryResult =
  | { readonly kind: 'accepted' | 'undelivered' | 'engine-gone' }
  | { readonly kind: 'rejected'; readonly error: OrchestratorError }

/**
 * Announces streams: sends `stream_started` until the orchestrator accepts or rejects it, or nothing is left to start. A start whose outcome
 * is unknown is sent again only if the orchestrator does not list the stream (H4), and only while its own engine is listed (H9).
 */
export class StartDelivery {
  readonly #parts: StartDeliveryParts

  constructor(parts: StartDeliveryParts) {
    this.#parts = parts
  }

  /** Sends the start of a stream and records its outcome. Never rejects. */
  async announce(stream: TrackedStream, { outboxEvent, isLate, isRepeat }: StartDeliveryOptions): Promise<StartDeliveryResult> {
    const { delivery, endedLedger, journal } = this.#parts
    // Also for a repeat: another process may have taken this one for dead and ended the stream.
    await endedLedger.unclaim(stream.id)
    const written = journal.recordStart(stream)
    if (isPromiseLike(written)) await written
    if (stream.isLive) endedLedger.markNotOver(stream.id)
    const delivered = await delivery.deliver<Accepted>({
      outboxEvent,
      abandoned: stream.over,
      isDelayed: isLate || stream.mustBeLocated,
      verifiesWhenDelayed: true,
      send: () => this.#attempt(stream),
      verify: (since, maybeApplied) => this.#verify(stream, since, maybeApplied),
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
   * Finds out whether the stream is listed by now, and if not, whether its start may be sent: only while its own engine is listed, and with the
   * address that is listed now. After a restart another engine may have the old one's port (H9).
   */
  async #verify(stream: TrackedStream, since: number, maybeApplied: boolean): Promise<VerifyResult<Accepted>> {
    const { observer } = this.#parts
    const { engines, streams } = maybeApplied
      ? await observer.readAll(since)
      : { engines: await observer.readEngines(since), streams: undefined }
    const located = stream.locate(engines.list)
    if (located !== undefined) await this.place(stream, located)
    const { containerId } = stream.event
    const engine = engines.list.find((candidate) => candidate.containerId === containerId)
    const listed = streams?.live.get(stream.id)
    // Listed on another engine although its own is listed: an earlier life of the id.
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

  /** A list shows the engine that the host named. Its slot is moved to the container id, its start gets the listed address (H7). */
  async place(stream: TrackedStream, place: ListedPlace): Promise<void> {
    if (stream.located(place)) await this.moveSlot(stream, place.containerId)
  }

  /** Moves the slot of a stream to this engine, under the id that the stream has now. `previous`: the id that it had. Never rejects. */
  async moveSlot(stream: TrackedStream, containerId: string, previous: string = stream.id): Promise<void> {
    const { slots, live, endedLedger, outages } = this.#parts
    const { id: streamId } = stream
    try {
      // Also for a stream that is over, until its slot is released: the orchestrator has the stream.
      if (!stream.isSlotReleased && containerId !== '') await slots.occupy(containerId, streamId)
      if (stream.isOver) endedLedger.markOver(streamId)
      if (streamId !== previous) await slots.releasePrevious(previous)
      outages.works(MOVING_SLOTS)
    } catch (error) {
      outages.failed(MOVING_SLOTS, 'The store did not move a slot', { streamId, error })
    }
    // The slot was released meanwhile, under either id. A later stream of the id may have one by now.
    if (stream.isSlotReleased && !live.has(streamId)) void slots.release(stream)
  }

  /** The orchestrator has the stream: it accepted the start, or lists the stream. */
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
   * Takes over the id and the engine that the orchestrator named. The end is sent with this id. The slot is moved to both, so that a list counts
   * the stream once and on the right engine. The new slot is taken before the old one is released: no other stream can take it in between.
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
      await journal.recordStart(stream, containerId)
      journal.remove(previous, stream.life)
    }
    await this.moveSlot(stream, slotOn, previous)
  }

  #gaveUp({ id: streamId }: TrackedStream, error: OrchestratorError): void {
    const { emitter, outages } = this.#parts
    eventFailed(outages, 'started', 'The start of a stream could not be delivered', { streamId, error })
    emitter.emit('delivery:failed', { streamId, event: 'started', error })
  }
}

/**
 * An orchestrator whose container runtime is down lists no engines, and later the same ones again. An entry that cannot be read may be any
 * engine. Neither proves that an engine is gone.
 */
function notListed(containerId: string): MalformedResponseError {
  const what = `lists no engine ${containerId}, but no engine at all or one that cannot be read`
  return new MalformedResponseError(`GET /engines: ${what}; the engine may be there all the same`, { status: 200 })
}
