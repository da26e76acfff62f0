import { classifyFailure, MalformedResponseError, type OrchestratorError } from '../../errors.ts'
import type { ListedPlace } from '../../model/stream.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import { toMicroseconds } from '../../orchestrator/timestamps.ts'
import type { Clock } from '../../runtime/clock.ts'
import { isPromiseLike, type MaybePromise } from '../../runtime/maybe-promise.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import type { EndedLedger } from '../ended-ledger.ts'
import type { Journal } from '../journal.ts'
import type { LiveStreams } from '../live-streams.ts'
import { MOVING_SLOTS, type StreamSlots } from '../stream-slots.ts'
import type { TrackedStream } from '../tracked-stream.ts'
import type { Delivery, VerifyResult } from './delivery.ts'
import { logEventFailure, logEventSuccess } from './delivery-log.ts'
import type { Observer } from './observation.ts'
import type { OutboxEvent } from './outbox.ts'

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
  clock: Clock
  counters: Counters
  emitter: Emitter
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Called when the orchestrator accepted a stream on an engine. */
  onAccepted: (containerId: string, key: string) => void
}

/** A stream that the orchestrator has accepted, as its answer or its list describes it. */
interface Accepted {
  readonly streamId: string
  readonly containerId: string
  readonly startedAtUs: number | undefined
}

/** Options of {@link StartDelivery.announce}. */
export interface StartDeliveryOptions {
  readonly outboxEvent: OutboxEvent
  /** Whether the start had to wait. The orchestrator may have restarted meanwhile: verify before the first attempt. */
  readonly isLate: boolean
  /** Whether the orchestrator accepted the stream before. */
  readonly isRepeat: boolean
  /** Returns the answer of {@link StartDelivery.record}. @default it is called before the start is sent */
  readonly recorded?: (() => MaybePromise<void>) | undefined
}

/** Result of an announcement. `undelivered`: the stream is over, or the start was given up for now. */
export type StartDeliveryResult =
  | { readonly kind: 'accepted' | 'undelivered' | 'engine-gone' }
  | { readonly kind: 'rejected'; readonly error: OrchestratorError }

/**
 * Announces streams: sends `stream_started` until the orchestrator accepts or rejects it, or the start is not needed any more. A start whose
 * outcome is unknown is sent again only if the orchestrator does not list the stream (H4), and only while its own engine is listed (H9).
 */
export class StartDelivery {
  readonly #parts: StartDeliveryParts

  constructor(parts: StartDeliveryParts) {
    this.#parts = parts
  }

  /**
   * Records a start in the store before it is sent: allows an end of the id again, and writes the journal entry. Calls the store for both at
   * once, because a store over a network sends both together. Never throws or rejects.
   */
  record(stream: TrackedStream): MaybePromise<void> {
    const { endedLedger, journal } = this.#parts
    const unclaimed = endedLedger.unclaim(stream.id)
    const written = journal.recordStart(stream)
    if (isPromiseLike(unclaimed) || isPromiseLike(written)) return Promise.all([unclaimed, written]).then(() => {})
  }

  /** Sends the start of a stream and records its outcome. Never rejects. */
  async announce(stream: TrackedStream, { outboxEvent, isLate, isRepeat, recorded }: StartDeliveryOptions): Promise<StartDeliveryResult> {
    const { delivery, endedLedger } = this.#parts
    // Also for a repeat: another process may have found this one dead, and ended the stream.
    const written = recorded === undefined ? this.record(stream) : recorded()
    if (isPromiseLike(written)) await written
    if (stream.shouldBeListed) endedLedger.markNotOver(stream.id)
    const delivered = await delivery.deliver<Accepted>({
      outboxEvent,
      abandoned: () => stream.over,
      isDelayed: isLate || stream.mustBeLocated,
      verifiesWhenDelayed: true,
      send: (attempt) => this.#attempt(stream, attempt),
      verify: (since, maybeApplied) => this.#verify(stream, since, maybeApplied),
    })
    switch (delivered.kind) {
      case 'done': {
        const accepted = this.accepted(stream, delivered.value, isRepeat)
        if (isPromiseLike(accepted)) await accepted
        return { kind: 'accepted' }
      }
      case 'rejected':
        stream.startRejected(delivered.maybeApplied)
        return { kind: 'rejected', error: delivered.error }
      default:
        stream.startGivenUp(delivered.maybeApplied)
        if (delivered.kind === 'given-up') this.#gaveUp(stream, delivered.error)
        return { kind: delivered.kind === 'pointless' ? 'engine-gone' : 'undelivered' }
    }
  }

  async #attempt(stream: TrackedStream, attempt: number): Promise<Accepted> {
    const { api, lifetime } = this.#parts
    try {
      const { streamId, containerId, startedAtNs } = await api.startStream(stream.event, { signal: lifetime, attempt })
      return { streamId, containerId, startedAtUs: startedAtNs === undefined ? undefined : toMicroseconds(startedAtNs) }
    } catch (thrown) {
      if (lifetime.aborted || classifyFailure(thrown).effect === 'unknown') stream.lateStartPossible()
      throw thrown
    }
  }

  /**
   * Checks whether the stream is listed by now, and if not, whether its start may be sent. It may be sent only while its own engine is listed,
   * and with the address that is listed now: after a restart another engine may have the old one's port (H9).
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
    // A stream that is listed on another engine, while its own engine is listed too, is an earlier life of the id.
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

  /** Records that a list shows the engine that the host named: moves the slot to its container id. The start gets the listed address (H7). */
  async place(stream: TrackedStream, place: ListedPlace): Promise<void> {
    if (stream.located(place)) await this.moveSlot(stream, place.containerId)
  }

  /** Moves the slot of a stream to this engine, under its present id. `previous`: its id before. Never rejects. */
  async moveSlot(stream: TrackedStream, containerId: string, previous: string = stream.id): Promise<void> {
    const { slots, live, endedLedger, outages } = this.#parts
    const { id: streamId } = stream
    try {
      // Also move the slot of a stream that is over, until it is released: the orchestrator still has the stream.
      if (!stream.isSlotReleased && containerId !== '') await slots.occupy(containerId, streamId)
      if (stream.isOver) endedLedger.markOver(streamId)
      if (streamId !== previous) await slots.releasePrevious(previous)
      outages.works(MOVING_SLOTS)
    } catch (error) {
      outages.failed(MOVING_SLOTS, 'The store did not move a slot', { streamId, error })
    }
    // The slot was released meanwhile, and the move took it again. Release it, unless a later stream of the id has it by now.
    if (stream.isSlotReleased && !live.has(streamId)) void slots.release(stream)
  }

  /** Records that the orchestrator has the stream: it accepted the start, or lists the stream. */
  accepted(stream: TrackedStream, accepted: Accepted, isRepeat: boolean): MaybePromise<void> {
    const { streamId, containerId, startedAtUs } = accepted
    const { counters, sequence, outages } = this.#parts
    counters.started += 1
    logEventSuccess(outages, 'started')
    stream.startAccepted(startedAtUs, sequence.current)
    // The usual answer names the id and the engine that are known.
    if (streamId === stream.id && stream.event.containerId !== undefined) return this.#confirmed(stream, accepted, isRepeat)
    return this.#adopt(stream, streamId, containerId).then(() => this.#confirmed(stream, accepted, isRepeat))
  }

  #confirmed(stream: TrackedStream, { streamId, containerId }: Accepted, isRepeat: boolean): void {
    const { clock, emitter, onAccepted } = this.#parts
    if (stream.shouldBeListed) stream.confirmed()
    onAccepted(containerId, stream.event.key)
    if (isRepeat) emitter.to('stream:reannounced')?.({ streamId, containerId })
    else emitter.to('stream:started')?.({ streamId, containerId, durationMs: clock.now() - stream.calledAt })
  }

  /**
   * Takes over the id and the engine that the orchestrator named. The end is sent with this id. The slot is moved to both, so that a list
   * counts the stream once and on the right engine. The new slot is taken before the old one is released: no other stream can take it in
   * between.
   */
  async #adopt(stream: TrackedStream, streamId: string, containerId: string): Promise<void> {
    const { endedLedger, journal, live } = this.#parts
    const previous = stream.id
    const slotOn = stream.event.containerId ?? containerId
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
    logEventFailure(outages, 'started', 'The start of a stream could not be delivered', { streamId, error })
    emitter.to('delivery:failed')?.({ streamId, event: 'started', error })
  }
}

/**
 * The error if an engine is not listed, and the list does not prove that it is gone. An orchestrator whose container runtime is down lists no
 * engines, and later the same ones again. An entry that cannot be read may be any engine.
 */
function notListed(containerId: string): MalformedResponseError {
  const cause = 'the list is empty or has an entry that cannot be read'
  return new MalformedResponseError(`GET /engines: engine ${containerId} is not listed, but may exist: ${cause}`, { status: 200 })
}
